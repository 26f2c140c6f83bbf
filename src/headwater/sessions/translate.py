"""What DuckDB says went wrong while a query ran, in Spark's terms.

DuckDB's Python errors carry no code, only a class and a text that begins with the class's name; the patterns here
are of DuckDB 2.0. Expressions that raise by themselves carry their Spark error whole (`functions.raising`).

Invariants: nothing is swallowed: an unknown text becomes INTERNAL_ERROR with that text; a Spark error passes
unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from headwater.duck import Interrupted
from headwater.errors import (
    ArithmeticSparkError,
    DateTimeError,
    FileReadError,
    NumberFormatError,
    RuntimeSparkError,
    SparkError,
)
from headwater.functions import raising

_ANSI = '"spark.sql.ansi.enabled"'


def translate(error: Exception) -> SparkError:
    """The Spark error for an exception raised by DuckDB or Arrow."""
    if isinstance(error, SparkError):
        return error
    if isinstance(error, Interrupted):
        return canceled()
    carried = raising.translate(error)
    if carried is not None:
        return carried
    text = str(error)
    for pattern, build in _RULES:
        found = pattern.search(text)
        if found is not None:
            return build(found)
    return SparkError("INTERNAL_ERROR", message=text)


def canceled() -> SparkError:
    """The error of a query that was interrupted."""
    return SparkError("OPERATION_CANCELED")


# ── texts of DuckDB ─────────────────────────────────────────────────────────────────────────────────────────

_SPARK_NAMES = {
    "INT8": "TINYINT",
    "INT16": "SMALLINT",
    "INT32": "INT",
    "INT64": "BIGINT",
    "INT128": "BIGINT",
    "HUGEINT": "BIGINT",
    "INTEGER": "INT",
    "BOOL": "BOOLEAN",
    "VARCHAR": "STRING",
    "BLOB": "BINARY",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP_NTZ",
}
_UNWRITTEN = re.compile(r'Could not write (?:all bytes to )?file \\*"([^"\\]+)')
_SUMS = frozenset({"INT128", "HUGEINT"})
"""Spark has no such type: only DuckDB's sums do."""
_OPERATIONS = {"addition": "try_add", "subtraction": "try_subtract", "multiplication": "try_multiply"}


def _spark_type(name: str) -> str:
    return '"' + _SPARK_NAMES.get(name.strip().upper(), name.strip().upper()) + '"'


def _cast(value: str, source: str, target: str) -> SparkError:
    kind: type[SparkError] = NumberFormatError
    if re.search("TIMESTAMP|DATE|TIME", target):
        kind = DateTimeError
    elif "BOOL" in target:
        kind = RuntimeSparkError
    return kind("CAST_INVALID_INPUT", expression=f"'{value}'", sourceType=source, targetType=target, ansiConfig=_ANSI)


def _bad_string(found: re.Match[str]) -> SparkError:
    return _cast(found["value"], '"STRING"', _spark_type(found["type"]))


def _bad_time(found: re.Match[str]) -> SparkError:
    return _cast(found["value"], '"STRING"', _spark_type(found["type"]))


def _cast_overflow(found: re.Match[str]) -> SparkError:
    if found["source"] in _SUMS:
        return _too_large("try_add")
    return ArithmeticSparkError(
        "CAST_OVERFLOW",
        value=found["value"],
        sourceType=_spark_type(found["source"]),
        targetType=_spark_type(found["type"]),
        ansiConfig=_ANSI,
    )


def _decimal_overflow(found: re.Match[str]) -> SparkError:
    return ArithmeticSparkError(
        "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        value=found["value"],
        precision=found["precision"],
        scale=found["scale"],
        config=_ANSI,
    )


def _overflow(found: re.Match[str]) -> SparkError:
    return _too_large(_OPERATIONS.get(found["operation"].lower()))


def _small_overflow(found: re.Match[str]) -> SparkError:
    """Of bytes and shorts Spark names the values; a negation is DuckDB's subtraction from 0."""
    operation = found["operation"].lower()
    if operation == "subtraction" and found["left"] == "0":
        return _too_large(None)
    return ArithmeticSparkError(
        "BINARY_ARITHMETIC_OVERFLOW",
        value1=found["left"] + "S",
        symbol=found["symbol"],
        value2=found["right"] + "S",
        functionName=f"`{_OPERATIONS[operation]}`",
    )


def _any_overflow(_: re.Match[str]) -> SparkError:
    return _too_large(None)


def _too_large(hint: str | None) -> SparkError:
    way = f" Use '{hint}' to tolerate overflow and return NULL instead." if hint else ""
    return ArithmeticSparkError("ARITHMETIC_OVERFLOW", message="overflow", alternative=way, config=_ANSI)


def _by_zero(_: re.Match[str]) -> SparkError:
    return ArithmeticSparkError("DIVIDE_BY_ZERO", config=_ANSI)


def _missing_file(found: re.Match[str]) -> SparkError:
    return FileReadError("FAILED_READ_FILE.FILE_NOT_EXIST", path=found["path"])


def _s3_failed(found: re.Match[str]) -> SparkError:
    return SparkError("S3_REQUEST_FAILED", path=found["path"], reason=found["reason"])


def _disk_full(found: re.Match[str]) -> SparkError:
    file = _UNWRITTEN.search(found.string)
    reason = f"could not write {file[1]}" if file else found.string.strip().splitlines()[0]
    return SparkError("DISK_FULL", message=reason)


def _bad_file(found: re.Match[str]) -> SparkError:
    reason = found.string.strip().splitlines()[0]
    return FileReadError("FAILED_READ_FILE.NO_HINT", path=found["path"], reason=reason)


def _bad_encoding(found: re.Match[str]) -> SparkError:
    reason = "It is not UTF-8 text. Convert it, or set the option encoding (CSV: latin-1, utf-16)."
    return FileReadError("FAILED_READ_FILE.NO_HINT", path=found["path"].strip(), reason=reason)


_QUOTED = r"['\"](?P<path>[^'\"]+)['\"]"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], SparkError]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), build)
    for pattern, build in (
        (r"No space left on device|[Dd]isk full|failed to offload data block", _disk_full),
        (r"Could not convert string ['\"](?P<value>.*)['\"] to (?P<type>DECIMAL\(.*?\)|[A-Z0-9]+)", _bad_string),
        (r"[Ii]nvalid (?P<type>date|timestamp) field format: \"(?P<value>.*?)\"", _bad_time),
        (r"(?P<type>date|timestamp) field value out of range: \"(?P<value>.*?)\"", _bad_time),
        (
            r"(?:Type (?P<source>\w+) with value|Could not cast value from \w+:?) (?P<value>\S+) can't be cast .*"
            r"type (?P<type>[A-Z0-9]+)",
            _cast_overflow,
        ),
        (r"Could not cast value (?P<value>\S+) to DECIMAL\((?P<precision>\d+),\s*(?P<scale>\d+)\)", _decimal_overflow),
        (
            r"Casting value \"(?P<value>\S+)\" to type DECIMAL\((?P<precision>\d+),\s*(?P<scale>\d+)\) failed",
            _decimal_overflow,
        ),
        (
            r"Overflow in (?P<operation>addition|subtraction|multiplication) of INT(?:8|16) "
            r"\((?P<left>-?\d+) (?P<symbol>[-+*]) (?P<right>-?\d+)\)",
            _small_overflow,
        ),
        (r"Overflow in (?P<operation>\w+) of (?P<type>\w+)", _overflow),
        (r"[Dd]ivision by zero|[Dd]ivide by zero", _by_zero),
        (r"Out of Range Error: (?P<text>.*)", _any_overflow),
        (r"No files found that match the pattern " + _QUOTED, _missing_file),
        (r"Cannot open file " + _QUOTED + r": No such file", _missing_file),
        (r"No such file or directory: " + _QUOTED, _missing_file),
        (r"\[S3_REQUEST_FAILED\] A request for (?P<path>.+?) failed: (?P<reason>.+?)\. Check", _s3_failed),
        (r"not utf-8 encoded.*?file = (?P<path>[^\n]+)", _bad_encoding),
        (r"GZIP stream: (?P<path>[^\n]+)", _bad_file),
        (r"(?:[Ff]ile |reading )" + _QUOTED, _bad_file),
    )
)

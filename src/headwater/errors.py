"""The error tree: every failure a user can see carries one of Spark's error conditions and its SQLSTATE.

Spark clients pick the Python exception by the JVM class names a server reports, and show
`[CONDITION] message SQLSTATE: xxxxx`. So each class here names the JVM classes it stands for, and each
condition is a row of `conditions.json` (message template with `<parameter>` holes, SQLSTATE).

    SparkError                      org.apache.spark.SparkException
    ├── AnalysisError               org.apache.spark.sql.AnalysisException
    │   └── ParseError              org.apache.spark.sql.catalyst.parser.ParseException
    ├── IllegalArgumentError        java.lang.IllegalArgumentException
    │   └── RequirementError        the same, without a condition
    ├── ArithmeticSparkError        java.lang.ArithmeticException
    ├── ArrayIndexError             java.lang.ArrayIndexOutOfBoundsException
    ├── DateTimeError               java.time.DateTimeException
    ├── NumberFormatError           java.lang.NumberFormatException
    ├── UnsupportedError            java.lang.UnsupportedOperationException
    ├── RuntimeSparkError           org.apache.spark.SparkRuntimeException
    │   ├── FileReadError           org.apache.spark.sql.execution.QueryExecutionException
    │   ├── PythonError             org.apache.spark.api.python.PythonException
    │   └── UnknownFieldError       org.apache.spark.sql.catalyst.util.UnknownFieldException
    ├── ConcurrentWriteError        java.util.ConcurrentModificationException
    └── StreamingQueryError         org.apache.spark.sql.streaming.StreamingQueryException

Invariants: a condition that is not in `conditions.json` cannot be raised (KeyError in tests); every
`<parameter>` of the template must be given.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import ClassVar, NamedTuple

_HOLE = re.compile(r"<(\w+)>")


class Condition(NamedTuple):
    """One row of `conditions.json`: the message template and its five-character SQLSTATE."""

    message: str
    sql_state: str


@cache
def conditions() -> dict[str, Condition]:
    """All error conditions by name (`CLASS` or `CLASS.SUBCLASS`)."""
    rows = json.loads(files("headwater").joinpath("conditions.json").read_text("utf-8"))
    return {name: Condition(row["message"], row["sqlState"]) for name, row in rows.items()}


class QueryContext(NamedTuple):
    """Where in the user's SQL text a failure lies. `start` and `stop` are character positions, both inclusive."""

    fragment: str
    start: int = -1
    stop: int = -1
    summary: str = ""
    object_type: str = ""
    object_name: str = ""


class SparkError(Exception):
    """A failure in Spark's terms.

    Args:
        condition: name of a row of `conditions.json`.
        parameters: a value for each `<hole>` of its message template.
    """

    java_classes: tuple[str, ...] = ("org.apache.spark.SparkException", "java.lang.Exception")
    named: ClassVar[bool] = True
    """Whether the client is told the condition."""
    contexts: tuple[QueryContext, ...] = ()
    """Where it lies in the user's SQL, if known; set after the error is made."""

    def __init__(self, condition: str, /, **parameters: object) -> None:
        row = conditions()[condition]
        self.condition = condition
        self.sql_state = row.sql_state
        self.parameters = {name: str(value) for name, value in parameters.items()}
        self.text = _HOLE.sub(lambda hole: self.parameters[hole[1]], row.message)
        super().__init__(f"[{condition}] {self.text} SQLSTATE: {row.sql_state}")


class AnalysisError(SparkError):
    """The query cannot be resolved or is not allowed."""

    java_classes: tuple[str, ...] = ("org.apache.spark.sql.AnalysisException", "java.lang.Exception")


class ParseError(AnalysisError):
    """The SQL text, type string or expression cannot be parsed."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.sql.catalyst.parser.ParseException",
        *AnalysisError.java_classes,
    )


class IllegalArgumentError(SparkError):
    """An option, setting or argument has an impossible value."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.SparkIllegalArgumentException",
        "java.lang.IllegalArgumentException",
        "java.lang.Exception",
    )


class RequirementError(IllegalArgumentError):
    """What Spark's code demands by `require`: a plain Java exception, which reaches the client without a condition."""

    java_classes: tuple[str, ...] = ("java.lang.IllegalArgumentException", "java.lang.Exception")
    named: ClassVar[bool] = False

    def __init__(self, demand: str) -> None:
        super().__init__("_LEGACY_ERROR_TEMP_3102", msg=f"requirement failed: {demand}")
        self.args = (self.text,)


class ArithmeticSparkError(SparkError):
    """ANSI arithmetic failed: overflow, division by zero."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.SparkArithmeticException",
        "java.lang.ArithmeticException",
        "java.lang.Exception",
    )


class ArrayIndexError(SparkError):
    """An array was read outside its bounds under ANSI rules."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.SparkArrayIndexOutOfBoundsException",
        "java.lang.ArrayIndexOutOfBoundsException",
        "java.lang.Exception",
    )


class DateTimeError(SparkError):
    """A date, time or pattern cannot be understood."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.SparkDateTimeException",
        "java.time.DateTimeException",
        "java.lang.Exception",
    )


class NumberFormatError(SparkError):
    """A string is not the number it is cast to."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.SparkNumberFormatException",
        "java.lang.NumberFormatException",
        "java.lang.IllegalArgumentException",
        "java.lang.Exception",
    )


class UnsupportedError(SparkError):
    """Spark has it, Headwater does not (yet); the message names it and the way out."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.SparkUnsupportedOperationException",
        "java.lang.UnsupportedOperationException",
        "java.lang.Exception",
    )


class RuntimeSparkError(SparkError):
    """A row or file failed while the query ran."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.SparkRuntimeException",
        "java.lang.RuntimeException",
        "java.lang.Exception",
    )


class FileReadError(RuntimeSparkError):
    """A data file cannot be read; the message names the file."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.sql.execution.QueryExecutionException",
        *RuntimeSparkError.java_classes,
    )


class UnknownFieldError(RuntimeSparkError):
    """A file has a field that the stream's schema does not know."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.sql.catalyst.util.UnknownFieldException",
        *RuntimeSparkError.java_classes,
    )


class PythonError(RuntimeSparkError):
    """A user's Python function failed; the message carries its traceback."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.api.python.PythonException",
        *RuntimeSparkError.java_classes,
    )


class ConcurrentWriteError(SparkError):
    """Two writers met on one table or checkpoint; one of them lost.

    A conflict of Delta's carries the name of Delta's exception, by which `delta-spark` raises its Python class.
    """

    java_classes: tuple[str, ...] = (
        "java.util.ConcurrentModificationException",
        *RuntimeSparkError.java_classes,
    )
    _delta: ClassVar[dict[str, str]] = {
        "DELTA_CONCURRENT_APPEND": "ConcurrentAppendException",
        "DELTA_CONCURRENT_DELETE_DELETE": "ConcurrentDeleteDeleteException",
        "DELTA_CONCURRENT_DELETE_READ": "ConcurrentDeleteReadException",
        "DELTA_CONCURRENT_TRANSACTION": "ConcurrentTransactionException",
        "DELTA_CONCURRENT_WRITE": "ConcurrentWriteException",
        "DELTA_METADATA_CHANGED": "MetadataChangedException",
        "DELTA_PROTOCOL_CHANGED": "ProtocolChangedException",
    }

    def __init__(self, condition: str, /, **parameters: object) -> None:
        super().__init__(condition, **parameters)
        name = self._delta.get(condition.partition(".")[0])
        if name is not None:
            parents = ("io.delta.exceptions.DeltaConcurrentModificationException", *type(self).java_classes)
            self.java_classes = (f"io.delta.exceptions.{name}", f"org.apache.spark.sql.delta.{name}", *parents)


class StreamingQueryError(SparkError):
    """A streaming query has ended with an error."""

    java_classes: tuple[str, ...] = (
        "org.apache.spark.sql.streaming.StreamingQueryException",
        "java.lang.Exception",
    )


PYTHON_WAY_OUT = "Use the functions of pyspark.sql.functions; on a stream, foreachBatch and foreach run Python."
"""What to do instead of Python functions over rows."""


CARRIED = "HEADWATER"
"""What precedes an error that travels as the text of another engine's error (see `carried`)."""


def carried(error: SparkError) -> str:
    """The error as text that can pass through DuckDB or Arrow; `functions.raising.translate` reads it."""
    body = {"kind": type(error).__name__, "condition": error.condition, "parameters": error.parameters}
    return CARRIED + json.dumps(body)


def unsupported(feature: str, way_out: str = "It runs on Apache Spark.") -> UnsupportedError:
    """The error for a feature Headwater does not have: names the feature and what to do instead."""
    return UnsupportedError("UNSUPPORTED_FEATURE.HEADWATER", feature=feature, wayOut=way_out)

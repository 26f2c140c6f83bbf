"""What the log says of a column in each file: between which values it lies, and how often it is null.

The sources are the partition values and the `stats` text of each file, parsed once for the columns that are asked for.

Invariants: a bound holds for every row, whichever writer made it (a cut text is widened to the end of what it may have
been cut from, a time to the end of its millisecond); what is not known for certain is None. Values are comparable in
Python: whole numbers, `float`, `Decimal`, `str` (by code point, which is Spark's order of UTF-8), days and microseconds
since 1970, `bool`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from pyspark.sql.types import (
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headwater.lake.actions import AddFile, Metadata

Path = tuple[str, ...]

INTEGRAL = (ByteType, ShortType, IntegerType, LongType)
FLOATING = (FloatType, DoubleType)
_CUT_LENGTH = 32
_SURE_DIGITS = 15
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIE_BREAKERS = "\U0010ffff\ufffd\x7f?"
_PHYSICAL_NAME = "delta.columnMapping.physicalName"


class Bounds(NamedTuple):
    """One column in one file. None is unknown.

    Attributes:
        low, high: no value that is not null lies below or above.
        nulls, rows: how many rows are null, and how many there are.
    """

    low: Any = None
    high: Any = None
    nulls: int | None = None
    rows: int | None = None

    @property
    def all_null(self) -> bool:
        """Whether every row is known to be null."""
        return self.rows is not None and self.nulls == self.rows


_UNKNOWN = Bounds()


class Statistics:
    """The bounds of a version's files, column by column, kept once they are computed."""

    def __init__(self, metadata: Metadata, files: Sequence[AddFile]) -> None:
        self.files = files
        self._metadata = metadata
        self._mapped = metadata.configuration.get("delta.columnMapping.mode", "none") != "none"
        self._known: dict[Path, list[Bounds]] = {}

    @property
    def schema(self) -> StructType:
        """The table's columns."""
        return self._metadata.schema

    def of(self, path: Path) -> list[Bounds]:
        """A column's bounds, file by file; `path` leads to it through structs, spelled as in the schema."""
        if path not in self._known:
            self.prepare([path])
        return self._known[path]

    def prepare(self, paths: Iterable[Path]) -> None:
        """Compute several columns' bounds in one pass over the files."""
        missing = [path for path in dict.fromkeys(paths) if path not in self._known]
        stored = []
        for path in missing:
            fields = fields_of(self.schema, path)
            if len(path) == 1 and path[0] in self._metadata.partition_columns:
                self._known[path] = self._partitions(fields[0])
            else:
                stored.append((path, [self._physical(field) for field in fields], _written_type(fields[-1])))
        if stored:
            self._known.update(self._stored(stored))

    def _physical(self, field: StructField) -> str:
        return str((field.metadata or {}).get(_PHYSICAL_NAME, field.name)) if self._mapped else field.name

    def _partitions(self, field: StructField) -> list[Bounds]:
        name = self._physical(field)
        parse = _partition_parser(field.dataType)
        made: dict[str | None, Bounds] = {None: Bounds(nulls=1, rows=1)}
        found = []
        for file in self.files:
            text = file.partition_values.get(name)
            if text not in made:
                # An empty text is null to Delta, and text to some readers.
                value = _tried(parse, text) if parse and text else None
                made[text] = _UNKNOWN if value is None else Bounds(value, value, 0, 1)
            found.append(made[text])
        return found

    def _stored(self, columns: Sequence[tuple[Path, list[str], DataType]]) -> dict[Path, list[Bounds]]:
        readers = [(path, names, _Reader(kind)) for path, names, kind in columns]
        found: dict[Path, list[Bounds]] = {path: [] for path, _, _ in readers}
        exact = any(isinstance(kind, DecimalType) for _, _, kind in columns)
        for file in self.files:
            stats = _parsed(file.stats, exact)
            for path, names, reader in readers:
                found[path].append(reader.bounds(stats, names) if stats else _UNKNOWN)
        return found


def fields_of(schema: StructType, path: Path) -> list[StructField]:
    """The fields that a path goes through."""
    found: list[StructField] = []
    kind: DataType = schema
    for name in path:
        assert isinstance(kind, StructType)
        found.append(kind[name])
        kind = found[-1].dataType
    return found


def _parsed(stats: str | None, exact: bool) -> Mapping[str, Any] | None:
    if not stats:
        return None
    try:
        found = json.loads(stats, parse_float=Decimal if exact else None)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _written_type(field: StructField) -> DataType:
    """The type whose text the bounds are: none for a double that was a float, whose text has not all its digits."""
    changes = (field.metadata or {}).get("delta.typeChanges", ())
    return NullType() if any(change.get("fromType") == "float" for change in changes) else field.dataType


class _Reader:
    """Reads one column's bounds out of parsed statistics."""

    def __init__(self, kind: DataType) -> None:
        self._low, self._high = _stored_parsers(kind)

    def bounds(self, stats: Mapping[str, Any], names: Sequence[str]) -> Bounds:
        rows = stats.get("numRecords")
        # Writers disagree on whether a field is null where its struct is.
        nulls = _at(stats.get("nullCount"), names) if len(names) == 1 else None
        low, high = _at(stats.get("minValues"), names), _at(stats.get("maxValues"), names)
        return Bounds(
            _tried(self._low, low) if self._low and low is not None else None,
            _tried(self._high, high) if self._high and high is not None else None,
            nulls if isinstance(nulls, int) else None,
            rows if isinstance(rows, int) else None,
        )


def _at(values: Any, names: Sequence[str]) -> Any:
    for name in names:
        if not isinstance(values, dict):
            return None
        values = values.get(name)
    return values


def _tried(parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except (ValueError, TypeError, OverflowError, InvalidOperation, struct.error):
        return None


# ── parsing ─────────────────────────────────────────────────────────────────────────────────────────────────────

Parser = Callable[[Any], Any]


def _stored_parsers(kind: DataType) -> tuple[Parser | None, Parser | None]:
    """How the low and the high bound of a type are read; None: not at all."""
    if isinstance(kind, INTEGRAL):
        return _whole, _whole
    if isinstance(kind, FLOATING):
        parse = _single if isinstance(kind, FloatType) else _double
        return parse, parse
    if isinstance(kind, DecimalType):
        slack = Decimal(10) ** (1 - _SURE_DIGITS) if kind.precision > _SURE_DIGITS else Decimal(0)
        return (lambda v: _decimal(v, -slack)), (lambda v: _decimal(v, slack))
    if _is_text(kind):
        return _text, _high_text
    if isinstance(kind, DateType):
        return days, days
    if isinstance(kind, TimestampType):
        return (lambda v: micros(v, zoned=True)), (lambda v: micros(v, zoned=True) + 999)
    if isinstance(kind, TimestampNTZType):
        return (lambda v: micros(v, zoned=False)), (lambda v: micros(v, zoned=False) + 999)
    return None, None


def _partition_parser(kind: DataType) -> Parser | None:
    """How a partition value of a type is read; a time with a zone is not, because it may be in any."""
    if isinstance(kind, INTEGRAL):
        return int
    if isinstance(kind, DecimalType):
        return Decimal
    if _is_text(kind):
        return str
    if isinstance(kind, DateType):
        return days
    if isinstance(kind, TimestampNTZType):
        return lambda v: micros(v, zoned=False)
    if isinstance(kind, BooleanType):
        return lambda v: {"true": True, "false": False}.get(v.lower())
    return None


def _is_text(kind: DataType) -> bool:
    """Whether values compare as bytes: not those of CHAR, VARCHAR and collations."""
    return type(kind) is StringType and kind == StringType()


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _double(value: Any) -> float | None:
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    return None if number != number else number


def _single(value: Any) -> float | None:
    """The text of a 4-byte number as the number it stands for."""
    number = _double(value)
    return None if number is None else float(struct.unpack("f", struct.pack("f", number))[0])


def _decimal(value: Any, slack: Decimal) -> Decimal:
    """Widened by what a writer that goes through binary numbers may have lost."""
    if isinstance(value, bool):
        raise ValueError
    number = Decimal(value) if not isinstance(value, float) else Decimal(repr(value))
    if not number.is_finite():
        raise ValueError
    return number + abs(number) * slack if slack else number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _high_text(value: Any) -> str | None:
    """The text, or if it may have been cut, the first one after all that begin like it."""
    if not isinstance(value, str):
        raise ValueError
    if len(value.encode("utf-16-le", "surrogatepass")) // 2 < _CUT_LENGTH:
        return value
    return _successor(value.rstrip(_TIE_BREAKERS))


def _successor(prefix: str) -> str | None:
    while prefix:
        last = ord(prefix[-1]) + 1
        if last <= 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if 0xD800 <= last < 0xE000 else last)
        prefix = prefix[:-1]
    return None


def days(value: str) -> int:
    """A date's days since 1970. Raises ValueError."""
    return date.fromisoformat(value).toordinal() - _EPOCH_DAY


def micros(value: str, *, zoned: bool) -> int:
    """A time's microseconds since 1970. Raises ValueError unless it has a zone exactly if `zoned`."""
    moment = datetime.fromisoformat(value)
    if (moment.tzinfo is not None) != zoned:
        raise ValueError("a zone too many or too few")
    since = (moment if zoned else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

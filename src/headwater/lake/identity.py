"""Identity columns of a Delta table: numbers that a write gives to its rows.

The column's field keeps where the numbers start, their step, and the last one that was given (the high-water mark).
Gaps are no harm.

Invariants: no number is given twice: a write counts on from the mark of the version it was prepared on, and its commit
moves the mark, which no other writer may have changed meanwhile; a mark never goes back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import LongType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError
from headwater.lake.actions import Metadata
from headwater.lake.conflicts import MARK, MARKS_ONLY
from headwater.lake.snapshot import read_files
from headwater.lake.transaction import Operation

if TYPE_CHECKING:
    from headwater.lake.log import LogState

START, STEP = "delta.identity.start", "delta.identity.step"
EXPLICIT = "delta.identity.allowExplicitInsert"
ONLY_MARKS = {MARKS_ONLY: "true"}
"""The tags of a commit that changes nothing of the definition but marks, so that it disturbs no other writes."""
SYNC = Operation("SYNC IDENTITY")


@dataclass(frozen=True)
class Identity:
    """One identity column. `mark`: the last number given, None before the first; `explicit`: rows may bring numbers."""

    name: str
    start: int
    step: int
    mark: int | None
    explicit: bool

    @property
    def first(self) -> int:
        """The number of the next row."""
        return self.start if self.mark is None else self.mark + self.step

    def number(self) -> exp.Expr:
        """A row's number, in the order in which DuckDB comes by the rows."""
        before = exp.Sub(this=exp.Window(this=exp.Anonymous(this="row_number")), expression=exp.Literal.number(1))
        distance = exp.Mul(this=_whole(self.step), expression=exp.paren(before))
        return exp.Add(this=_whole(self.first), expression=distance)

    def after(self, rows: int) -> int:
        """The mark after that many rows."""
        return self.first + self.step * (rows - 1)


def _whole(value: int) -> exp.Expr:
    return exp.Cast(this=exp.Literal.number(value), to=exp.DataType.build("bigint"))


def is_identity(field: StructField) -> bool:
    """Whether the column numbers its rows."""
    return START in (field.metadata or {})


def identities(schema: StructType) -> dict[int, Identity]:
    """The identity columns by their places."""
    return {index: _identity(field) for index, field in enumerate(schema.fields) if is_identity(field)}


def _identity(field: StructField) -> Identity:
    kept: Mapping[str, Any] = field.metadata
    mark = kept.get(MARK)
    return Identity(
        field.name,
        int(kept[START]),
        int(kept.get(STEP, 1)),
        None if mark is None else int(mark),
        bool(kept.get(EXPLICIT, False)),
    )


def check_defined(schema: StructType, partition_by: Iterable[str]) -> None:
    """Raise Delta's errors for identity columns that cannot be: other types than BIGINT, no step, partition columns."""
    by = {name.lower() for name in partition_by}
    for index, one in identities(schema).items():
        kind = schema.fields[index].dataType
        if not isinstance(kind, LongType):
            raise AnalysisError("DELTA_IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE", dataType=kind.simpleString())
        if one.step == 0:
            raise AnalysisError("DELTA_IDENTITY_COLUMNS_ILLEGAL_STEP")
        if one.name.lower() in by:
            raise AnalysisError("DELTA_IDENTITY_COLUMNS_PARTITION_NOT_SUPPORTED", colName=one.name)


def check_given(schema: StructType, given: Iterable[str]) -> None:
    """Raise DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED if rows bring numbers that only the table gives."""
    names = {name.lower() for name in given}
    for one in identities(schema).values():
        if not one.explicit and one.name.lower() in names:
            raise AnalysisError("DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED", colName=one.name)


def check_changed(field: StructField) -> None:
    """Raise DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED if the column is one whose values stay as they were given."""
    if is_identity(field):
        raise AnalysisError("DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED", colName=field.name)


# ── marks ───────────────────────────────────────────────────────────────────────────────────────────────────


def moved(metadata: Metadata, places: Collection[int], rows: int) -> Metadata:
    """The metadata after the columns at `places` have numbered that many rows."""
    if not rows:
        return metadata
    marks = {index: one.after(rows) for index, one in identities(metadata.schema).items() if index in places}
    return _with_marks(metadata, marks)


def _with_marks(metadata: Metadata, marks: Mapping[int, int]) -> Metadata:
    if not marks:
        return metadata
    fields = [
        StructField(f.name, f.dataType, f.nullable, {**f.metadata, MARK: marks[index]}) if index in marks else f
        for index, f in enumerate(metadata.schema.fields)
    ]
    return dataclasses.replace(metadata, schema_text=StructType(fields).json())


def _further(one: Identity, mark: int) -> int:
    if one.mark is None:
        return mark
    return max(one.mark, mark) if one.step > 0 else min(one.mark, mark)


def synced(path: str, state: LogState, name: str, connection: Connection) -> Metadata:
    """The metadata with the column's mark at or beyond each of its values.

    Raises DELTA_IDENTITY_COLUMNS_ALTER_NON_IDENTITY_COLUMN.
    """
    assert state.metadata is not None
    schema = state.metadata.schema
    found = [(i, one) for i, one in identities(schema).items() if one.name.lower() == name.lower()]
    if not found:
        raise AnalysisError("DELTA_IDENTITY_COLUMNS_ALTER_NON_IDENTITY_COLUMN")
    index, one = found[0]
    column = exp.column(one.name, quoted=True)
    furthest = exp.Max(this=column) if one.step > 0 else exp.Min(this=column)
    rows = exp.Subquery(
        this=read_files(path, state.metadata, tuple(state.files.values())),
        alias=exp.TableAlias(this=exp.to_identifier("rows_")),
    )
    row = connection.execute(sql_text(exp.select(furthest).from_(rows))).fetchone()
    if row is None or row[0] is None:
        return state.metadata
    mark = _on_the_way(one, int(row[0]))
    return state.metadata if mark is None else _with_marks(state.metadata, {index: _further(one, mark)})


def _on_the_way(one: Identity, value: int) -> int | None:
    """The first number of the column's own at or beyond `value`; None if it lies before all of them."""
    distance = value - one.start
    return None if distance * one.step < 0 else one.start - (-distance // one.step) * one.step

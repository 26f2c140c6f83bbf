"""Z-order: an order of rows in which those that are near in any of several columns lie near each other.

Each column's values become the number of the range they fall into, ranges that hold about as many rows each; the
numbers' bits are interleaved, most significant first. Rows of one cell are sorted by the columns themselves.

Invariants: the order depends on a sample of the rows but loses and doubles none; null counts as the least value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pyspark.sql.types import ArrayType, DataType, MapType, StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.lake.actions import Metadata

ColumnPath = tuple[str, ...]
"""The names on the way to a column: one, and then those of a struct's fields."""

_SAMPLE_ROWS = 100_000
_LEAST_BITS, _MOST_BITS = 3, 8
_CELLS_PER_PIECE = 16
_KEY_BITS = 126


def z_ordered(connection: Connection, rows: exp.Query, columns: Sequence[exp.Expr], pieces: int = 64) -> exp.Query:
    """`rows` sorted by the z-order of `columns`, expressions over its columns; what they are is read from a sample.

    Args:
        pieces: into how many runs of rows (files, row groups) the order is to be cut: the ranges are as fine as
            that needs, since each bit of their numbers costs time.

    Raises UNSUPPORTED_FEATURE for more columns than a key has bits.
    """
    keys: list[exp.Expr] = [column.copy() for column in columns]
    if len(columns) > 1:
        bits = _bits(len(columns), pieces)
        bounds = _bounds(connection, _named(rows), columns, 1 << bits)
        numbers = [f"headwater_range_{index}" for index in range(len(columns))]
        ranges = [_range(column, each, 1 << bits) for column, each in zip(columns, bounds, strict=True)]
        # Below the key, so that each is computed once and not for each of its bits.
        found = [_alias(each, name) for each, name in zip(ranges, numbers, strict=True)]
        rows = exp.Select(expressions=[exp.Star(), *found], from_=exp.From(this=_named(rows)))
        keys.insert(0, interleaved([exp.column(name) for name in numbers], bits))
        columns_kept: exp.Expr = exp.Star(except_=[exp.to_identifier(name) for name in numbers])
    else:
        columns_kept = exp.Star()
    ordered = [exp.Ordered(this=key, nulls_first=True) for key in keys]
    kept = exp.Select(expressions=[columns_kept], from_=exp.From(this=_named(rows)))
    kept.set("order", exp.Order(expressions=ordered))
    return kept


def _named(rows: exp.Query) -> exp.Subquery:
    return exp.Subquery(this=rows, alias=exp.TableAlias(this=exp.to_identifier("rows_")))


def _alias(value: exp.Expr, name: str) -> exp.Expr:
    return exp.Alias(this=value, alias=exp.to_identifier(name))


def _bits(columns: int, pieces: int) -> int:
    if columns > _KEY_BITS:
        raise unsupported(f"ZORDER BY {columns} columns", f"At most {_KEY_BITS} columns make a key.")
    wanted = math.ceil(math.log2(max(1, pieces) * _CELLS_PER_PIECE) / columns)
    return min(_MOST_BITS, _KEY_BITS // columns, max(_LEAST_BITS, wanted))


def _bounds(
    connection: Connection, rows: exp.Subquery, columns: Sequence[exp.Expr], ranges: int
) -> list[list[exp.Expr]]:
    """For each column the values at which a new range begins, rising."""
    sample = exp.TableSample(
        size=exp.Literal.number(_SAMPLE_ROWS), method=exp.var("RESERVOIR"), seed=exp.Literal.number(1)
    )
    values = exp.Subquery(
        this=exp.Select(
            expressions=[exp.alias_(column.copy(), f"v{index}") for index, column in enumerate(columns)],
            from_=exp.From(this=rows.copy()),
        ),
        alias=exp.TableAlias(this=exp.to_identifier("values_")),
    )
    values.set("sample", sample)
    places = exp.Array(expressions=[exp.Literal.number(f"{index / ranges:.6f}") for index in range(1, ranges)])
    found = exp.Select(from_=exp.From(this=values))
    for index in range(len(columns)):
        at = exp.Anonymous(this="quantile_disc", expressions=[exp.column(f"v{index}"), places.copy()])
        unique = exp.Anonymous(this="list_distinct", expressions=[at])
        sorted_ = exp.Anonymous(this="list_sort", expressions=[unique])
        texts = exp.Cast(this=sorted_, to=exp.DataType.build("text[]", dialect="duckdb"))
        kind = exp.Anonymous(this="any_value", expressions=[exp.func("typeof", exp.column(f"v{index}"))])
        found = found.select(texts, kind)
    row: Sequence[Any] = connection.execute(sql_text(found)).fetchone() or ()
    return [_typed(row[place], row[place + 1]) for place in range(0, len(row), 2)]


def _typed(texts: Sequence[str] | None, kind: str | None) -> list[exp.Expr]:
    if not texts or kind is None:
        return []
    to = exp.DataType.build(kind, dialect="duckdb")
    return [exp.Cast(this=exp.Literal.string(text), to=to.copy()) for text in texts]


def _range(column: exp.Expr, bounds: Sequence[exp.Expr], ranges: int) -> exp.Expr:
    """How many bounds are not above the column's value: a decision tree, so few comparisons per row; null is 0.

    The numbers are spread over 0 to `ranges` - 1, so that a column of few values has a say in the highest bits too.
    """

    def search(low: int, high: int) -> exp.Expr:
        if low == high:
            return exp.Literal.number(low * ranges // (len(bounds) + 1))
        middle = (low + high) // 2
        below = exp.LT(this=column.copy(), expression=bounds[middle].copy())
        return _either(below, search(low, middle), search(middle + 1, high))

    null = exp.Is(this=column.copy(), expression=exp.Null())
    return _either(null, exp.Literal.number(0), search(0, len(bounds)))


def _either(test: exp.Expr, yes: exp.Expr, no: exp.Expr) -> exp.Case:
    # Not by sqlglot's helpers, which copy the tree at each step.
    return exp.Case(ifs=[exp.If(this=test, true=yes)], default=no)


def interleaved(numbers: Sequence[exp.Expr], bits: int) -> exp.Expr:
    """The numbers' lowest `bits` bits, of the first number first, the most significant bits of all before the next."""
    huge = exp.DataType.build("int128", dialect="duckdb")
    parts: list[exp.Expr] = []
    for place, number in enumerate(numbers):
        for bit in range(bits):
            one = exp.BitwiseAnd(this=_shifted(number.copy(), -bit), expression=exp.Literal.number(1))
            target = bit * len(numbers) + len(numbers) - 1 - place
            parts.append(_shifted(exp.Cast(this=one, to=huge.copy()), target))
    key = parts[0]
    for part in parts[1:]:
        key = exp.BitwiseOr(this=key, expression=part)
    return key


def _shifted(number: exp.Expr, bits: int) -> exp.Expr:
    shift = exp.BitwiseLeftShift if bits >= 0 else exp.BitwiseRightShift
    return exp.paren(shift(this=exp.paren(number), expression=exp.Literal.number(abs(bits))))


# ── the columns to sort by ──────────────────────────────────────────────────────────────────────────────────

_CHECK = "spark.databricks.delta.optimize.zorder.checkStatsCollection.enabled"


def check_sortable(metadata: Metadata, columns: Sequence[ColumnPath], *, check_stats: bool = True) -> None:
    """Raise Delta's error for a column that is missing, partitions the table or, if asked, has no statistics."""
    partitions = {name.lower() for name in metadata.partition_columns}
    measured = _measured(metadata)
    bare = []
    for path in columns:
        if len(path) == 1 and path[0].lower() in partitions:
            raise IllegalArgumentError("DELTA_ZORDERING_ON_PARTITION_COLUMN", colName=named(path))
        found = field_at(metadata.schema, path)
        if found is None:
            raise IllegalArgumentError("DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST", columnName=named(path))
        if not measured.intersection(_below(*found)):
            bare.append(named(path))
    if check_stats and bare:
        listed = "[" + ", ".join(bare) + "]"
        raise AnalysisError("DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS", cols=listed, zorderColStatKey=_CHECK)


def sort_columns(schema: StructType, columns: Sequence[ColumnPath]) -> list[exp.Expr]:
    """The columns as expressions; a struct is its fields."""
    found: list[exp.Expr] = []
    for path in columns:
        there = field_at(schema, path)
        assert there is not None
        found += [_column(leaf) for leaf in _below(*there)]
    return found


def field_at(schema: StructType, path: ColumnPath) -> tuple[ColumnPath, DataType] | None:
    """The column as the schema spells it, and its type; None if there is none."""
    spelled: list[str] = []
    kind: DataType = schema
    for name in path:
        fields = kind.fields if isinstance(kind, StructType) else []
        field = next((one for one in fields if one.name.lower() == name.lower()), None)
        if field is None:
            return None
        spelled.append(field.name)
        kind = field.dataType
    return tuple(spelled), kind


def leaf_paths(schema: StructType) -> list[ColumnPath]:
    """The columns at the bottom of the structs, in order: those that statistics are counted by."""
    return [leaf for field in schema.fields for leaf in _below((field.name,), field.dataType)]


def named(path: ColumnPath) -> str:
    """The column as Spark prints it: parts that are no plain names in backticks."""
    return ".".join(part if part.replace("_", "").isalnum() else "`" + part.replace("`", "``") + "`" for part in path)


def column_path(name: str) -> ColumnPath:
    """The parts of a column's name as a user writes it: dots between them, backticks around odd ones."""
    parts = re.findall(r"`((?:[^`]|``)*)`|([^.`]+)", name)
    return tuple(quoted.replace("``", "`") or plain for quoted, plain in parts)


def _below(path: ColumnPath, kind: DataType) -> list[ColumnPath]:
    if not isinstance(kind, StructType):
        return [path]
    return [leaf for field in kind.fields for leaf in _below((*path, field.name), field.dataType)]


def _measured(metadata: Metadata) -> set[ColumnPath]:
    """The columns whose least and greatest values the log keeps."""
    leaves = leaf_paths(metadata.schema)
    indexed = int(metadata.configuration.get("delta.dataSkippingNumIndexedCols", "32"))
    counted = leaves if indexed < 0 else leaves[:indexed]
    return {path for path in counted if not isinstance(_kind(metadata.schema, path), ArrayType | MapType)}


def _kind(schema: StructType, path: ColumnPath) -> DataType | None:
    found = field_at(schema, path)
    return None if found is None else found[1]


def _column(path: ColumnPath) -> exp.Expr:
    value: exp.Expr = exp.column(path[0], quoted=True)
    for name in path[1:]:
        value = exp.Anonymous(this="struct_extract", expressions=[value, exp.Literal.string(name)])
    return value

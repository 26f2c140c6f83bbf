"""A Delta table at one version, and the DuckDB query that reads it.

Invariants: a snapshot never changes, whatever is committed after it; its query has the schema's columns in the
schema's order and types, whichever of them a file holds, under whatever names and in whatever narrower types; rows
that a deletion vector takes away are not in it.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pyspark.sql.types import ArrayType, BinaryType, BooleanType, DataType, StructField, StructType
from sqlglot import exp

from headwater.io.instants import has_instants, holds_int96, in_utc, without_zone
from headwater.io.paths import as_remote, is_remote
from headwater.lake.actions import AddFile, Metadata, Protocol, decode_path
from headwater.lake.bounds import Statistics
from headwater.lake.deletion_vectors import BLOCK_BITS, deleted_rows
from headwater.lake.leftovers import asked_of, suspects
from headwater.lake.mapping import ID, file_key, mode_of, partition_of, physical_type, renamed, user_schema
from headwater.lake.pruning import matching
from headwater.plan.expressions import Expression
from headwater.types.duck import duck_name, to_duck

_MOST_BRANCHES = 4
_FILE, _DATA, _DELETED = "headwater_file", "data_", "deleted_"
_FILE_NUMBER = "file_index"
ROW_NUMBER = "file_row_number"
"""DuckDB's hidden column: a row's place in its Parquet file."""
_NOTHING = StructField("headwater_nothing", BooleanType(), metadata={ID: 2**31 - 1})
"""A column that no file has, asked for where the table has none outside its partitions: DuckDB wants one."""


@dataclass(frozen=True)
class Snapshot:
    """One version.

    Attributes:
        path: the table's folder. files: the live data files. timestamp_ms: when the version was committed.
    """

    path: str
    version: int
    metadata: Metadata
    protocol: Protocol
    files: tuple[AddFile, ...]
    timestamp_ms: int

    @property
    def schema(self) -> StructType:
        """The table's columns at this version, as users see them."""
        return user_schema(self.metadata.schema)

    @cached_property
    def statistics(self) -> Statistics:
        """What the log says of the files' columns."""
        return Statistics(self.metadata, self.files)

    def where(self, conditions: Sequence[Expression], time_zone: str) -> Snapshot:
        """The version with the files alone that may hold rows which meet the conditions; see `pruning.matching`."""
        return replace(self, files=matching(self.statistics, conditions, time_zone)) if conditions else self

    def query(self) -> exp.Query:
        """All rows."""
        return read_files(self.path, self.metadata, self.files)


def read_files(
    path: str,
    metadata: Metadata,
    files: Sequence[AddFile],
    file_column: str | None = None,
    *,
    row_column: str | None = None,
) -> exp.Query:
    """The rows of `files`, which belong to the table at `path`, under the columns of `metadata`.

    With `file_column`, a column of that name after them gives each row's file as `local_path` has it; with
    `row_column`, one more its place in the file.
    """
    extra = {name: column for name, column in ((file_column, _FILE), (row_column, ROW_NUMBER)) if name is not None}
    if not files:
        return _nothing(metadata.schema, extra)
    instants = has_instants(StructType(_in_files(metadata)))
    groups: dict[tuple[object, ...], list[AddFile]] = {}
    kinds: dict[tuple[bool, bool, str], list[AddFile]] = {}
    odd = suspects(metadata)
    for file in files:
        place = local_path(path, file)
        asked = str(asked_of(metadata, odd, place)) if odd else ""
        kind = file.deletion_vector is None, instants and holds_int96(place), asked
        kinds.setdefault(kind, []).append(file)
        groups.setdefault((kind, *partition_of(metadata, file)), []).append(file)
    if len(groups) > _MOST_BRANCHES:
        parts = [_read_listed(path, metadata, members, extra) for members in kinds.values()]
    else:
        parts = [_read_group(path, metadata, members, extra) for members in groups.values()]
    return parts[0] if len(parts) == 1 else _union(parts)


def _in_files(metadata: Metadata) -> list[StructField]:
    """The columns that files hold."""
    return [field for field in metadata.schema.fields if field.name not in metadata.partition_columns]


def _is_int96(path: str, metadata: Metadata, files: Sequence[AddFile]) -> bool:
    """Whether files that are read together hold instants as INT96."""
    return has_instants(StructType(_in_files(metadata))) and holds_int96(local_path(path, files[0]))


def _union(parts: list[exp.Select]) -> exp.Query:
    union: exp.Query = parts[0]
    for part in parts[1:]:
        union = exp.Union(this=union, expression=part, distinct=False)
    return union


def _nothing(schema: StructType, extra: Mapping[str, str]) -> exp.Select:
    columns = [_named(exp.Cast(this=exp.Null(), to=to_duck(f.dataType)), f) for f in schema.fields]
    for name, column in extra.items():
        kind = exp.DataType.build("text" if column == _FILE else "bigint")
        columns.append(_alias(exp.Cast(this=exp.Null(), to=kind), name))
    return exp.Select(expressions=columns or [exp.Null()]).where(exp.false())


def _read_group(path: str, metadata: Metadata, files: Sequence[AddFile], extra: Mapping[str, str]) -> exp.Select:
    """Files of one partition: its values are constants, so a filter on them drops the whole branch."""
    int96 = _is_int96(path, metadata, files)
    constants = dict(zip(metadata.partition_columns, partition_of(metadata, files[0]), strict=True))
    columns = [
        _named(_typed(_text(constants[f.name]), f) if f.name in constants else _stored(f, metadata, int96), f)
        for f in metadata.schema.fields
    ]
    return _undeleted(_select(path, metadata, files, columns, extra), path, files)


def _read_listed(path: str, metadata: Metadata, files: Sequence[AddFile], extra: Mapping[str, str]) -> exp.Select:
    """Files of many partitions: the values come from lists, by the file's number."""
    place: exp.Expr
    if _FILE in extra.values() or any(file.deletion_vector is not None for file in files):
        # DuckDB numbers the files anew once it has left some out by their names, which are asked for here.
        paths = exp.Array(expressions=[_text(local_path(path, file)) for file in files])
        place = exp.Anonymous(this="list_position", expressions=[paths, exp.column(_FILE, table=_DATA)])
    else:
        number = exp.Cast(this=exp.column(_FILE_NUMBER, table=_DATA), to=exp.DataType.build("bigint"))
        place = exp.Add(this=number, expression=exp.Literal.number(1))
    values = zip(*(partition_of(metadata, file) for file in files), strict=True)
    int96 = _is_int96(path, metadata, files)
    listed = dict(zip(metadata.partition_columns, values, strict=True))
    columns = [
        _named(_chosen(listed[f.name], place, f) if f.name in listed else _stored(f, metadata, int96), f)
        for f in metadata.schema.fields
    ]
    return _undeleted(_select(path, metadata, files, columns, extra), path, files)


def _chosen(values: Sequence[str | None], place: exp.Expr, field: StructField) -> exp.Expr:
    """The value at that place of a list, counted from 1. The list is cast as a whole: once, not for each row."""
    texts: exp.Expr = exp.Array(expressions=[_text(value) for value in values])
    if isinstance(field.dataType, BinaryType):
        return _typed(exp.Anonymous(this="list_extract", expressions=[texts, place.copy()]), field)
    typed = exp.Cast(this=texts, to=to_duck(ArrayType(field.dataType)))
    return exp.Anonymous(this="list_extract", expressions=[typed, place.copy()])


def _select(
    path: str, metadata: Metadata, files: Sequence[AddFile], columns: list[exp.Expr], extra: Mapping[str, str]
) -> exp.Select:
    more = [_alias(exp.column(column, table=_DATA), name) for name, column in extra.items()]
    return exp.Select(expressions=[*columns, *more], from_=exp.From(this=_scan(path, metadata, files)))


def _values(tuples: list[exp.Tuple], name: str, columns: Sequence[str]) -> exp.Values:
    alias = exp.TableAlias(this=exp.to_identifier(name), columns=[exp.to_identifier(column) for column in columns])
    return exp.Values(expressions=tuples, alias=alias)


def _undeleted(query: exp.Select, path: str, files: Sequence[AddFile]) -> exp.Select:
    """`query` without the rows that the files' deletion vectors name: by file and block, then by the block's bit."""
    blocks = [
        exp.Tuple(expressions=[_text(local_path(path, file)), exp.Literal.number(number), _bits(bitmap)])
        for file in files
        if file.deletion_vector is not None
        for number, bitmap in deleted_rows(path, file.deletion_vector)
    ]
    if not blocks:
        return query
    row, width = exp.column(ROW_NUMBER, table=_DATA), exp.Literal.number(BLOCK_BITS)
    same = exp.And(
        this=exp.EQ(this=exp.column(_FILE, table=_DATA), expression=exp.column("file", table=_DELETED)),
        expression=exp.EQ(
            this=exp.BitwiseRightShift(this=row, expression=width), expression=exp.column("block", table=_DELETED)
        ),
    )
    query.append("joins", exp.Join(this=_values(blocks, _DELETED, ("file", "block", "bits")), side="LEFT", on=same))
    bits = exp.column("bits", table=_DELETED)
    place: exp.Expr = exp.BitwiseAnd(this=row.copy(), expression=exp.Literal.number((1 << BLOCK_BITS) - 1))
    length = exp.Anonymous(this="bit_length", expressions=[bits])
    known = exp.LT(this=exp.paren(place), expression=length)
    place = exp.Cast(this=exp.paren(place.copy()), to=exp.DataType.build("int"))
    bit = exp.Anonymous(this="get_bit", expressions=[bits.copy(), place])
    # CASE, because AND may be computed in any order and there is no bit after the last.
    stays = exp.Case(default=exp.true()).when(known, exp.EQ(this=bit, expression=exp.Literal.number(0)))
    return query.where(stays, copy=False)


def _bits(bitmap: bytes) -> exp.Expr:
    text = exp.Literal.string(base64.b64encode(bitmap).decode("ascii"))
    blob = exp.Anonymous(this="from_base64", expressions=[text])
    return exp.Cast(this=blob, to=exp.DataType.build("BIT", dialect="duckdb"))


def _stored(field: StructField, metadata: Metadata, int96: bool) -> exp.Expr:
    mode = mode_of(metadata)
    value: exp.Expr = exp.column(_inner(field), table=_DATA, quoted=True)
    if int96:
        value = in_utc(value, physical_type(field.dataType, mode))
    value = renamed(value, field.dataType, mode)
    if not isinstance(field.dataType, StructType):
        return value
    # A barrier: asked for one field, DuckDB would take it by its place in the table's struct, not in the file's.
    return exp.Coalesce(this=value, expressions=[exp.Null()])


def _inner(field: StructField) -> str:
    """The column's name inside the scan, which has columns of its own."""
    name = str(field.name)
    return name + "_" if name.lower() in (ROW_NUMBER, _FILE, _FILE_NUMBER) else name


def _scan(path: str, metadata: Metadata, files: Sequence[AddFile]) -> exp.Table:
    paths = [_text(local_path(path, file)) for file in files]
    asked = dict(asked_of(metadata, suspects(metadata), local_path(path, files[0])))
    options = _options(metadata, _is_int96(path, metadata, files), asked)
    scan = exp.Anonymous(this="read_parquet", expressions=[exp.Array(expressions=paths), *options])
    return exp.Table(this=scan, alias=exp.TableAlias(this=exp.to_identifier(_DATA)))


def _options(metadata: Metadata, int96: bool, asked: Mapping[str, DataType]) -> list[exp.Expr]:
    """By name or field id, with the table's types: a column that an older file lacks is null, a narrower is cast.

    `asked`: other types for some columns, with their physical names.
    """
    mode = mode_of(metadata)
    columns = _in_files(metadata) or [_NOTHING]
    entries = [
        exp.PropertyEQ(
            this=file_key(field, mode),
            expression=exp.Struct(
                expressions=[
                    exp.PropertyEQ(this=exp.to_identifier("name"), expression=exp.Literal.string(_inner(field))),
                    exp.PropertyEQ(
                        this=exp.to_identifier("type"),
                        expression=exp.Literal.string(
                            _file_type(asked.get(field.name) or physical_type(field.dataType, mode), int96)
                        ),
                    ),
                    exp.PropertyEQ(this=exp.to_identifier("default_value"), expression=exp.Null()),
                ]
            ),
        )
        for field in columns
    ]
    schema = exp.ToMap(this=exp.Struct(expressions=entries))
    return [
        exp.EQ(this=exp.to_identifier("schema"), expression=schema),
        exp.EQ(this=exp.to_identifier("hive_partitioning"), expression=exp.false()),
        exp.EQ(this=exp.to_identifier("filename"), expression=exp.Literal.string(_FILE)),
    ]


def _file_type(kind: DataType, int96: bool) -> str:
    return duck_name(without_zone(kind) if int96 else kind)


def _text(value: str | None) -> exp.Expr:
    return exp.Null() if value is None else exp.Literal.string(value)


def _typed(text: exp.Expr, field: StructField) -> exp.Expr:
    """A partition value in the column's type."""
    if isinstance(field.dataType, BinaryType):
        return exp.Anonymous(this="encode", expressions=[exp.Cast(this=text, to=exp.DataType.build("text"))])
    return exp.Cast(this=text, to=to_duck(field.dataType))


def _named(value: exp.Expr, field: StructField) -> exp.Expr:
    return _alias(value, field.name)


def _alias(value: exp.Expr, name: str) -> exp.Expr:
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def local_path(table: str, file: AddFile) -> str:
    """Where the file lies on this machine."""
    plain = decode_path(file.path)
    if plain.startswith("file:"):
        return "/" + plain[len("file:") :].lstrip("/")
    plain = as_remote(plain)
    return plain if os.path.isabs(plain) or is_remote(plain) else os.path.join(table, plain)

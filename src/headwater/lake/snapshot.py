"""A Delta table at one version, and the DuckDB query that reads it.

Invariants: a snapshot never changes, whatever is committed after it; its query has the schema's columns in the
schema's order and types, whichever of them a file holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pyspark.sql.types import BinaryType, StructField, StructType
from sqlglot import exp

from headwater.errors import unsupported
from headwater.lake.actions import AddFile, Metadata, Protocol, decode_path
from headwater.lake.bounds import Statistics
from headwater.lake.pruning import matching
from headwater.plan.expressions import Expression
from headwater.types.duck import duck_name, to_duck

_MOST_BRANCHES = 16
_FILE, _DATA, _KEYS = "headwater_file", "data_", "keys_"
ROW_NUMBER = "file_row_number"
"""DuckDB's hidden column: a row's place in its Parquet file."""


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
        """The table's columns at this version."""
        return self.metadata.schema

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
    for file in files:
        if file.deletion_vector is not None:
            raise unsupported(
                f"the Delta table feature `deletionVectors` of table `{path}`",
                "Read the table with Apache Spark, or run REORG TABLE … APPLY (PURGE) on it.",
            )
    extra = {name: column for name, column in ((file_column, _FILE), (row_column, ROW_NUMBER)) if name is not None}
    if not files:
        return _nothing(metadata.schema, extra)
    groups: dict[tuple[str | None, ...], list[AddFile]] = {}
    for file in files:
        groups.setdefault(_values(metadata, file), []).append(file)
    if len(groups) > _MOST_BRANCHES:
        return _read_joined(path, metadata, files, extra)
    parts = [_read_group(path, metadata, members, extra) for members in groups.values()]
    return parts[0] if len(parts) == 1 else _union(parts)


def _values(metadata: Metadata, file: AddFile) -> tuple[str | None, ...]:
    return tuple(file.partition_values.get(name) for name in metadata.partition_columns)


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
    constants = dict(zip(metadata.partition_columns, _values(metadata, files[0]), strict=True))
    columns = [
        _named(_typed(_text(constants[f.name]), f) if f.name in constants else exp.column(f.name, quoted=True), f)
        for f in metadata.schema.fields
    ]
    columns += [_alias(exp.column(column), name) for name, column in extra.items()]
    return exp.Select(expressions=columns, from_=exp.From(this=_scan(path, metadata, files)))


def _read_joined(path: str, metadata: Metadata, files: Sequence[AddFile], extra: Mapping[str, str]) -> exp.Select:
    """Files of many partitions: the values come from a list by file name."""
    names = {name: f"partition_{index}" for index, name in enumerate(metadata.partition_columns)}
    columns = [
        _named(_typed(exp.column(names[f.name], table=_KEYS), f), f)
        if f.name in names
        else _named(exp.column(f.name, table=_DATA, quoted=True), f)
        for f in metadata.schema.fields
    ]
    columns += [_alias(exp.column(column, table=_DATA), name) for name, column in extra.items()]
    tuples = [
        exp.Tuple(expressions=[_text(local_path(path, file)), *map(_text, _values(metadata, file))]) for file in files
    ]
    key_columns = [exp.to_identifier(name) for name in (_FILE, *names.values())]
    keys = exp.Values(expressions=tuples, alias=exp.TableAlias(this=exp.to_identifier(_KEYS), columns=key_columns))
    same = exp.EQ(this=exp.column(_FILE, table=_DATA), expression=exp.column(_FILE, table=_KEYS))
    scan = _scan(path, metadata, files)
    scan.set("alias", exp.TableAlias(this=exp.to_identifier(_DATA)))
    join = exp.Join(this=keys, on=same)
    return exp.Select(expressions=columns, from_=exp.From(this=scan), joins=[join])


def _scan(path: str, metadata: Metadata, files: Sequence[AddFile]) -> exp.Table:
    stored = [field for field in metadata.schema.fields if field.name not in metadata.partition_columns]
    paths = [_text(local_path(path, file)) for file in files]
    scan = exp.Anonymous(this="read_parquet", expressions=[exp.Array(expressions=paths), *_options(stored)])
    return exp.Table(this=scan)


def _options(stored: Sequence[StructField]) -> list[exp.Expr]:
    """By name, with the table's types: a column that an older file lacks is null."""
    entries = [
        exp.PropertyEQ(
            this=exp.Literal.string(field.name),
            expression=exp.Struct(
                expressions=[
                    exp.PropertyEQ(this=exp.to_identifier("name"), expression=exp.Literal.string(field.name)),
                    exp.PropertyEQ(
                        this=exp.to_identifier("type"), expression=exp.Literal.string(duck_name(field.dataType))
                    ),
                    exp.PropertyEQ(this=exp.to_identifier("default_value"), expression=exp.Null()),
                ]
            ),
        )
        for field in stored
    ]
    schema = exp.ToMap(this=exp.Struct(expressions=entries))
    return [
        exp.EQ(this=exp.to_identifier("schema"), expression=schema),
        exp.EQ(this=exp.to_identifier("hive_partitioning"), expression=exp.false()),
        exp.EQ(this=exp.to_identifier("filename"), expression=exp.Literal.string(_FILE)),
    ]


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
    return plain if os.path.isabs(plain) else os.path.join(table, plain)

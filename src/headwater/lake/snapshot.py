"""A Delta table at one version, and the DuckDB query that reads it.

Invariants: a snapshot never changes, whatever is committed after it; its query has the schema's columns in the
schema's order and types, whichever of them a file holds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql.types import BinaryType, StructField, StructType
from sqlglot import exp

from headwater.errors import unsupported
from headwater.lake.actions import AddFile, Metadata, Protocol, decode_path
from headwater.types.duck import duck_name, to_duck


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

    def query(self) -> exp.Query:
        """All rows."""
        return read_files(self.path, self.metadata, self.files)


def read_files(path: str, metadata: Metadata, files: Sequence[AddFile], file_column: str | None = None) -> exp.Query:
    """The rows of `files`, which belong to the table at `path`, under the columns of `metadata`.

    With `file_column`, a last column of that name gives each row's file as `local_path` has it.
    """
    for file in files:
        if file.deletion_vector is not None:
            raise unsupported(
                f"the Delta table feature `deletionVectors` of table `{path}`",
                "Read the table with Apache Spark, or run REORG TABLE … APPLY (PURGE) on it.",
            )
    groups: dict[tuple[str | None, ...], list[AddFile]] = {}
    for file in files:
        groups.setdefault(tuple(file.partition_values.get(name) for name in metadata.partition_columns), []).append(
            file
        )
    if not groups:
        return _nothing(metadata.schema)
    parts = [_read_group(path, metadata, members, file_column) for members in groups.values()]
    return parts[0] if len(parts) == 1 else _union(parts)


def _union(parts: list[exp.Select]) -> exp.Query:
    """A balanced tree: a chain of thousands would be too deep to print."""
    level: list[exp.Query] = list(parts)
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [
            exp.Union(this=pair[0], expression=pair[1], distinct=False) if len(pair) == 2 else pair[0] for pair in pairs
        ]
    return level[0]


def _nothing(schema: StructType) -> exp.Select:
    columns = [_named(exp.Cast(this=exp.Null(), to=to_duck(f.dataType)), f) for f in schema.fields]
    return exp.Select(expressions=columns or [exp.Null()]).where(exp.false())


def _read_group(path: str, metadata: Metadata, files: Sequence[AddFile], file_column: str | None) -> exp.Select:
    """Files of one partition."""
    constants = {name: files[0].partition_values.get(name) for name in metadata.partition_columns}
    stored = [field for field in metadata.schema.fields if field.name not in constants]
    columns = [
        _named(_constant(constants[f.name], f) if f.name in constants else exp.column(f.name, quoted=True), f)
        for f in metadata.schema.fields
    ]
    if file_column is not None:
        columns.append(exp.Alias(this=exp.column("filename"), alias=exp.to_identifier(file_column, quoted=True)))
    paths = [exp.Literal.string(local_path(path, file)) for file in files]
    scan = exp.Anonymous(this="read_parquet", expressions=[exp.Array(expressions=paths), *_options(stored)])
    return exp.Select(expressions=columns, from_=exp.From(this=exp.Table(this=scan)))


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
    ]


def _constant(text: str | None, field: StructField) -> exp.Expr:
    literal: exp.Expr = exp.Null() if text is None else exp.Literal.string(text)
    if isinstance(field.dataType, BinaryType) and text is not None:
        return exp.Anonymous(this="encode", expressions=[literal])
    return exp.Cast(this=literal, to=to_duck(field.dataType))


def _named(value: exp.Expr, field: StructField) -> exp.Expr:
    return exp.Alias(this=value, alias=exp.to_identifier(field.name, quoted=True))


def local_path(table: str, file: AddFile) -> str:
    """Where the file lies on this machine."""
    plain = decode_path(file.path)
    if plain.startswith("file:"):
        return "/" + plain[len("file:") :].lstrip("/")
    return plain if os.path.isabs(plain) else os.path.join(table, plain)

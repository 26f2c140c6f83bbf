"""CONVERT TO DELTA: a folder of Parquet files becomes a Delta table where it lies.

Invariants: one commit, no file is written or touched; every file that is no part of a hidden name is in the table,
and has the table's types; a partition value that does not fit its column, or a file that is not Parquet, is named
before anything is committed. Statistics are counted from the rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from pyspark.sql.types import (
    AtomicType,
    BinaryType,
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)
from sqlglot import exp

from headwater.crash import crash_point
from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError, FileReadError, RuntimeSparkError, SparkError, UnsupportedError
from headwater.io.mounts import quote_uri
from headwater.io.partitions import folder_values
from headwater.io.paths import as_uri
from headwater.io.s3_files import opened
from headwater.io.storage import FileStatus, Storage
from headwater.lake.actions import AddFile, Metadata, encode_path
from headwater.lake.mapping import MODE
from headwater.lake.plan import new_table
from headwater.lake.schema import as_nullable, merge
from headwater.lake.snapshot import local_path, read_files
from headwater.lake.stats import file_stats
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation
from headwater.types.arrow import from_arrow
from headwater.types.duck import to_duck

_INDEXED = 32
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_FILE = "converted_file"


@dataclass(frozen=True)
class Conversion:
    """A CONVERT TO DELTA as asked for.

    Attributes:
        partitions: the partition columns in folder order.
        given: whether the user named them, for history. statistics: whether to count statistics.
        properties: of the new table. catalog_name: the table's name in the catalog, for history.
    """

    partitions: StructType = field(default_factory=StructType)
    given: bool = False
    statistics: bool = True
    properties: Mapping[str, str] = field(default_factory=dict)
    catalog_name: str | None = None


def convert(table: LakeTable, connection: Connection, storage: Storage, asked: Conversion) -> int | None:
    """Make the folder of `table` a Delta table; how many files it has, or None (and nothing done) if it is one.

    Raises DELTA_EMPTY_DIRECTORY, DELTA_CONVERSION_UNSUPPORTED_COLUMN_MAPPING,
    DELTA_UNEXPECTED_NUM_PARTITION_COLUMNS_FROM_FILE_NAME,
    DELTA_UNEXPECTED_PARTITION_COLUMN_FROM_FILE_NAME, DELTA_FAILED_CAST_PARTITION_VALUE,
    DELTA_FAILED_TO_MERGE_FIELDS, FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER, and what a schema is refused for.
    """
    if table.version >= 0:
        return None
    mode = {key.lower(): value for key, value in asked.properties.items()}.get(MODE.lower(), "none")
    if mode.lower() != "none":
        raise UnsupportedError("DELTA_CONVERSION_UNSUPPORTED_COLUMN_MAPPING", config=MODE, mode=mode)
    names = tuple(asked.partitions.names)
    files = sorted(_visible(table.path, storage, names), key=lambda file: file.path)
    if not files:
        raise SparkError("DELTA_EMPTY_DIRECTORY", directory=table.path)
    values = {file.path: _partition_values(file, table.path, asked.partitions, connection) for file in files}
    schema = _whole([_stored(file) for file in files], asked.partitions)
    metadata, protocol = new_table(schema, names, asked.properties, table.clock.now_ms())
    adds = [
        AddFile(encode_path(os.path.relpath(file.path, table.path)), values[file.path], file.size, file.modified_ms)
        for file in files
    ]
    if asked.statistics:
        adds = _with_statistics(table.path, metadata, adds, connection)
    crash_point("lake.convert_ready")
    table.commit(
        Draft(
            Operation("CONVERT", _parameters(asked, len(adds)), None, "Serializable", bare=True),
            -1,
            tuple(adds),
            (),
            alone=True,
            metadata=metadata,
            protocol=protocol,
            metrics={"numConvertedFiles": len(adds)},
            made=(),
        )
    )
    return len(adds)


def _parameters(asked: Conversion, files: int) -> dict[str, Any]:
    named = {} if asked.catalog_name is None else {"catalogTable": asked.catalog_name}
    return {
        "numFiles": files,
        "partitionedBy": json.dumps(asked.partitions.names if asked.given else [], separators=(",", ":")),
        "collectStats": asked.statistics,
        **named,
        "sourceFormat": "parquet",
    }


# ── files and their partitions ──────────────────────────────────────────────────────────────────────────────


def _visible(root: str, storage: Storage, partitions: Sequence[str]) -> Iterator[FileStatus]:
    keys = tuple(f"{name}=" for name in partitions)
    for file in storage.walk(root):
        parts = os.path.relpath(file.path, root).split(os.sep)
        if not any(part.startswith(("_", ".")) and not part.startswith(keys) for part in parts):
            yield file


def _partition_values(
    file: FileStatus, root: str, columns: StructType, connection: Connection
) -> dict[str, str | None]:
    found = folder_values(os.path.dirname(file.path), frozenset((root,)))
    where = quote_uri(as_uri(file.path))
    if len(found) != len(columns.fields):
        raise AnalysisError(
            "DELTA_UNEXPECTED_NUM_PARTITION_COLUMNS_FROM_FILE_NAME",
            expectedColsSize=len(columns.fields),
            expectedCols=_listed(columns.names),
            parsedColsSize=len(found),
            parsedCols=_listed([name for name, _ in found]),
            path=where,
        )
    for (_, text), column in zip(found, columns.fields, strict=True):
        _check_value(text, column.dataType, connection)
    for (name, _), column in zip(found, columns.fields, strict=True):
        if name.lower() != column.name.lower():
            raise AnalysisError(
                "DELTA_UNEXPECTED_PARTITION_COLUMN_FROM_FILE_NAME",
                expectedCol=f"`{column.name}`",
                parsedCol=f"`{name}`",
                path=where,
            )
    return {column.name: text or None for (_, text), column in zip(found, columns.fields, strict=True)}


def _check_value(text: str | None, kind: DataType, connection: Connection) -> None:
    value = exp.TryCast(this=exp.Null() if text is None else exp.Literal.string(text), to=to_duck(kind))
    if text is None or connection.execute(sql_text(exp.select(value))).fetchall()[0][0] is not None:
        return
    raise RuntimeSparkError("DELTA_FAILED_CAST_PARTITION_VALUE", value=text, dataType=type(kind).__name__)


def _listed(names: Sequence[str]) -> str:
    return "[" + ", ".join(f"`{name}`" for name in names) + "]"


# ── schema ──────────────────────────────────────────────────────────────────────────────────────────────────


def _stored(file: FileStatus) -> StructType:
    """A file's columns: what Spark wrote into it, else by the Parquet types; old 96-bit times are instants."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        parquet = pq.ParquetFile(opened(file.path))
    except (pa.ArrowInvalid, OSError) as cause:
        raise FileReadError("FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER", path=quote_uri(as_uri(file.path))) from cause
    written = (parquet.metadata.metadata or {}).get(_SPARK_SCHEMA)
    if written is not None:
        return as_nullable(StructType.fromJson(json.loads(written)))
    columns = [parquet.schema.column(index) for index in range(len(parquet.schema))]
    old = {column.path.split(".")[0] for column in columns if column.physical_type == "INT96"}
    schema = as_nullable(from_arrow(parquet.schema_arrow))
    return StructType([_as_instants(one) if one.name in old else one for one in schema.fields])


def _as_instants(column: StructField) -> StructField:
    """The column with instants in place of times without a zone, at any depth."""
    text = json.dumps(column.jsonValue()).replace(f'"{TimestampNTZType.typeName()}"', f'"{TimestampType.typeName()}"')
    return StructField.fromJson(json.loads(text))


def _whole(schemas: Sequence[StructType], partitions: StructType) -> StructType:
    """All columns of all files, each with one type, then the partition columns."""
    keys = {name.lower() for name in partitions.names}
    distinct: dict[str, StructType] = {}
    for schema in schemas:
        distinct.setdefault(schema.json(), schema)
    data = reduce(_both, distinct.values())
    kept = [column for column in data.fields if column.name.lower() not in keys]
    return StructType([*kept, *as_nullable(partitions).fields])


def _both(one: StructType, other: StructType) -> StructType:
    """Raises DELTA_FAILED_TO_MERGE_FIELDS: a type may neither be narrower nor wider than in another file."""
    merge(other, one, grow=True)
    return merge(one, other, grow=True)


# ── statistics ──────────────────────────────────────────────────────────────────────────────────────────────


def _with_statistics(root: str, metadata: Metadata, files: Sequence[AddFile], connection: Connection) -> list[AddFile]:
    """The files with counts and bounds of their first columns."""
    stored = StructType([one for one in metadata.schema.fields if one.name not in metadata.partition_columns])
    leaves = list(_leaves(stored.fields, ()))[:_INDEXED]
    measures = [measure for path, kind in leaves for measure in _measures(path, kind)]
    rows = exp.Subquery(
        this=read_files(root, metadata, files, _FILE), alias=exp.TableAlias(this=exp.to_identifier("r_"))
    )
    query = exp.select(exp.column(_FILE), exp.Count(this=exp.Star()), *measures).from_(rows).group_by(exp.column(_FILE))
    found = {row[0]: row[1:] for row in connection.execute(sql_text(query)).fetchall()}
    return [replace(file, stats=_stats(found.get(local_path(root, file)), leaves, stored)) for file in files]


def _leaves(fields: Sequence[StructField], parents: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], DataType]]:
    for one in fields:
        if isinstance(one.dataType, StructType):
            yield from _leaves(one.dataType.fields, (*parents, one.name))
        else:
            yield (*parents, one.name), one.dataType


def _measures(path: tuple[str, ...], kind: DataType) -> list[exp.Expr]:
    """Four aggregates of a column: values that are not null, least and greatest as text, whether any is NaN."""
    value: exp.Expr = exp.column(path[0], quoted=True)
    for name in path[1:]:
        value = exp.Anonymous(this="struct_extract", expressions=[value, exp.Literal.string(name)])
    nothing: exp.Expr = exp.Null()
    low, high, odd = nothing, nothing, nothing
    if isinstance(kind, AtomicType) and not isinstance(kind, BinaryType | BooleanType):
        low, high = (exp.Cast(this=f(this=value.copy()), to=exp.DataType.build("text")) for f in (exp.Min, exp.Max))
    if isinstance(kind, DoubleType | FloatType):
        odd = exp.Anonymous(this="bool_or", expressions=[exp.Anonymous(this="isnan", expressions=[value.copy()])])
    return [exp.Count(this=value), low, high, odd]


def _stats(row: Sequence[Any] | None, leaves: Sequence[tuple[tuple[str, ...], DataType]], schema: StructType) -> str:
    if row is None:  # a file without rows
        return file_stats(0, {}, schema)
    report: dict[str, dict[str, str]] = {}
    for index, (path, _) in enumerate(leaves):
        count, low, high, odd = row[1 + 4 * index : 5 + 4 * index]
        facts = {"null_count": str(row[0] - count), "has_nan": str(bool(odd)).lower()}
        if low is not None and high is not None:
            facts |= {"min": low, "max": high}
        report[".".join('"' + name.replace('"', '""') + '"' for name in path)] = facts
    return file_stats(row[0], report, schema)

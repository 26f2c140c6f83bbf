"""Relations without an input: reads, local data, ranges, SQL text, table functions, cached and catalog relations.

Invariants: Arrow bytes are opened, not copied; SQL text stays text until it is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.connect.decode.base import Decoder, relation
from headwater.connect.proto import pb2
from headwater.errors import unsupported
from headwater.plan.commands import CatalogCall
from headwater.plan.expressions import Expression
from headwater.plan.identifiers import parse_name
from headwater.plan.relations import (
    CachedRemote,
    LocalData,
    Range,
    ReadSource,
    ReadTable,
    Relation,
    TableFunction,
    UnboundSQL,
)
from headwater.sql.file_functions import NAMES, file_function


def options(pairs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Options as they were given, by name."""
    return tuple(sorted(pairs.items()))


def schema_text(text: str) -> StructType | None:
    """The schema of DDL or JSON text; None for no text."""
    if not text:
        return None
    from headwater.types.ddl import parse_schema

    return parse_schema(text)


@relation("read")
def read(decoder: Decoder, message: Any) -> Relation:
    """`spark.read…`, `spark.readStream…`, `spark.table`."""
    if message.WhichOneof("read_type") == "named_table":
        table = message.named_table
        return ReadTable(parse_name(table.unparsed_identifier), options(table.options), message.is_streaming)
    source = message.data_source
    if source.predicates:
        raise unsupported("reading JDBC with predicates", "Read the database with a library and createDataFrame.")
    return ReadSource(
        format=source.format or decoder.default_format,
        schema=schema_text(source.schema),
        options=options(source.options),
        paths=tuple(source.paths),
        streaming=message.is_streaming,
        name=source.source_name or None,
    )


@relation("relation_changes")
def relation_changes(_: Decoder, message: Any) -> ReadTable:
    """`spark.read.changes`, `spark.readStream.changes`: the change data feed of a Delta table.

    Its rows are as Delta recorded them: `computeUpdates` and modes that only drop carried-over rows change nothing.
    """
    given = dict(message.options)
    folded = {key.lower(): value.lower() for key, value in given.items()}
    if folded.get("deduplicationmode", "none") not in ("none", "dropcarryovers"):
        raise unsupported("changes with deduplicationMode=netChanges", "Take the last change of each key yourself.")
    kept = {key: value for key, value in given.items() if key.lower() not in ("deduplicationmode", "computeupdates")}
    named = (*options(kept), ("readChangeFeed", "true"))
    return ReadTable(parse_name(message.unparsed_identifier), named, message.is_streaming)


@relation("local_relation")
def local_relation(_: Decoder, message: Any) -> LocalData:
    """`createDataFrame`."""
    return local_data(list([message.data] if message.HasField("data") else []), message.schema)


def local_data(streams: list[bytes], schema: str) -> LocalData:
    """Arrow IPC streams of one schema as a relation."""
    declared = schema_text(schema)
    if streams:
        tables = [pa.ipc.open_stream(pa.py_buffer(data)).read_all() for data in streams]
        return LocalData(tables[0] if len(tables) == 1 else pa.concat_tables(tables), declared)
    from headwater.types.arrow import arrow_schema

    return LocalData(arrow_schema(declared or StructType(), "UTC").empty_table(), declared)


@relation("cached_local_relation")
def cached_local_relation(decoder: Decoder, message: Any) -> LocalData:
    """A `LocalRelation` the client has sent as an artifact."""
    return local_relation(decoder, pb2.LocalRelation.FromString(decoder.artifact(message.hash)))


@relation("chunked_cached_local_relation")
def chunked_cached_local_relation(decoder: Decoder, message: Any) -> LocalData:
    """Local data sent as several artifacts."""
    schema = decoder.artifact(message.schemaHash).decode() if message.HasField("schemaHash") else ""
    return local_data([decoder.artifact(digest) for digest in message.dataHashes], schema)


@relation("cached_remote_relation")
def cached_remote_relation(_: Decoder, message: Any) -> CachedRemote:
    """A relation the server keeps: a checkpoint, or the batch of foreachBatch."""
    return CachedRemote(message.relation_id)


@relation("range")
def range_(_: Decoder, message: Any) -> Range:
    """`spark.range`."""
    return Range(message.start, message.end, message.step)


@relation("sql")
def sql(decoder: Decoder, message: Any) -> UnboundSQL:
    """`spark.sql` inside a plan."""
    named, positional = sql_arguments(decoder, message)
    return UnboundSQL(message.query, tuple(named.items()), positional)


def sql_arguments(decoder: Decoder, message: Any) -> tuple[dict[str, Expression], tuple[Expression, ...]]:
    """The parameters of SQL text; 4.x clients send expressions, older ones literals."""
    from headwater.connect.decode.literals import literal

    named: dict[str, Expression] = {key: literal(decoder, message.args[key]) for key in message.args}
    named.update({key: decoder.expression(message.named_arguments[key]) for key in message.named_arguments})
    positional: list[Expression] = [literal(decoder, item) for item in message.pos_args]
    positional.extend(decoder.expressions(message.pos_arguments))
    return named, tuple(positional)


@relation("unresolved_table_valued_function")
def table_function(decoder: Decoder, message: Any) -> TableFunction | ReadSource:
    """`spark.tvf.…`."""
    name, arguments = message.function_name.lower(), decoder.expressions(message.arguments)
    return file_function(name, arguments) if name in NAMES else TableFunction(name, arguments)


@relation("catalog")
def catalog(decoder: Decoder, message: Any) -> Relation:
    """`spark.catalog.…`: done when the plan is decoded, as in Spark; the relation is its result."""
    call = message.WhichOneof("cat_type")
    if call is None:
        raise unsupported("an unknown call of spark.catalog")
    return decoder.run(CatalogCall(call, _arguments(decoder, getattr(message, call))))


def _arguments(decoder: Decoder, message: Any) -> tuple[tuple[str, object], ...]:
    found: list[tuple[str, object]] = []
    for item in message.DESCRIPTOR.fields:
        value = getattr(message, item.name)
        if item.has_presence and not message.HasField(item.name):
            continue
        if item.name == "schema":
            value = decoder.struct(value)
        elif isinstance(value, Mapping):
            value = options(value)
        elif item.name == "storage_level":
            continue
        found.append((item.name, value))
    return tuple(found)

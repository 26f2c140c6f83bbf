"""Commands that write: `df.write`, `df.writeTo`, temporary views.

Invariant: what a writer cannot honour (buckets, sorted files) is refused, not ignored.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, command
from headwater.connect.decode.leaves import options
from headwater.connect.proto import pb2
from headwater.errors import unsupported
from headwater.plan.commands import CreateView, Write, WriteTo
from headwater.plan.identifiers import parse_name

_W = pb2.WriteOperation
_V2 = pb2.WriteOperationV2
_MODES = {
    _W.SAVE_MODE_UNSPECIFIED: "errorifexists",
    _W.SAVE_MODE_APPEND: "append",
    _W.SAVE_MODE_OVERWRITE: "overwrite",
    _W.SAVE_MODE_ERROR_IF_EXISTS: "errorifexists",
    _W.SAVE_MODE_IGNORE: "ignore",
}
_V2_MODES = {
    _V2.MODE_CREATE: "create",
    _V2.MODE_OVERWRITE: "overwrite",
    _V2.MODE_OVERWRITE_PARTITIONS: "overwrite_partitions",
    _V2.MODE_APPEND: "append",
    _V2.MODE_REPLACE: "replace",
    _V2.MODE_CREATE_OR_REPLACE: "create_or_replace",
}


@command("write_operation")
def write(decoder: Decoder, message: Any) -> Write:
    """`df.write.save/saveAsTable/insertInto`."""
    if message.HasField("bucket_by") or message.sort_column_names:
        raise unsupported("bucketBy and sortBy", "Use partitionBy or clusterBy.")
    target = message.WhichOneof("save_type")
    table = message.table if target == "table" else None
    return Write(
        decoder.relation(message.input),
        message.source or None,
        _MODES[message.mode],  # type: ignore[arg-type]
        path=message.path if target == "path" else None,
        table=parse_name(table.table_name) if table else (),
        insert=table is not None and table.save_method == _W.SaveTable.TABLE_SAVE_METHOD_INSERT_INTO,
        partition_by=tuple(message.partitioning_columns),
        cluster_by=tuple(message.clustering_columns),
        options=_with_evolution(message),
    )


@command("write_operation_v2")
def write_to(decoder: Decoder, message: Any) -> WriteTo:
    """`df.writeTo(table)…`."""
    mode = _V2_MODES.get(message.mode)
    if mode is None:
        raise unsupported("an unknown mode of writeTo")
    return WriteTo(
        decoder.relation(message.input),
        parse_name(message.table_name),
        mode,  # type: ignore[arg-type]
        provider=message.provider or None,
        partition_by=decoder.expressions(message.partitioning_columns),
        cluster_by=tuple(message.clustering_columns),
        options=_with_evolution(message),
        properties=options(message.table_properties),
        condition=decoder.expression(message.overwrite_condition) if message.HasField("overwrite_condition") else None,
    )


def _with_evolution(message: Any) -> tuple[tuple[str, str], ...]:
    given = dict(message.options)
    if message.with_schema_evolution:
        given.setdefault("mergeSchema", "true")
    return options(given)


@command("create_dataframe_view")
def create_view(decoder: Decoder, message: Any) -> CreateView:
    """`createOrReplaceTempView`, `createGlobalTempView`, …"""
    scope = "global" if message.is_global else "temporary"
    return CreateView(decoder.relation(message.input), parse_name(message.name), scope, message.replace)  # type: ignore[arg-type]

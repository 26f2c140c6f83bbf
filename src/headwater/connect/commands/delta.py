"""Delta's commands (`delta.connect.DeltaCommand`): what `DeltaTable`'s methods do that give no rows.

Invariant: each builds the command that the same SQL statement builds; what that refuses is refused here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pyspark.sql.types import DataType, StructField, StructType

from headwater.connect.commands.base import Call, handler
from headwater.connect.decode.base import Decoder
from headwater.connect.decode.delta import found_table, name_or_path
from headwater.connect.decode.delta_messages import chosen, pairs, unpacked
from headwater.connect.proto import pb2
from headwater.errors import unsupported
from headwater.plan.commands import AlterTable, CloneTable, Command, CreateTable, Vacuum
from headwater.plan.delta_tables import BuildDelta
from headwater.plan.identifiers import parse_name
from headwater.plan.upkeep import GenerateManifest

_MODES = {1: "create", 2: "create_if_not_exists", 3: "replace", 4: "create_or_replace"}


@handler("extension")
def extension(call: Call, message: Any) -> None:
    """A command of Delta. Raises UNSUPPORTED_FEATURE for other plug-ins."""
    name, content = chosen(unpacked(message, "DeltaCommand"))
    call.session.run(_COMMANDS[name](call.decoder, content))


def _vacuum(decoder: Decoder, message: Any) -> Command:
    hours = message.retention_hours if message.HasField("retention_hours") else None
    return Vacuum(found_table(decoder, message.table), hours)


def _clone(decoder: Decoder, message: Any) -> Command:
    return CloneTable(
        name_or_path(message.target),
        found_table(decoder, message.table),
        shallow=message.is_shallow,
        replace=message.replace,
        version=message.version if message.HasField("version") else None,
        timestamp=message.timestamp if message.HasField("timestamp") else None,
        properties=pairs(message.properties),
    )


# ── creating ────────────────────────────────────────────────────────────────────────────────────────────────


def _create(decoder: Decoder, message: Any) -> Command:
    if message.mode not in _MODES:
        raise unsupported(f"mode {message.mode} of delta.connect.CreateDeltaTable")
    table = CreateTable(
        parse_name(message.table_name) if message.HasField("table_name") else (),
        StructType([_column(decoder, column) for column in message.columns]),
        "delta",
        location=message.location if message.HasField("location") else None,
        partition_by=tuple(message.partitioning_columns),
        properties=pairs(message.properties),
        comment=message.comment if message.HasField("comment") else None,
        cluster_by=tuple(message.clustering_columns),
    )
    return BuildDelta(cast(Any, _MODES[message.mode]), table)


def _column(decoder: Decoder, message: Any) -> StructField:
    """A column with what the log keeps about it in its metadata."""
    kind: DataType = decoder.type(pb2.DataType.FromString(message.data_type))
    kept: dict[str, Any] = {}
    if message.HasField("comment"):
        kept["comment"] = message.comment
    if message.HasField("generated_always_as"):
        kept["delta.generationExpression"] = message.generated_always_as
    if message.HasField("identity_info"):
        identity = message.identity_info
        kept["delta.identity.start"] = identity.start
        kept["delta.identity.step"] = identity.step
        kept["delta.identity.allowExplicitInsert"] = identity.allow_explicit_insert
    return StructField(message.name, kind, message.nullable, kept)


# ── protocol and features: what ALTER TABLE … SET TBLPROPERTIES says ────────────────────────────────────────


def _upgrade(decoder: Decoder, message: Any) -> Command:
    versions = {"delta.minReaderVersion": message.reader_version, "delta.minWriterVersion": message.writer_version}
    return _set(found_table(decoder, message.table), {key: str(version) for key, version in versions.items()})


def _add_feature(decoder: Decoder, message: Any) -> Command:
    table = found_table(decoder, message.table)
    return _set(table, {f"delta.feature.{message.feature_name}": "supported"})


def _set(table: tuple[str, ...], properties: dict[str, str]) -> Command:
    return AlterTable(table, "set properties", (("properties", tuple(properties.items())),))


def _drop_feature(decoder: Decoder, message: Any) -> Command:
    arguments = (("feature", message.feature_name), ("truncate", message.truncate_history))
    return AlterTable(found_table(decoder, message.table), "drop feature", arguments)


def _generate(decoder: Decoder, message: Any) -> Command:
    return GenerateManifest(found_table(decoder, message.table), message.mode)


_COMMANDS: dict[str, Callable[[Decoder, Any], Command]] = {
    "clone_table": _clone,
    "vacuum_table": _vacuum,
    "upgrade_table_protocol": _upgrade,
    "generate": _generate,
    "create_delta_table": _create,
    "add_feature_support": _add_feature,
    "drop_feature_support": _drop_feature,
}

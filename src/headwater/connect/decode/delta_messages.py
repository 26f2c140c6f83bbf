"""Delta's extension messages of Spark Connect (`delta.connect.DeltaRelation`, `DeltaCommand`), as a table of fields.

They are built in a descriptor pool of their own: the client's package may have registered the originals in this very
process, and a server must run without that package. Messages of Spark inside them are `bytes` here, which is the same
on the wire; the decoder parses them as what they are. Source: `delta/connect/*.proto` of delta-spark 4.4.1.

Invariants: numbers and types of fields are Delta's; every field knows whether it was set (as in proto2), so the one
that is set of a `oneof` is the first of `ListFields`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from headwater.errors import SparkError, unsupported

PACKAGE = "delta.connect"

FIELDS: dict[str, str] = {
    "Entry": "key=1:string value=2:string",
    "Path": "path=1:string hadoop_conf=2:Entry*",
    "DeltaTable": "path=1:Path table_or_view_name=2:string",
    "OfTable": "table=1:DeltaTable",
    "Assignment": "field=1:bytes value=2:bytes",
    "Assignments": "assignments=1:Assignment*",
    "Nothing": "",
    # relations
    "ConvertToDelta": "identifier=1:string partition_schema_string=2:string partition_schema_struct=3:bytes",
    "RestoreTable": "table=1:DeltaTable version=2:int64 timestamp=3:string",
    "IsDeltaTable": "path=1:string",
    "DeleteFromTable": "target=1:bytes condition=2:bytes",
    "UpdateTable": "target=1:bytes condition=2:bytes assignments=3:Assignment*",
    "MergeIntoTable": "target=1:bytes source=2:bytes condition=3:bytes matched_actions=4:Action* "
    "not_matched_actions=5:Action* not_matched_by_source_actions=6:Action* with_schema_evolution=7:bool",
    "Action": "condition=1:bytes delete_action=2:Nothing update_action=3:Assignments update_star_action=4:Nothing "
    "insert_action=5:Assignments insert_star_action=6:Nothing",
    "OptimizeTable": "table=1:DeltaTable partition_filters=2:string* zorder_columns=3:string*",
    "DeltaRelation": "scan=1:OfTable describe_history=2:OfTable describe_detail=3:OfTable "
    "convert_to_delta=4:ConvertToDelta restore_table=5:RestoreTable is_delta_table=6:IsDeltaTable "
    "delete_from_table=7:DeleteFromTable update_table=8:UpdateTable merge_into_table=9:MergeIntoTable "
    "optimize_table=10:OptimizeTable",
    # commands
    "CloneTable": "table=1:DeltaTable target=2:string version=3:int32 timestamp=4:string is_shallow=5:bool "
    "replace=6:bool properties=7:Entry*",
    "VacuumTable": "table=1:DeltaTable retention_hours=2:double",
    "UpgradeTableProtocol": "table=1:DeltaTable reader_version=2:int32 writer_version=3:int32",
    "Generate": "table=1:DeltaTable mode=2:string",
    "IdentityInfo": "start=1:int64 step=2:int64 allow_explicit_insert=3:bool",
    "Column": "name=1:string data_type=2:bytes nullable=3:bool generated_always_as=4:string comment=5:string "
    "identity_info=6:IdentityInfo",
    "CreateDeltaTable": "mode=1:int32 table_name=2:string location=3:string comment=4:string columns=5:Column* "
    "partitioning_columns=6:string* properties=7:Entry* clustering_columns=8:string*",
    "AddFeatureSupport": "table=1:DeltaTable feature_name=2:string",
    "DropFeatureSupport": "table=1:DeltaTable feature_name=2:string truncate_history=3:bool",
    "DeltaCommand": "clone_table=1:CloneTable vacuum_table=2:VacuumTable "
    "upgrade_table_protocol=3:UpgradeTableProtocol generate=4:Generate create_delta_table=5:CreateDeltaTable "
    "add_feature_support=6:AddFeatureSupport drop_feature_support=7:DropFeatureSupport",
}
"""Messages by name; a field is `name=number:type`, `*` marks a repeated one."""

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}


def unpacked(message: Any, name: str) -> Any:
    """The content of an `Any` that holds `delta.connect.<name>`.

    Raises UNSUPPORTED_FEATURE naming what else it holds, CONNECT_INVALID_PLAN for bytes that are no such message.
    """
    kind = message.type_url.rpartition("/")[2]
    if kind != f"{PACKAGE}.{name}":
        raise unsupported(f"the extension `{kind}` of the Spark Connect protocol")
    try:
        return _classes()[name].FromString(message.value)
    except DecodeError as error:
        raise SparkError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg=str(error)) from error


def chosen(message: Any) -> tuple[str, Any]:
    """Name and content of the field that is set. Raises UNSUPPORTED_FEATURE for a newer one."""
    for field, content in message.ListFields():
        return field.name, content
    raise unsupported(f"a newer message of {message.DESCRIPTOR.full_name}")


def pairs(entries: Any) -> tuple[tuple[str, str], ...]:
    """A map of strings."""
    return tuple((entry.key, entry.value) for entry in entries)


@cache
def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="delta/connect/headwater.proto", package=PACKAGE, syntax="proto2")
    for name, fields in FIELDS.items():
        described = file.message_type.add(name=name)
        for field in fields.split():
            _add(described, field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"{PACKAGE}.{name}")) for name in FIELDS}


def _add(described: Any, text: str) -> None:
    name, _, rest = text.partition("=")
    number, _, kind = rest.partition(":")
    label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    field = described.field.add(name=name, number=int(number), label=label)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"

"""The table of Delta's messages against the genuine ones."""

from __future__ import annotations

from typing import Any

import pytest
from delta.connect import proto
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor

from headwater.connect.decode import delta_messages
from headwater.connect.proto import pb2
from headwater.errors import SparkError, UnsupportedError


def packed(message: Any) -> AnyMessage:
    made = AnyMessage()
    made.Pack(message)
    return made


def _kind(field: FieldDescriptor) -> str:
    if field.message_type is not None and field.message_type.file.package == delta_messages.PACKAGE:
        return "message"
    return {
        FieldDescriptor.TYPE_ENUM: "int32",
        FieldDescriptor.TYPE_MESSAGE: "bytes",
        FieldDescriptor.TYPE_BOOL: "bool",
        FieldDescriptor.TYPE_BYTES: "bytes",
        FieldDescriptor.TYPE_DOUBLE: "double",
        FieldDescriptor.TYPE_INT32: "int32",
        FieldDescriptor.TYPE_INT64: "int64",
        FieldDescriptor.TYPE_STRING: "string",
    }[field.type]


def _compare(ours: Any, genuine: Any, seen: set[str]) -> None:
    if genuine.full_name in seen:
        return
    seen.add(genuine.full_name)
    assert [(f.name, f.number, f.is_repeated, _kind(f)) for f in ours.fields] == [
        (f.name, f.number, f.is_repeated, _kind(f)) for f in sorted(genuine.fields, key=lambda f: f.number)
    ], genuine.full_name
    for field in genuine.fields:
        if _kind(field) == "message":
            _compare(ours.fields_by_name[field.name].message_type, field.message_type, seen)


@pytest.mark.parametrize("name", ["DeltaRelation", "DeltaCommand"])
def test_fields_are_those_of_the_genuine_messages(name: str) -> None:
    seen: set[str] = set()
    _compare(delta_messages._classes()[name].DESCRIPTOR, getattr(proto, name).DESCRIPTOR, seen)
    assert len(seen) > 8


def test_spark_s_messages_come_through_as_bytes() -> None:
    condition = pb2.Expression(expression_string=pb2.Expression.ExpressionString(expression="id = 1"))
    sent = proto.DeltaRelation()
    sent.delete_from_table.condition.CopyFrom(condition)
    name, found = delta_messages.chosen(delta_messages.unpacked(packed(sent), "DeltaRelation"))
    assert name == "delete_from_table"
    assert pb2.Expression.FromString(found.condition) == condition
    assert not found.HasField("target")


def test_maps_and_absent_fields() -> None:
    sent = proto.DeltaCommand()
    sent.create_delta_table.properties["a"] = "1"
    sent.create_delta_table.mode = proto.CreateDeltaTable.MODE_REPLACE
    _, found = delta_messages.chosen(delta_messages.unpacked(packed(sent), "DeltaCommand"))
    assert (delta_messages.pairs(found.properties), found.mode) == ((("a", "1"),), 3)
    assert not found.HasField("comment")


def test_other_extensions_are_named() -> None:
    with pytest.raises(UnsupportedError, match=r"google\.protobuf\.Any"):
        delta_messages.unpacked(packed(AnyMessage()), "DeltaRelation")
    newer = packed(proto.DeltaCommand())
    with pytest.raises(UnsupportedError, match=r"newer message of delta\.connect\.DeltaCommand"):
        delta_messages.chosen(delta_messages.unpacked(newer, "DeltaCommand"))


def test_broken_bytes_are_an_invalid_plan() -> None:
    broken = AnyMessage(type_url="type.googleapis.com/delta.connect.DeltaCommand", value=b"\x0a\xff")
    with pytest.raises(SparkError, match="CONNECT_INVALID_PLAN"):
        delta_messages.unpacked(broken, "DeltaCommand")

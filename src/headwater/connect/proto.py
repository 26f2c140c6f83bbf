"""The protocol messages and the servicer class that ship inside the PySpark client, under short names.

Invariants: nothing is vendored (two copies of one `.proto` in a process fail); deep messages are accepted by the
parser, so the limit on nesting is ours (see `decode.base`).
"""

from __future__ import annotations

from google._upb import _message
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from pyspark.sql.connect import proto as pb2
from pyspark.sql.connect.proto.base_pb2_grpc import (
    SparkConnectServiceServicer,
    add_SparkConnectServiceServicer_to_server,
)
from pyspark.sql.connect.types import proto_schema_to_pyspark_data_type as type_from_proto
from pyspark.sql.connect.types import pyspark_types_to_proto_types as type_to_proto

_message.SetAllowOversizeProtos(True)

add_servicer = add_SparkConnectServiceServicer_to_server

__all__ = [
    "AnyMessage",
    "ErrorInfo",
    "SparkConnectServiceServicer",
    "Status",
    "add_servicer",
    "pb2",
    "type_from_proto",
    "type_to_proto",
]

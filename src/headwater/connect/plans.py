"""A `Plan` as it arrives: plain, or compressed by the client.

Invariant: what a compressed plan may unpack to is bounded.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from headwater.connect.proto import pb2
from headwater.errors import SparkError

PLAN_LIMIT = 256 * 1024 * 1024

_Compressed = pb2.Plan.CompressedOperation


def decompress(plan: Any) -> Any:
    """The plan with a root or a command. Raises CONNECT_INVALID_PLAN."""
    if plan.WhichOneof("op_type") != "compressed_operation":
        return plan
    packed = plan.compressed_operation
    data = _unpack(packed)
    try:
        if packed.op_type == _Compressed.OP_TYPE_RELATION:
            return pb2.Plan(root=pb2.Relation.FromString(data))
        return pb2.Plan(command=pb2.Command.FromString(data))
    except DecodeError as error:
        raise SparkError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg=str(error)) from error


def _unpack(packed: Any) -> bytes:
    import zstandard

    if packed.compression_codec != pb2.CompressionCodec.COMPRESSION_CODEC_ZSTD:
        raise SparkError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg="its compression is not zstd")
    try:
        with zstandard.ZstdDecompressor().stream_reader(packed.data) as reader:
            data: bytes = reader.read(PLAN_LIMIT + 1)
    except zstandard.ZstdError as error:
        raise SparkError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg=str(error)) from error
    if len(data) > PLAN_LIMIT:
        raise SparkError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg=f"it is larger than {PLAN_LIMIT} bytes")
    return data

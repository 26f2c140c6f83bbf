"""Plans that come compressed."""

from __future__ import annotations

import pytest
import zstandard

from headwater.connect import plans
from headwater.connect.plans import decompress
from headwater.connect.proto import pb2
from headwater.errors import SparkError
from support.server import spark_session

Packed = pb2.Plan.CompressedOperation
RANGE = pb2.Relation(range=pb2.Range(start=0, end=3, step=1))


def packed(data: bytes, kind: int = Packed.OP_TYPE_RELATION) -> pb2.Plan:
    codec = pb2.CompressionCodec.COMPRESSION_CODEC_ZSTD
    operation = Packed(data=zstandard.ZstdCompressor().compress(data), op_type=kind, compression_codec=codec)
    return pb2.Plan(compressed_operation=operation)


def test_a_plain_plan_passes() -> None:
    plan = pb2.Plan(root=RANGE)
    assert decompress(plan) is plan


def test_a_compressed_plan_is_unpacked() -> None:
    assert decompress(packed(RANGE.SerializeToString())) == pb2.Plan(root=RANGE)
    command = pb2.Command(get_resources_command=pb2.GetResourcesCommand())
    assert decompress(packed(command.SerializeToString(), Packed.OP_TYPE_COMMAND)) == pb2.Plan(command=command)


def test_garbage_and_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = packed(b"")
    broken.compressed_operation.data = b"no zstd"
    for plan in (broken, packed(b"\xff\xff\xff")):
        with pytest.raises(SparkError, match="CANNOT_PARSE"):
            decompress(plan)
    monkeypatch.setattr(plans, "PLAN_LIMIT", 10)
    with pytest.raises(SparkError, match="larger than"):
        decompress(packed(b"\x00" * 1000))


def test_the_client_can_compress() -> None:
    settings = {
        "spark.connect.session.planCompression.threshold": "0",
        "spark.connect.session.planCompression.defaultAlgorithm": "ZSTD",
    }
    with spark_session(settings) as spark:
        rows = [("x" * 1000,)] * 100
        assert spark.createDataFrame(rows, "s string").count() == 100

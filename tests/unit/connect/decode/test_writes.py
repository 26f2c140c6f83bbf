"""Writes and views, as the genuine client writes them."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql.connect import functions as F
from pyspark.sql.types import IntegerType

from headwater.connect.decode.base import Decoder
from headwater.connect.proto import pb2
from headwater.errors import UnsupportedError
from headwater.plan.commands import CreateView, Write, WriteTo
from headwater.plan.expressions import Call, Column, Literal
from headwater.plan.relations import Range
from support.client import offline

R = Range(0, 3, 1)


def written(writer: Any) -> Any:
    client = writer._spark.client if hasattr(writer, "_spark") else offline().client
    return Decoder().command(writer._write.command(client))


def test_a_save_has_format_mode_and_options() -> None:
    writer = offline().range(3).write.format("delta").mode("append").partitionBy("id").option("mergeSchema", True)
    writer._write.path = "/x"
    assert written(writer) == Write(
        R, "delta", "append", path="/x", partition_by=("id",), options=(("mergeSchema", "true"),)
    )


def test_a_save_without_a_mode_must_not_meet_anything() -> None:
    writer = offline().range(3).write
    writer._write.path = "/x"
    assert written(writer) == Write(R, None, "errorifexists", path="/x")


def test_tables_are_created_or_inserted_into() -> None:
    writer = offline().range(3).write.mode("overwrite")
    writer._write.table_name, writer._write.table_save_method = "a.b", "save_as_table"
    assert written(writer) == Write(R, None, "overwrite", table=("a", "b"))
    writer._write.table_save_method = "insert_into"
    assert written(writer) == Write(R, None, "overwrite", table=("a", "b"), insert=True)


def test_buckets_are_refused() -> None:
    writer = offline().range(3).write.bucketBy(4, "id")
    writer._write.table_name, writer._write.table_save_method = "a", "save_as_table"
    with pytest.raises(UnsupportedError, match="bucketBy"):
        written(writer)


def test_the_second_writer_has_modes_of_its_own() -> None:
    writer = offline().range(3).writeTo("a.b").using("delta").tableProperty("k", "v").partitionedBy(F.col("id"))
    writer._write.mode = "create"
    assert written(writer) == WriteTo(R, ("a", "b"), "create", "delta", (Column(("id",)),), properties=(("k", "v"),))
    writer._write.mode, writer._write.overwrite_condition = "overwrite", F.col("id") == 1
    condition = Call("==", (Column(("id",)), Literal(1, IntegerType())))
    assert written(writer).condition == condition


@pytest.mark.parametrize(("everywhere", "scope"), [(False, "temporary"), (True, "global")])
def test_views_are_temporary_or_global(everywhere: bool, scope: str) -> None:
    view = pb2.CreateDataFrameViewCommand(name="v", is_global=everywhere, replace=True)
    view.input.range.CopyFrom(pb2.Range(start=0, end=3, step=1))
    assert Decoder().command(pb2.Command(create_dataframe_view=view)) == CreateView(R, ("v",), scope, True)  # type: ignore[arg-type]

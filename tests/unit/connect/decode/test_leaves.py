"""Reads, local data, SQL text and catalog calls, as the genuine client writes them."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import types as t
from pyspark.sql.connect.plan import LocalRelation

from headwater.connect.decode.base import Decoder
from headwater.connect.proto import pb2
from headwater.errors import SparkError, UnsupportedError
from headwater.plan import relations as p
from headwater.plan.commands import CatalogCall, Command
from headwater.plan.expressions import Literal
from support.client import offline, relation_of

INT = t.StructType().add("a", t.IntegerType())


def test_a_read_has_format_schema_options_and_paths() -> None:
    frame = offline().read.schema("a int").option("header", True).csv("/x")
    assert relation_of(frame) == p.ReadSource("csv", INT, (("header", "true"),), ("/x",))


def test_a_read_without_a_format_takes_the_default() -> None:
    frame = offline().read.load("/x")
    decoded = Decoder(default_format="parquet").relation(frame._plan.plan(frame._session.client))
    assert decoded == p.ReadSource("parquet", None, (), ("/x",))


def test_changes_are_a_read_of_the_feed() -> None:
    feed = ("readChangeFeed", "true")
    reader = offline().read.option("startingVersion", 2).option("deduplicationMode", "dropCarryovers")
    assert relation_of(reader.changes("a.b")) == p.ReadTable(("a", "b"), (("startingVersion", "2"), feed), False)
    assert relation_of(offline().readStream.changes("t")) == p.ReadTable(("t",), (feed,), True)
    with pytest.raises(UnsupportedError, match="netChanges"):
        relation_of(offline().read.option("deduplicationMode", "netChanges").changes("t"))


def test_a_stream_is_marked() -> None:
    plan = relation_of(offline().readStream.format("rate").load())
    assert (plan.format, plan.streaming) == ("rate", True)
    assert relation_of(offline().readStream.table("a.b")) == p.ReadTable(("a", "b"), (), True)


def test_tables_are_read_by_their_parts() -> None:
    assert relation_of(offline().table("a.`b.c`")) == p.ReadTable(("a", "b.c"))


def test_sql_keeps_its_text_and_parameters() -> None:
    message = pb2.Relation(sql=pb2.SQL(query="SELECT :a"))
    message.sql.named_arguments["a"].literal.integer = 1
    assert Decoder().relation(message) == p.UnboundSQL("SELECT :a", (("a", Literal(1, t.IntegerType())),))


def local(rows: list[int]) -> Any:
    return LocalRelation(pa.table({"a": pa.array(rows, pa.int32())}), INT.json())


def test_local_data_comes_as_arrow_with_its_schema() -> None:
    plan = Decoder().relation(local([1, 2]).plan(offline().client))
    assert plan.data.to_pydict() == {"a": [1, 2]}
    assert plan.schema == INT


def test_local_data_without_rows_has_only_a_schema() -> None:
    plan = Decoder().relation(LocalRelation(None, INT.json()).plan(offline().client))
    assert plan.data.num_rows == 0
    assert plan.data.schema.names == ["a"]


def test_cached_local_data_is_fetched_by_hash() -> None:
    data = local([1, 2]).serialize(offline().client)
    store = {hashlib.sha256(data).hexdigest(): data}
    message = pb2.Relation(cached_local_relation=pb2.CachedLocalRelation(hash=next(iter(store))))
    assert Decoder(store.__getitem__).relation(message).data.num_rows == 2
    with pytest.raises(SparkError, match="CANNOT_FIND_CACHED_LOCAL_RELATION"):
        Decoder().relation(message)


def test_chunked_local_data_is_put_together() -> None:
    pieces = {str(n): local([n]).plan(offline().client).local_relation.data for n in range(3)}
    store = {**pieces, "s": INT.json().encode()}
    chunked = pb2.ChunkedCachedLocalRelation(dataHashes=list(pieces), schemaHash="s")
    plan = Decoder(store.__getitem__).relation(pb2.Relation(chunked_cached_local_relation=chunked))
    assert plan.data.to_pydict() == {"a": [0, 1, 2]}


def test_a_catalog_call_is_run_with_its_arguments() -> None:
    calls: list[Command] = []

    def run(command: Command) -> p.Relation:
        calls.append(command)
        return p.OneRow()

    message = pb2.Relation(catalog=pb2.Catalog(list_tables=pb2.ListTables(pattern="x*")))
    assert Decoder(run=run).relation(message) == p.OneRow()
    assert calls == [CatalogCall("list_tables", (("pattern", "x*"),))]


def test_jdbc_predicates_are_refused() -> None:
    source = pb2.Read.DataSource(format="jdbc", predicates=["a = 1"])
    with pytest.raises(UnsupportedError, match="JDBC"):
        Decoder().relation(pb2.Relation(read=pb2.Read(data_source=source)))

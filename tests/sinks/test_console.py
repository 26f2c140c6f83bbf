"""The console sink: each batch under its number, laid out as `show()` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.types.ddl import parse_schema
from support.lake import numbers, query
from support.sinks import SinkBench


@pytest.fixture
def bench(tmp_path: Path) -> SinkBench:
    made = SinkBench("console", tmp_path, parse_schema("id bigint, name string"))
    made.session = Session(Runtime.local({"spark.sql.warehouse.dir": str(tmp_path)}), "session", "user")
    return made


def test_a_batch_is_printed_as_spark_prints_it(bench: SinkBench) -> None:
    rule = "-------------------------------------------"
    assert bench.put(bench.open(), 3, numbers(1)).rows == 1
    table = "+---+-----+\n| id| name|\n+---+-----+\n|  0|row 0|\n+---+-----+"
    assert [text.rstrip("\n") for text in bench.printed] == [f"{rule}\nBatch: 3\n{rule}\n{table}"]


def test_rows_and_widths_follow_the_options(bench: SinkBench) -> None:
    long = query("SELECT i AS id, repeat('x', 30) AS name FROM range(3) r(i)")
    bench.put(bench.open(options={"numRows": 2}), 0, long)
    bench.put(bench.open(options={"truncate": "false"}), 0, long)
    assert "only showing top 2 rows" in bench.printed[0]
    assert "x" * 17 + "..." in bench.printed[0]
    assert "x" * 30 in bench.printed[1]

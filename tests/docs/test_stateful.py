"""The queries that the guide to stateful streams shows run as they stand."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def test_the_guide(spark: SparkSession, tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.mkdir()
    rows = [{"id": i, "kind": "ab"[i % 2], "at": f"2024-01-01T00:{i:02}:00"} for i in range(40)]
    (events / "0.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = (ROOT / "docs" / "guide" / "stateful.md").read_text("utf-8").replace("/data/events", str(events))
    names: dict[str, Any] = {"spark": spark}
    found = []

    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for statement in ast.parse(block).body:
            if isinstance(statement, ast.Expr):
                found.append(_value(eval(ast.unparse(statement), names), names))
            else:
                exec(ast.unparse(statement), names)
            if "events" in names:
                names["impressions"] = names["events"].selectExpr("id AS ad", "at AS shown_at")
                names["clicks"] = names["events"].selectExpr("id AS clicked_ad", "at + INTERVAL 1 MINUTE AS clicked_at")

    processed, sliding, sessions, clicked, state_rows = found
    assert sorted(processed) == [("a", 20), ("b", 20)]
    assert len(sliding) > len(sessions) > 20
    assert len(clicked) == 40
    assert state_rows > 0


def _value(value: Any, names: dict[str, Any]) -> Any:
    """A stream's rows, once it has run; anything else as it is."""
    if not getattr(value, "isStreaming", False):
        return value
    mode = "update" if value.columns == ["kind", "n"] else "append"
    query = names["query"] = value.writeStream.format("memory").queryName("shown").outputMode(mode).start()
    query.processAllAvailable()
    query.stop()
    return [tuple(row) for row in names["spark"].table("shown").collect()]

"""What the guide to bad data shows is what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import functions
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "bad_data.md"
WAY = re.compile(r"```python\n([^`]*?)```\n```text\n([^`]*?)```", re.DOTALL)
SETUP = re.compile(r"```text\n(.*?)```\n\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def shown(rows: Any, folder: Path) -> str:
    """As `show` prints them, in order, with the folder called `/data`."""
    texts = {name for name, kind in rows.dtypes if kind == "string"}
    there, called = functions.lit(str(folder)), functions.lit("/data")
    named = [functions.replace(name, there, called).alias(name) if name in texts else name for name in rows.columns]
    ordered = rows.select(*named).orderBy(*(functions.col(name).asc_nulls_last() for name in rows.columns))
    return str(ordered._show_string(100, False, False)).strip()


def result(names: dict[str, Any], spark: SparkSession, folder: Path) -> str:
    """What a block has made: the table that its query has filled, its rows, or why they cannot be had."""
    if "query" in names:
        return shown(spark.read.format("delta").load(f"{folder}/out"), folder)
    if "letters" in names:
        return shown(names["letters"], folder)
    writer = names["rows"].writeStream.format("memory").queryName("shown").trigger(availableNow=True)
    try:
        writer.start().awaitTermination()
    except StreamingQueryException as error:
        return _first_line(str(error))
    return shown(spark.table("shown"), folder)


def _first_line(text: str) -> str:
    found = re.search(r"\[MALFORMED[^\n]*", text)
    assert found is not None, text
    return found[0]


def test_the_guide(spark: SparkSession, tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    found = SETUP.search(text)
    assert found is not None
    lines, setup = found.groups()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "lines.json").write_text(lines)
    base: dict[str, Any] = {}
    exec(setup.replace("headwater.session()", "given").replace("import headwater", ""), {"given": spark}, base)
    for code, wanted in WAY.findall(text):
        names = {**base, "spark": spark}
        exec(code.replace("/data", str(tmp_path)), names)
        assert result(names, spark, tmp_path).replace(str(tmp_path), "/data") == wanted.strip(), code

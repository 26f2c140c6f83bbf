"""Queries from text to rows, held against genuine Spark's answers (recorded by tests/spark/record_parser.py)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.plain_rows import plain
from support.sql_session import Sql

NAMED_OTHERWISE = {
    "a date and an interval are added by the operator `+`": "interval 1 month",
    "LIKE ANY and LIKE ALL become OR and AND": "LIKE ANY",
    "a NULL that is cast keeps the cast in its name": "cast(null AS",
    "a field of an indexed field is named from the field on": "r.g[0].h",
    "the offset of a frame is printed from the current row": "1 PRECEDING",
}
"""Where our column names differ from Spark's, and a word of the queries."""
RECORDING = json.loads((Path(__file__).parent / "recorded_queries.json").read_text())


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    session = Sql(str(tmp_path_factory.mktemp("queries")), **{"spark.sql.session.timeZone": "UTC"})
    for text in RECORDING["setup"]:
        session(text)
    yield session
    session.close()


def _structs_as_rows(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(_structs_as_rows(each) for each in value.values())
    if isinstance(value, list):
        return [_structs_as_rows(each) for each in value]
    return value


def answer(sql: Sql, text: str) -> dict[str, Any]:
    execution = sql.session.execute(sql.relation(text))
    table = execution.table()
    columns = [column.to_pylist() for column in table.columns]
    rows = zip(*columns, strict=True) if columns else []
    found = [plain([_structs_as_rows(value) for value in row]) for row in rows]
    return {"schema": execution.schema.simpleString(), "rows": found}


def types(schema: str) -> list[str]:
    """The column types of `struct<name:type,…>`: what follows the last colon of each name."""
    return [part.rsplit(":", 1)[-1] for part in schema.removeprefix("struct<").removesuffix(">").split(",")]


@pytest.mark.parametrize("text", RECORDING["queries"])
def test_a_query_answers_as_spark_does(sql: Sql, text: str) -> None:
    found, expected = answer(sql, text), RECORDING["queries"][text]
    if any(word in text for word in NAMED_OTHERWISE.values()):
        assert found["rows"] == expected["rows"]
        assert sorted(set(types(found["schema"]))) == sorted(set(types(expected["schema"])))
    else:
        assert found == expected

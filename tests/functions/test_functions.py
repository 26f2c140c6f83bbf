"""Everyday expressions give the text, the type or the error that genuine Spark gave when they were recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import SparkError
from headwater.sessions.session import Session
from support.record_functions import query
from support.spark_gold import new_session, run

CASES: list[dict[str, Any]] = [
    case for path in sorted(Path(__file__).parent.glob("*.json")) for case in json.loads(path.read_text("utf-8"))
]

_ARRAY_OF_NULL = "the SQL parser takes `array(null` for a type"
KNOWN = {
    "array_union(array(1, null), array(null, 2))": _ARRAY_OF_NULL,
    "array_intersect(array(1, null, 2), array(null, 2))": _ARRAY_OF_NULL,
}


def _parameter(case: dict[str, Any]) -> Any:
    reason = KNOWN.get(case["expression"])
    marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
    return pytest.param(case, marks=marks, id=case["expression"])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    made = new_session(tmp_path_factory.mktemp("warehouse"))
    yield made
    made.close()
    made.runtime.close()


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_an_expression_answers_as_spark_does(case: dict[str, Any], session: Session) -> None:
    if "error" in case:
        with pytest.raises(SparkError) as failure:
            run(query(case["expression"]), session)
        assert failure.value.condition == case["error"]
        return
    _, (row,) = run(query(case["expression"]), session)
    shown = "NULL" if case["text"] is None else case["text"]
    assert row == f"{shown}\t{case['type']}"

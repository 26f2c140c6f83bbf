"""Spark's own function examples: those that ever passed still pass.

`python -m support.gold_report` (from tests/) runs them all, writes docs/reference/spark_gold.md and the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.sessions.session import Session
from support.gold_report import RECORD, recorded
from support.spark_gold import check, examples, new_session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    made = new_session(tmp_path_factory.mktemp("warehouse"))
    yield made
    made.close()
    made.runtime.close()


@pytest.mark.parametrize("example", [e for e in examples() if e.id in recorded()], ids=lambda e: e.id)
def test_an_example_that_passed_once_still_passes(example: object, session: Session) -> None:
    outcome = check(example, session)  # type: ignore[arg-type]
    assert not outcome.problem


def test_the_record_names_only_examples_there_are() -> None:
    assert Path(RECORD).exists()
    assert recorded() <= {example.id for example in examples()}

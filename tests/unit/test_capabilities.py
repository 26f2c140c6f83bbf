"""The capability ledger against the registries, Spark's registry and PySpark's own source."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.capabilities.inventory import INVENTORY
from headwater.capabilities.ledger import STATES, Gap, contradictions, gaps, updated
from headwater.capabilities.page import page
from headwater.capabilities.python_functions import python_functions

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "compatibility.md"
REMEDY = "run `python -m headwater.capabilities --update` and give new rows their state and reason, then `make docs`"


def rows() -> Iterator[tuple[str, str, Gap]]:
    for area, listed in gaps().items():
        for name, gap in listed.items():
            yield area, name, gap


def test_each_thing_is_supported_or_listed_and_never_both() -> None:
    assert contradictions(gaps()) == [], REMEDY


def test_each_row_has_a_state_and_a_reason() -> None:
    bad = [(area, name) for area, name, gap in rows() if gap.state not in STATES or not gap.reason.endswith(".")]
    assert bad == []


def test_what_will_never_come_says_more_than_that_it_is_missing() -> None:
    assert [name for _, name, gap in rows() if gap.state == "never" and gap.reason == "Not built yet."] == []


def test_the_published_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == page(gaps()), "run `make docs`"


def test_contradictions_are_found() -> None:
    wrong = {"relation": {"project": Gap("todo", "."), "nonsense": Gap("todo", ".")}}
    found = contradictions(wrong)
    assert "relation project: supported, but listed" in found
    assert "relation nonsense: listed, but there is no such thing" in found
    assert any(line.endswith("neither supported nor listed") for line in found)


def test_an_update_drops_what_is_supported_and_adds_what_is_missing() -> None:
    text = updated({"relation": {"project": Gap("never", "x.")}})
    assert '"project"' not in text
    assert '"ml_relation": ["todo", "Not built yet."]' in text


def test_every_public_function_of_pyspark_is_accounted_for() -> None:
    sent = python_functions()
    assert len(sent) > 500
    assert sent["upper"] == ("upper",)
    assert sent["countDistinct"] == ("count",)
    assert {name for names in sent.values() for name in names} <= INVENTORY["function"].names()


@pytest.mark.parametrize("area", INVENTORY)
def test_an_area_has_things(area: str) -> None:
    assert INVENTORY[area].names()

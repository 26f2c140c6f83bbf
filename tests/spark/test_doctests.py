"""PySpark's own doctests: those that ever passed still pass.

They take minutes, so they run where `CI` or `HEADWATER_DOCTESTS` is set; `make doctests` extends the record.
"""

from __future__ import annotations

import os

import pytest

from support.doctest_report import MODULES, RECORD, recorded, run_all

slow = pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("HEADWATER_DOCTESTS")),
    reason="PySpark's doctests take minutes: set HEADWATER_DOCTESTS=1",
)


@slow
@pytest.mark.parametrize("module", MODULES)
def test_the_doctests_of_a_module_that_passed_still_pass(module: str) -> None:
    lost = _lost(module)
    if lost:  # rows of some examples come in no fixed order: lost is what fails twice
        lost &= _lost(module)

    assert lost == set()


def _lost(module: str) -> set[str]:
    found = run_all((module,))[module]
    return {name for name, why in found.items() if why and (name in recorded() or name == module)}


def test_the_record_is_there() -> None:
    assert RECORD.exists()
    assert len(recorded()) > 500

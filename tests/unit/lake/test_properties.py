"""Properties of a Delta table: known names, their spelling, what is kept."""

from __future__ import annotations

import pytest

from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.lake.properties import checked, kept


def test_delta_spells_its_properties_in_one_way_and_leaves_others_alone() -> None:
    given = {
        "delta.APPENDONLY": "true",
        "Mine": "1",
        "delta.constraints.a": "x > 0",
        "delta.feature.madeUp": "supported",
    }
    assert checked(given) == {"delta.appendOnly": "true", **dict(list(given.items())[1:])}


def test_a_misspelt_property_is_named() -> None:
    with pytest.raises(AnalysisError, match=r"\[DELTA_UNKNOWN_CONFIGURATION\].*delta\.apendOnly"):
        checked({"delta.apendOnly": "true"})


def test_a_flag_is_true_or_false() -> None:
    with pytest.raises(IllegalArgumentError, match=r"delta\.appendOnly.*maybe"):
        checked({"delta.appendOnly": "maybe"})


def test_the_protocol_is_not_a_property() -> None:
    assert kept({"delta.minReaderVersion": "1", "delta.feature.appendOnly": "supported", "a": "b"}) == {"a": "b"}

"""Java regular expressions: what RE2 may run, and what Python runs instead."""

from __future__ import annotations

import pytest

from headwater.errors import RuntimeSparkError
from headwater.functions.java_regex import (
    literal_pattern,
    re2,
    regexp_extract,
    regexp_replace,
    replacement,
    split,
)


@pytest.mark.parametrize("pattern", [r"(?<=a)b", r"(a)\1", r"a++", r"x(?!y)"])
def test_what_re2_lacks_is_not_given_to_it(pattern: str) -> None:
    assert re2(pattern) is None


def test_posix_classes_are_spelt_out() -> None:
    assert re2(r"\p{Alpha}+[\p{Digit}_]") == "[a-zA-Z]+[0-9_]"


def test_replacements_are_javas() -> None:
    assert replacement(r"$1-\$") == r"\1-$"
    assert regexp_replace("foo bar", r"(\w+) (\w+)", "$2 $1", 1) == "bar foo"


def test_a_pattern_for_one_text_is_that_text() -> None:
    assert literal_pattern(r"\|") == "|"
    assert literal_pattern("a|b") is None


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [("a,b,,", -1, ["a", "b", "", ""]), ("a,b,c", 2, ["a", "b,c"]), ("", -1, [""])],
)
def test_split_keeps_empty_parts_and_the_limit(text: str, limit: int, parts: list[str]) -> None:
    assert split(text, ",", limit) == parts


def test_a_group_the_pattern_lacks_is_an_error() -> None:
    with pytest.raises(RuntimeSparkError, match="REGEX_GROUP_INDEX"):
        regexp_extract("a", "(a)", 2)

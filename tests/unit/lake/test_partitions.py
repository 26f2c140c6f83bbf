"""Which partitions a condition means, and what of a condition is about partitions."""

from __future__ import annotations

import pytest
from sqlglot import exp

from headwater.lake.actions import AddFile, Metadata
from headwater.lake.partitions import PartitionPredicate, conjuncts_over
from headwater.types.ddl import parse_schema
from support.lake import connection, query

SCHEMA = parse_schema("id bigint, p string, day date, raw binary")
METADATA = Metadata("t", SCHEMA.json(), ("p", "day", "raw"))


def condition(text: str) -> exp.Expr:
    found: exp.Expr = query(f"SELECT {text}").expressions[0]
    return found


def file(p: str | None, day: str | None = "2026-01-01", raw: str | None = "x") -> AddFile:
    return AddFile(f"{p}/{day}", {"p": p, "day": day, "raw": raw}, 1, 0)


FILES = (file("a"), file("b"), file("7", "2026-02-01", "y"), file(None, None, None))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("p = 'a'", "p = 'a'"),
        ("p = 'a' AND id = 1", "p = 'a'"),
        ("id = 1 AND (p = 'a' AND P > 'b')", "p = 'a' | P > 'b'"),
        ("id = 1", ""),
        ("p = 'a' OR id = 1", ""),
        ("p = 'a' AND random() < 0.5 AND day < today() - random()", "p = 'a'"),
        ("p IN (SELECT 'a') AND day > DATE '2026-01-01'", "day > DATE '2026-01-01'"),
        ("true", ""),
    ],
)
def test_what_a_condition_says_of_partitions_alone(text: str, kept: str) -> None:
    found = conjuncts_over(condition(text), ("p", "day"))
    wanted = [condition(part) for part in kept.split(" | ") if part]
    parts = [] if found is None else [part.unnest() for part in found.flatten()]
    assert parts == wanted


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("p = 'a'", [0]),
        ("p IS NULL", [3]),
        ("upper(p) = 'B' OR day >= DATE '2026-02-01'", [1, 2]),
        ("raw = 'y'::BLOB", [2]),
        ("year(day) = 2026 AND id = 9", [0, 1, 2]),
        ("id = 9", [0, 1, 2, 3]),
    ],
)
def test_files_are_found_by_their_partitions_values_in_the_columns_types(text: str, met: list[int]) -> None:
    predicate = PartitionPredicate.within(connection(), METADATA, condition(text))
    assert list(predicate.matching(FILES)) == [FILES[place] for place in met]
    assert predicate.first(FILES) == FILES[met[0]]
    assert predicate.matching(()) == ()
    assert predicate.first(()) is None


def test_a_condition_that_cannot_be_computed_for_a_partition_may_mean_it() -> None:
    predicate = PartitionPredicate.within(connection(), METADATA, condition("CAST(p AS INT) = 7"))
    assert predicate.first(FILES) == FILES[0]
    assert predicate.first(FILES[2:]) == FILES[2]


def test_columns_may_have_names_of_the_askers() -> None:
    asked = condition("target_1 = 'b' AND target_0 = 1")
    predicate = PartitionPredicate.within(connection(), METADATA, asked, lambda index, _: f"target_{index}")
    assert predicate.matching(FILES) == (FILES[1],)

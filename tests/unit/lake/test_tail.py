"""The files of a table in a stream's order: the same after the same position, whenever it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import SparkError
from headwater.lake.table import LakeTable
from headwater.lake.tail import BEFORE_FIRST, DeltaOffset, Indexed, Tail, TailRules
from headwater.types.ddl import parse_schema
from support.lake import connection, numbers

PAIRS = parse_schema("id bigint, name string")


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    made = LakeTable.create(str(tmp_path / "t"), PAIRS)
    for number in range(4):
        made.append(connection(), numbers(1, number), PAIRS)
    return made


def places(tail: Tail, start: DeltaOffset, end: DeltaOffset | None = None) -> list[tuple[int, int]]:
    return [(step.version, step.index) for step in tail.after(start, end) if isinstance(step, Indexed)]


def test_every_pair_of_positions_cuts_the_same_list(table: LakeTable) -> None:
    tail = Tail(table, TailRules(), "file:/t")
    start = tail.before(2, snapshot=True)
    steps = [step for step in tail.after(start) if isinstance(step, Indexed)]
    assert [(step.version, step.index) for step in steps] == [(2, 0), (2, 1), (3, 0), (4, 0)]
    positions = [start, *(step.after for step in steps)]
    whole = [(step.version, step.index) for step in steps]
    for first in range(len(positions)):
        for last in range(first, len(positions)):
            assert places(Tail(table, TailRules(), ""), positions[first], positions[last]) == whole[first:last]


def test_offsets_survive_their_text_and_rubbish_is_refused() -> None:
    offset = DeltaOffset("id", 3, BEFORE_FIRST, False)
    assert DeltaOffset.parse(offset.json()) == offset
    for text in ("", "{}", "[]", '{"reservoirId": 1}'):
        with pytest.raises(SparkError, match="DELTA_INVALID_SOURCE_OFFSET_FORMAT"):
            DeltaOffset.parse(text)


def test_files_can_be_left_out_by_name(table: LakeTable) -> None:
    import re

    name = table.snapshot(1).files[0].path
    tail = Tail(table, TailRules(exclude=re.compile(re.escape(name))), "")
    assert len(places(tail, tail.before(0))) == 3


def test_what_is_done_is_forgotten_and_can_still_be_asked_again(table: LakeTable) -> None:
    tail = Tail(table, TailRules(), "")
    everything = places(tail, tail.before(0))
    tail.forget(tail.before(3))
    assert places(tail, tail.before(0)) == everything

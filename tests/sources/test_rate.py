"""The rate source."""

from itertools import pairwise

import pytest

from headwater.errors import IllegalArgumentError
from headwater.sources.base import sources
from support.files import SourceBench


def bench(tmp_path, **options):
    stream = SourceBench("rate", tmp_path, None, "", **options)
    stream.open()
    return stream


def test_rows_come_by_the_second_evenly_spread(tmp_path):
    stream = bench(tmp_path, rowsPerSecond="5")
    assert stream.step() is None
    stream.clock.advance(2_100)
    rows = sorted(stream.step())
    assert [value for _, value in rows] == list(range(10))
    assert {(late[0] - early[0]).microseconds for early, late in pairwise(rows)} == {200_000}


def test_a_restart_goes_on_with_the_first_start(tmp_path):
    stream = bench(tmp_path, rowsPerSecond="2")
    stream.clock.advance(3_000)
    stream.step()
    stream.open()
    stream.clock.advance(1_000)
    assert sorted(value for _, value in stream.step()) == [6, 7]
    assert (tmp_path / "checkpoint" / "sources" / "0" / "0").read_text() == "v1\n1700000000000"


def test_the_clock_going_back_gives_nothing(tmp_path):
    stream = bench(tmp_path)
    stream.clock.advance(2_000)
    stream.step()
    stream.clock.advance(-5_000)
    assert stream.step() is None


def test_ramping_up_begins_slowly(tmp_path):
    stream = bench(tmp_path, rowsPerSecond="10", rampUpTime="4s")
    counts = []
    for _ in range(6):
        stream.clock.advance(1_000)
        counts.append(len(stream.step() or ()))
    assert counts == [2, 4, 6, 8, 10, 10]


def test_available_now_stops_at_the_seconds_passed(tmp_path):
    stream = bench(tmp_path)
    stream.clock.advance(1_000)
    stream.source.prepare_available_now()
    stream.clock.advance(5_000)
    assert len(stream.step()) == 1
    assert stream.step() is None


def test_its_description_is_sparks(tmp_path):
    description = bench(tmp_path, rowsPerSecond="5").source.description
    assert description == "RateStreamV2[rowsPerSecond=5, rampUpTimeSeconds=0, numPartitions=default"


@pytest.mark.parametrize("option", ["rowsPerSecond", "numPartitions"])
def test_values_that_are_not_positive_are_refused(tmp_path, option):
    with pytest.raises(IllegalArgumentError, match=option):
        bench(tmp_path, **{option: "0"})


def test_it_takes_no_schema(tmp_path):
    stream = SourceBench("rate", tmp_path, "a int", "")
    with pytest.raises(IllegalArgumentError, match="rate source does not support user-specified schema"):
        sources.get("rate").schema(stream.request, stream.context)

"""Every scenario gives on Headwater what Spark 4.3 gave: rows, watermarks and counters of every batch, or the error.

Straight, restarted before every step (as Spark was too), and killed inside a batch.
`open.txt` lists what does not yet, wholly (`all`) or in the statistics of event times only (`times`); a listed scenario
that passes fails here, so that the list can only shrink.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.clock import ManualClock
from headwater.connect.server import Server
from support import scenarios
from support.scenarios import BASE_MS, Scenario
from support.scenarios_headwater import play, scenario_server
from support.scenarios_killed import survived

ALL = [one for file in scenarios.files() for one in scenarios.load(file)]
LISTED = dict(line.split() for line in (Path(__file__).parent / "open.txt").read_text("utf-8").splitlines())
OPEN = {name for name, what in LISTED.items() if what == "all"}
TIMES_OPEN = {name for name, what in LISTED.items() if what == "times"}
NAMES = {f"{one.id}/{variant}": (one, variant) for one in ALL for variant in scenarios.variants(one)}


def _case(name: str) -> object:
    assert LISTED.get(name) in (None, "all", "times")
    marks = [pytest.mark.xfail(strict=True, reason="open")] if name in OPEN else []
    return pytest.param(*NAMES[name], id=name, marks=marks)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with scenario_server(tmp_path_factory.mktemp("warehouse")) as started:
        yield started


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with scenario_server(tmp_path_factory.mktemp("clocked"), ManualClock(BASE_MS)) as started:
        yield started


@pytest.mark.parametrize(("one", "variant"), [_case(name) for name in NAMES])
def test_as_spark(one: Scenario, variant: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    wanted = scenarios.expected(one, variant)
    server = request.getfixturevalue("clocked" if one.clock else "server")

    found = play(server, one, tmp_path, restarted=variant == "restarted")

    lines = scenarios.differences(wanted, found)
    times = [line for line in lines if scenarios.TIMES in line]
    if f"{one.id}/{variant}" in TIMES_OPEN:
        assert times, "its event times are as Spark's: take it off the list"
        lines = [line for line in lines if line not in times]
    assert not lines, "\n".join([one.id, *lines])


KILLED = [
    ("aggregate/sum_by_key_update", "step5:2"),
    ("aggregate/global_sum_complete", "step6:2"),
    ("window/tumbling_append", "step4:3"),
    ("window/sliding_update", "step6:4"),
    ("dedup/time_in_the_key_append", "step5:4"),
    ("dedup/within_watermark_append", "step3:3"),
    ("session/by_key_append", "step5:5"),
    ("session/bridged", "step6:3"),
    ("join_inner/by_key_append", "step5:2"),
    ("join_outer/left_by_the_rights_watermark_only", "step6:4"),
    ("limit/four", "step5:2"),
    ("chains/windows_of_windows", "step6:6"),
    ("chains/windows_of_dedup", "step4:5"),
    ("apply_in_pandas_with_state/event_time_timeout", "step5:4"),
    ("transform_with_state/event_time_timers", "step6:3"),
    ("transform_with_state/list_state", "step5:2"),
]


@pytest.mark.parametrize(("name", "crash"), KILLED, ids=[f"{name}-{crash}" for name, crash in KILLED])
def test_a_kill_inside_a_batch_changes_nothing(name: str, crash: str, tmp_path: Path) -> None:
    one = next(one for one in ALL if one.id == name)
    wanted = {batch["batch"]: batch["rows"] for batch in scenarios.expected(one, "straight")["batches"]}

    assert survived(one, tmp_path, crash) == wanted


def test_every_scenario_is_recorded_and_nothing_else_is() -> None:
    for file in scenarios.files():
        assert list(scenarios.recording(file)) == [one.name for one in ALL if one.file == file]


def test_what_is_listed_as_open_exists() -> None:
    assert set(NAMES) >= set(LISTED)

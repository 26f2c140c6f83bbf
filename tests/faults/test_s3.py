"""Streams and tables in S3 under SIGKILL, races and lost answers: no row is lost, none is doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType

from headwater.io import s3
from headwater.lake.table import LakeTable
from support.kill import FAILED, KILLED, Feed, Job, Nursery
from support.lake import by_deltalake, connection, duplicated, numbers, rows
from support.s3_server import SECRET, Emulator, emulated

TESTS = Path(__file__).resolve().parents[1]
WRITER = TESTS / "support" / "lake_writer.py"
STEPS = tuple(f"step{number}:1" for number in range(2, 8))
STORAGE = ("storage.created:1", "storage.uploaded:1", "lake.committed:1")
SCHEMA = StructType([StructField("id", LongType()), StructField("name", StringType())])
SEED = 20_261_130


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("lake") as one:
        yield one


@pytest.fixture(scope="module")
def nursery(server: Emulator) -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_PAUSES", (0.0,) * 5)


def test_a_stream_killed_after_each_step_loses_and_doubles_nothing(nursery: Nursery, tmp_path: Path) -> None:
    place = "s3://lake/steps"
    feed = Feed(tmp_path, "json")
    for point in (*STEPS, *STORAGE):
        feed.add()
        (outcome,) = nursery.run(Job(str(tmp_path), "json", crash=point, place=place))
        assert outcome.status == KILLED, (point, outcome)
    (outcome,) = nursery.run(Job(str(tmp_path), "json", place=place))
    assert outcome.status == 0, outcome.error
    feed.check(place=place)


def test_state_in_s3_is_exact_after_kills(nursery: Nursery, tmp_path: Path) -> None:
    place = "s3://lake/state"
    feed = Feed(tmp_path, "json")
    for point in ("step4:1", "step6:1", "storage.rename:1"):
        feed.add()
        (outcome,) = nursery.run(Job(str(tmp_path), "json", "complete", crash=point, place=place))
        assert outcome.status == KILLED, (point, outcome)
    (outcome,) = nursery.run(Job(str(tmp_path), "json", "complete", place=place))
    assert outcome.status == 0, outcome.error
    feed.check("complete", place=place)


def test_a_stream_killed_at_random_moments_loses_and_doubles_nothing(nursery: Nursery, tmp_path: Path) -> None:
    place, chance, killed = "s3://lake/random", random.Random(SEED), 0
    feed = Feed(tmp_path, "json")
    for _ in range(8):
        feed.add()
        feed.add()
        (outcome,) = nursery.run(Job(str(tmp_path), "json", kill_after_ms=chance.randint(300, 1500), place=place))
        assert outcome.status in (KILLED, 0), outcome.error
        killed += outcome.status == KILLED
    assert killed >= 2
    (outcome,) = nursery.run(Job(str(tmp_path), "json", place=place))
    assert outcome.status == 0, outcome.error
    feed.check(place=place)


def test_of_two_runs_on_one_checkpoint_in_s3_one_goes_on(nursery: Nursery, tmp_path: Path) -> None:
    place = "s3://lake/twice"
    feed, job = Feed(tmp_path, "json"), Job(str(tmp_path), "json", place=place)
    met = 0
    for _ in range(8):  # on a busy machine one run may have ended before the other begins
        for _ in range(4):
            feed.add()
        outcomes = nursery.run(job, job)
        failed = [outcome for outcome in outcomes if outcome.status == FAILED]
        met += len(failed)
        assert len(failed) <= 1, outcomes
        assert all("CONCURRENT_STREAM_LOG_UPDATE" in outcome.error for outcome in failed), failed
        feed.check(place=place)
        if met >= 2:
            break
    assert met >= 1


@pytest.mark.parametrize(
    "what", ["_delta_log/", "/offsets/", "/commits/", "/checkpoint/metadata", "/sources/0/", "part-"]
)
def test_a_stream_whose_answers_are_lost_loses_and_doubles_nothing(
    server: Emulator, nursery: Nursery, tmp_path: Path, what: str
) -> None:
    place = f"s3://lake/answers/{what.strip('/_-').replace('/', '-')}"
    feed = Feed(tmp_path, "json")
    for _ in range(3):
        feed.add()
    server.lose_answers("PUT", f"{place.removeprefix('s3:/')}.*{what}", times=2)
    (outcome,) = nursery.run(Job(str(tmp_path), "json", place=place))
    assert outcome.status == 0, outcome.error
    assert server.lost() >= 1
    feed.check(place=place)
    versions = [key for key in server.keys("lake", f"{place[len('s3://lake/') :]}/out/_delta_log/")]
    assert len([key for key in versions if key.endswith(".json")]) == 3


@pytest.mark.parametrize("txn", [None, ("app", 1)], ids=["blind", "batch"])
def test_a_commit_whose_answer_is_lost_is_made_once(server: Emulator, quick: None, txn: tuple[str, int] | None) -> None:
    path = f"s3://lake/lost/{'batch' if txn else 'blind'}"
    table, duck = LakeTable.at(path), connection()
    table.append(duck, numbers(10), SCHEMA)
    server.lose_answers("PUT", "_delta_log/.*1.json", times=1)
    result = table.append(duck, numbers(10, 10), SCHEMA, txn=txn)
    assert server.lost() == 1
    assert (result.version, result.committed) == (1, True)
    assert sorted(row[0] for row in by_deltalake(path)) == list(range(20))
    assert rows(LakeTable.open(path)) == by_deltalake(path)


def test_a_commit_that_another_overtook_and_whose_answers_are_lost_is_made_once(
    server: Emulator, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, duck = "s3://lake/overtaken", connection()
    table = LakeTable.at(path)
    table.append(duck, numbers(10), SCHEMA)
    points: list[str] = []

    def overtake(point: str) -> None:
        points.append(point)
        if points == ["lake.data_written"]:
            LakeTable.open(path).append(connection(), numbers(10, 10), SCHEMA)
            server.lose_answers("PUT", "_delta_log/", times=2)

    monkeypatch.setattr("headwater.lake.table.crash_point", overtake)
    result = table.append(duck, numbers(10, 20), SCHEMA, txn=("app", 7))
    assert (result.version, server.lost()) == (2, 2)
    assert sorted(row[0] for row in by_deltalake(path)) == list(range(30))


def test_a_commit_whose_fate_is_unknown_keeps_its_files(server: Emulator, quick: None) -> None:
    """Nobody answers any more: the error says so, and what may have been committed can still be read."""
    path, duck = "s3://lake/unknown", connection()
    table = LakeTable.at(path)
    table.append(duck, numbers(10), SCHEMA)
    server.lose_answers("PUT", "_delta_log/", times=1000, carried_out=False)
    with pytest.raises(Exception, match="DELTA_COMMIT_STATE_UNKNOWN"):
        table.append(duck, numbers(10, 10), SCHEMA, txn=("app", 1))
    server.lose_answers("PUT", "/", times=0)
    assert table.append(duck, numbers(10, 10), SCHEMA, txn=("app", 1)).committed
    assert sorted(row[0] for row in by_deltalake(path)) == list(range(20))


def test_of_several_writers_of_the_same_batches_each_batch_is_added_once(server: Emulator) -> None:
    path = "s3://lake/writers"
    children = [
        subprocess.Popen(
            [sys.executable, str(WRITER), path, "0", "7"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
        for _ in range(3)
    ]  # fmt: skip
    told = []
    for child in children:
        output, errors = child.communicate(timeout=90)
        assert child.returncode == 0, errors
        assert SECRET not in output + errors
        told += output.splitlines()
    added = [line for line in told if line.endswith("added")]
    assert sorted(int(line.split()[0]) for line in added) == list(range(8))
    ids = [row[0] for row in by_deltalake(path)]
    assert duplicated(ids) == []
    assert sorted(ids) == list(range(80))
    assert rows(LakeTable.open(path)) == by_deltalake(path)


def test_nothing_that_was_written_holds_the_secret(server: Emulator) -> None:
    keys = server.keys("lake")
    assert len(keys) > 100
    assert not [key for key in keys if SECRET.encode() in server.read("lake", key)]

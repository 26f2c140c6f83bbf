"""Where checkpoints lie and whose they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headwater.errors import AnalysisError, RuntimeSparkError
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.plan.commands import StartStream
from headwater.plan.relations import OneRow
from headwater.settings import Settings
from headwater.streaming.checkpoint import Checkpoint, Location, locate
from headwater.streaming.logs import CommitEntry, OffsetEntry
from headwater.streaming.protocol import Position

STORAGE = LocalStorage("none")


def start(name: str | None = None, **options: str) -> StartStream:
    return StartStream(OneRow(), "delta", tuple(options.items()), query_name=name)


def test_the_option_wins_and_goes_through_the_mounts(tmp_path: Path) -> None:
    mounts = Mounts({"s3://bucket": str(tmp_path)})
    settings = Settings({"spark.sql.streaming.checkpointLocation": "/elsewhere"})

    found = locate(start(checkpointLocation="s3://bucket/ck"), "delta", settings, mounts)

    assert found == Location(f"{tmp_path}/ck")


def test_the_setting_is_followed_by_the_querys_name(tmp_path: Path) -> None:
    settings = Settings({"spark.sql.streaming.checkpointLocation": str(tmp_path)})

    assert locate(start("orders"), "delta", settings, Mounts()).path == f"{tmp_path}/orders"
    assert Path(locate(start(), "delta", settings, Mounts()).path).parent == tmp_path


@pytest.mark.parametrize("sink", ["memory", "console", "noop", "foreachBatch"])
def test_sinks_that_keep_nothing_get_a_temporary_folder(sink: str) -> None:
    found = locate(start(), sink, Settings(), Mounts())

    assert found.temporary
    shutil.rmtree(found.path)


def test_other_sinks_need_a_checkpoint() -> None:
    with pytest.raises(AnalysisError, match="checkpointLocation must be specified"):
        locate(start(), "delta", Settings(), Mounts())


def test_a_position_follows_from_the_logs(tmp_path: Path) -> None:
    checkpoint = Checkpoint(STORAGE, str(tmp_path))
    assert checkpoint.position() == Position(0, False)

    checkpoint.offsets.add(0, OffsetEntry(("1",)))
    assert checkpoint.position() == Position(0, True)
    checkpoint.commits.add(0, CommitEntry())
    assert checkpoint.position() == Position(1, False)


def test_a_missing_commit_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(STORAGE, str(tmp_path))
    for batch in range(3):
        checkpoint.offsets.add(batch, OffsetEntry(("1",)))
    checkpoint.commits.add(0, CommitEntry())

    with pytest.raises(RuntimeSparkError, match=r"commits/1.*missing"):
        checkpoint.position()


def test_another_path_of_the_same_kind_of_sink_is_refused(tmp_path: Path) -> None:
    checkpoint = Checkpoint(STORAGE, str(tmp_path))
    checkpoint.check_identity({"delta path": "file:/a"})
    checkpoint.offsets.add(0, OffsetEntry(("1",)))

    checkpoint.check_identity({"delta path": "file:/a"})
    checkpoint.check_identity({"parquet path": "file:/b"})
    with pytest.raises(RuntimeSparkError, match=r"STREAMING_CHECKPOINT_MISMATCH.*file:/a.*file:/b"):
        checkpoint.check_identity({"delta path": "file:/b"})


def test_a_checkpoint_that_spark_began_has_no_note(tmp_path: Path) -> None:
    checkpoint = Checkpoint(STORAGE, str(tmp_path))
    checkpoint.offsets.add(0, OffsetEntry(("1",)))

    checkpoint.check_identity({"delta path": "file:/a"})

    assert not (tmp_path / "headwater.json").exists()


def test_the_stateful_operators_are_fixed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(STORAGE, str(tmp_path))
    checkpoint.check_operators({0: "dedupe"})
    checkpoint.check_operators({0: "stateStoreSave", 1: "dedupe"})
    checkpoint.commits.add(0, CommitEntry())

    checkpoint.check_operators({1: "dedupe", 0: "stateStoreSave"})
    with pytest.raises(
        RuntimeSparkError,
        match=r"(?s)NOT_MATCH_IN_STATE_METADATA.*\[\(OperatorId: 0 -> OperatorName: stateStoreSave\), "
        r"\(OperatorId: 1 -> OperatorName: dedupe\)\].*\[\(OperatorId: 0 -> OperatorName: dedupe\)\]",
    ):
        checkpoint.check_operators({0: "dedupe"})


def test_operators_need_the_state_that_was_there(tmp_path: Path) -> None:
    checkpoint = Checkpoint(STORAGE, str(tmp_path))
    checkpoint.commits.add(0, CommitEntry())

    with pytest.raises(RuntimeSparkError, match=r"(?s)MISSING_STATE_DIRECTORY.*OperatorId: 0 -> OperatorName: dedupe"):
        checkpoint.check_operators({0: "dedupe"})

"""A query that starts itself again: after what, how often, and with the same rows as if nothing had failed."""

from __future__ import annotations

import errno
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType

from headwater.duck import DuckError
from headwater.errors import AnalysisError, ConcurrentWriteError, RuntimeSparkError, SparkError, UnknownFieldError
from headwater.plan.expressions import Call, Column
from headwater.plan.relations import Aggregate
from headwater.sinks.base import Batch, SinkResult
from headwater.streaming.restart import RestartPolicy, Restarts, passes
from support.fakes import FakeSink
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType())])
FULL = OSError(errno.ENOSPC, "No space left on device", "/data/out")


class Failing(FakeSink):
    """Raises what `failures` gives for each call, before or after it has kept the batch."""

    def __init__(self, failures: Callable[[Batch], tuple[Exception | None, bool]]) -> None:
        super().__init__()
        self._failures = failures

    def add_batch(self, batch: Batch) -> SinkResult:
        failure, kept = self._failures(batch)
        if failure is None or kept:
            result = super().add_batch(batch)
        if failure is not None:
            raise failure
        return result


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[StreamTest]:
    test = StreamTest(tmp_path, SCHEMA)
    for key, value in {"maxAttempts": "3", "backoff": "1ms"}.items():
        test.session.settings.set(f"headwater.query.restart.{key}", value)
    yield test
    test.close()


def use(stream: StreamTest, sink: FakeSink) -> None:
    from support import stream as language

    stream.sink = sink
    language._sinks[str(stream.folder)] = sink


def times(number: int, failure: Exception) -> Failing:
    """Fails so often."""
    left = [failure] * number
    return Failing(lambda _: (left.pop() if left else None, False))


def test_what_passes_is_tried_again_and_told(stream: StreamTest) -> None:
    use(stream, times(2, FULL))
    stream.start().add_data([{"k": "a", "v": 1}]).check_answer(("a", 1))
    report = json.loads(stream.running.last_progress or "{}")
    assert report["batchId"] == 0
    assert report["restarts"]["count"] == 2
    assert report["restarts"]["lastError"].startswith("[DISK_FULL] No space is left on the disk")
    assert stream.running.exception() is None


def test_nothing_is_tried_again_unless_asked_for(stream: StreamTest) -> None:
    stream.session.settings.set("headwater.query.restart.maxAttempts", "0")
    use(stream, times(1, FULL))
    stream.start().add_data([{"k": "a", "v": 1}]).expect_failure("No space left")


def test_a_batch_that_goes_on_failing_ends_the_query(stream: StreamTest) -> None:
    sink = times(99, FULL)
    tried = []
    sink._failures = lambda batch: (tried.append(batch.batch_id), (FULL, False))[1]
    use(stream, sink)
    stream.start().add_data([{"k": "a", "v": 1}]).expect_failure("No space left")
    assert tried == [0, 0, 0, 0]


def test_a_finished_batch_counts_anew(stream: StreamTest) -> None:
    failed: dict[int, int] = {}

    def failures(batch: Batch) -> tuple[Exception | None, bool]:
        failed[batch.batch_id] = failed.get(batch.batch_id, 0) + 1
        return (FULL if failed[batch.batch_id] <= 3 else None), False

    use(stream, Failing(failures))
    stream.start()
    for number in range(3):
        stream.add_data([{"k": "a", "v": number}]).check_answer(*(("a", each) for each in range(number + 1)))
    assert failed == {0: 4, 1: 4, 2: 4}


@pytest.mark.parametrize(
    "failure",
    [
        AnalysisError("PATH_NOT_SPECIFIED"),
        ConcurrentWriteError("CONCURRENT_STREAM_LOG_UPDATE", batchId=0, path="/x"),
        PermissionError(errno.EACCES, "Permission denied"),
        ValueError("a bug of the user's"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_does_not_pass_ends_the_query_at_once(stream: StreamTest, failure: Exception) -> None:
    sink = times(1, failure)
    use(stream, sink)
    stream.start().add_data([{"k": "a", "v": 1}]).expect_failure(str(failure))


def test_what_passes() -> None:
    chained = RuntimeSparkError("TASK_WRITE_FAILED", path="/x", reason="full")
    chained.__cause__ = FULL
    conflict = "pyspark.errors.SparkException: [DELTA_CONCURRENT_APPEND.WITHOUT_HINT] files were added"
    assert passes(chained)
    assert passes(ConnectionResetError())
    assert passes(TimeoutError())
    assert passes(DuckError("IO Error: Could not write file: No space left on device"))
    assert passes(SparkError("FOREACH_BATCH_USER_FUNCTION_ERROR", reason=conflict))
    assert not passes(SparkError("FOREACH_BATCH_USER_FUNCTION_ERROR", reason="ValueError: no such column"))
    assert not passes(DuckError("Conversion Error: 'x' is no number"))


def test_a_stop_ends_the_pause(stream: StreamTest) -> None:
    stream.session.settings.set("headwater.query.restart.backoff", "1h")
    stream.session.settings.set("headwater.query.restart.maxBackoff", "1h")
    entered = threading.Event()
    use(stream, Failing(lambda _: (entered.set(), (FULL, False))[1]))
    stream.start().add_data([{"k": "a", "v": 1}])
    assert entered.wait(20)
    while not stream.running.status().message.startswith("Starting again (attempt 1"):
        time.sleep(0.01)
    begin = time.monotonic()
    stream.stop()
    assert time.monotonic() - begin < 10
    assert stream.running.exception() is None
    use(stream, FakeSink())
    stream.start().check_answer(("a", 1))


def test_a_source_that_cannot_be_opened_is_tried_again(stream: StreamTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import stream as language

    use(stream, times(1, FULL))
    stream.start()
    opens = iter([ConnectionError("no route"), ConnectionError("no route")])
    opened = language._Sources.open

    def refuse(self: language._Sources, *arguments: object) -> object:
        failure = next(opens, None)
        if failure is not None:
            raise failure
        return opened(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(language._Sources, "open", refuse)
    stream.add_data([{"k": "a", "v": 1}]).check_answer(("a", 1))
    assert json.loads(stream.running.last_progress or "{}")["restarts"]["count"] == 3


def test_what_was_opened_before_a_failure_is_freed(stream: StreamTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import stream as language

    def refuse(*_: object) -> FakeSink:
        raise ConnectionError("no route")

    monkeypatch.setattr(language._Sinks, "open", refuse)
    with pytest.raises(ConnectionError):
        stream.start()
    assert stream.sources[0].stopped


def test_a_grown_schema_is_gone_on_with_at_once() -> None:
    restarts = Restarts(RestartPolicy(1, 3_600_000, 3_600_000))
    grown = UnknownFieldError(
        "UNKNOWN_FIELD_EXCEPTION.NEW_FIELDS_IN_RECORD_WITH_FILE_PATH",
        fields="x",
        filePath="/f",
        isRetryable="true",
        wayOut="",
    )
    assert restarts.after(grown, 4) == 0.0
    assert restarts.after(grown, 4) is None
    assert restarts.after(grown, 5) == 0.0


def test_a_run_that_could_not_be_opened_does_not_count_anew() -> None:
    restarts = Restarts(RestartPolicy(3))
    tries = [restarts.after(FULL, batch) is not None for batch in (7, 0, 7, 0, 7)]
    assert tries == [True, True, True, False, False]


def test_pauses_double_up_to_the_longest() -> None:
    restarts = Restarts(RestartPolicy(6, 1000, 5000))
    pauses = [restarts.after(FULL, 0) or 0 for _ in range(6)]
    for pause, middle in zip(pauses, (1, 2, 4, 5, 5, 5), strict=True):
        assert 0.8 * middle <= pause <= 1.2 * middle
    assert restarts.after(FULL, 0) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_sum_is_right_whatever_fails(stream: StreamTest, seed: int) -> None:
    """Before the sink has the batch, after it has it, and in the source."""
    dice = random.Random(seed)
    stream.session.settings.set("headwater.query.restart.maxAttempts", "50")
    use(stream, Failing(lambda _: (FULL if dice.random() < 0.4 else None, dice.random() < 0.5)))
    source = stream.sources[0]
    latest = source.latest_offset

    def unsure(*arguments: object) -> object:
        if dice.random() < 0.1:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        return latest(*arguments)  # type: ignore[arg-type]

    source.latest_offset = unsure  # type: ignore[method-assign, assignment]
    sums = (Call("sum", (Column(("v",)),)),)
    stream.plan(lambda rows: Aggregate(rows, "groupby", (Column(("k",)),), sums), mode="complete").start()
    total: dict[str, int] = {}
    for _ in range(8):
        rows = [{"k": dice.choice("abc"), "v": dice.randrange(100)} for _ in range(5)]
        for row in rows:
            total[str(row["k"])] = total.get(str(row["k"]), 0) + int(row["v"])  # type: ignore[call-overload]
        stream.add_data(rows).check_last(*total.items())

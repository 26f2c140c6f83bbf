"""The response buffer: order, replay, release, backpressure."""

from __future__ import annotations

import threading
import time

import pytest

from headwater.connect import reattach
from headwater.connect.proto import pb2
from headwater.connect.reattach import AbandonedError, Responses
from headwater.errors import SparkError


def response(size: int = 0) -> object:
    return pb2.ExecutePlanResponse(arrow_batch=pb2.ExecutePlanResponse.ArrowBatch(data=b"x" * size))


def filled(count: int, *, replay: bool = True) -> Responses:
    responses = Responses(replay=replay)
    for _ in range(count):
        responses.put(response())
    responses.end()
    return responses


def ids(responses: Responses, after: str | None = None) -> list[str]:
    return [item.response_id for item in responses.read(responses.attach(), after)]


def test_responses_come_in_order_and_numbered() -> None:
    assert ids(filled(3)) == ["1", "2", "3"]


def test_a_second_reader_gets_what_follows_the_last_seen() -> None:
    responses = filled(4)
    assert ids(responses) == ["1", "2", "3", "4"]
    assert ids(responses, "2") == ["3", "4"]


def test_released_responses_are_gone() -> None:
    responses = filled(3)
    ids(responses)
    responses.release("2")
    assert ids(responses, "2") == ["3"]
    with pytest.raises(SparkError, match="POSITION_NOT_AVAILABLE"):
        ids(responses, "1")


def test_an_unknown_position_is_refused() -> None:
    with pytest.raises(SparkError, match="POSITION_NOT_FOUND"):
        ids(filled(1), "7")


def test_the_error_comes_after_the_responses() -> None:
    responses = Responses(replay=True)
    responses.put(response())
    responses.end(SparkError("OPERATION_CANCELED"))
    reading = responses.read(responses.attach(), None)
    assert next(reading).response_id == "1"
    with pytest.raises(SparkError, match="OPERATION_CANCELED"):
        next(reading)


def test_an_older_reader_is_disconnected() -> None:
    responses = filled(2)
    old = responses.read(responses.attach(), None)
    next(old)
    responses.attach()
    with pytest.raises(SparkError, match="DISCONNECTED"):
        next(old)


def test_the_producer_waits_for_a_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reattach, "UNSENT_LIMIT", 1000)
    responses = Responses(replay=True)
    done = threading.Event()

    def produce() -> None:
        for _ in range(10):
            responses.put(response(600))
        responses.end()
        done.set()

    threading.Thread(target=produce, daemon=True).start()
    time.sleep(0.05)
    assert not done.is_set()
    assert len(ids(responses)) == 10
    assert done.wait(5)


def test_a_released_execution_stops_producing() -> None:
    responses = Responses(replay=True)
    responses.release(None)
    with pytest.raises(AbandonedError):
        responses.put(response())


def test_without_replay_nothing_sent_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reattach, "REPLAY_LIMIT", 0)
    responses = filled(3)
    assert len(ids(responses)) == 3
    with pytest.raises(SparkError, match="POSITION_NOT_AVAILABLE"):
        ids(responses, "1")


def test_it_knows_since_when_nobody_reads() -> None:
    responses = Responses(replay=True)
    reader = responses.attach()
    assert responses.detached_at is None
    responses.detach(reader)
    assert responses.detached_at is not None

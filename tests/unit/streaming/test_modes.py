"""What asynchronous progress tracking allows."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.errors import IllegalArgumentError
from headwater.io.formats.base import FormatOptions
from headwater.plan.commands import StartStream, Trigger
from headwater.plan.relations import CachedRemote, Deduplicate, Relation
from headwater.settings import Settings
from headwater.sources.base import SourceRequest
from headwater.streaming.leaves import Leaf
from headwater.streaming.modes import Mode
from headwater.types.ddl import parse_schema

SCHEMA = parse_schema("v int")
STREAM = CachedRemote("stream_0")


def mode(plan: Relation = STREAM, sink: str = "noop", trigger: str = "default", **options: str) -> Mode:
    given = {"asyncProgressTrackingEnabled": "true", **options}
    command = StartStream(plan, sink, tuple(given.items()), trigger=Trigger(trigger))  # type: ignore[arg-type]
    provider: Any = None
    leaf = Leaf("stream_0", provider, SourceRequest("rate", None, FormatOptions(()), ()), SCHEMA, ("v",))
    return Mode(command, plan, [leaf], sink, Settings())


def test_the_interval_is_a_second_unless_it_is_given() -> None:
    assert mode().async_ms() == 1000
    assert mode(asyncProgressTrackingCheckpointIntervalMs="0").async_ms() == 0
    assert mode(asyncProgressTrackingEnabled="false").async_ms() is None
    assert mode(trigger="continuous").async_ms() is None
    assert mode(sink="delta", _asyncProgressTrackingOverrideSinkSupportCheck="true").async_ms() == 1000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sink": "delta"}, "Sink delta does not support async progress tracking"),
        ({"sink": "foreachBatch"}, "Sink foreachBatch does not support async progress tracking"),
        ({"trigger": "once"}, "Async progress tracking cannot be used with Once trigger"),
        ({"trigger": "available_now"}, "Async progress tracking cannot be used with AvailableNow trigger"),
        ({"plan": Deduplicate(STREAM, ("v",))}, "Stateful streaming queries does not support async progress tracking"),
        ({"asyncProgressTrackingEnabled": "maybe"}, 'For input string: "maybe"'),
        ({"asyncProgressTrackingCheckpointIntervalMs": "soon"}, 'For input string: "soon"'),
        ({"trigger": "real_time"}, "ASYNC_PROGRESS_TRACKING_CHECKPOINTING_INTERVAL_NON_ZERO"),
    ],
)
def test_what_spark_refuses(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        mode(**arguments).async_ms()
    assert text in str(caught.value)

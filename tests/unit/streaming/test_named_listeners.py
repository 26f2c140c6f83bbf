"""Listeners that a setting names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.streaming import StreamingQueryListener

from headwater.errors import SparkError
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.streaming.named_listeners import named_listeners
from headwater.streaming.query import StreamEvent
from headwater.types.ddl import parse_schema
from support.stream import StreamTest

heard: list[tuple[str, Any]] = []


class Keeps(StreamingQueryListener):
    def onQueryStarted(self, event: Any) -> None:
        heard.append(("started", event.name))

    def onQueryProgress(self, event: Any) -> None:
        heard.append(("progress", event.progress.numInputRows))

    def onQueryIdle(self, _: Any) -> None:
        heard.append(("idle", None))

    def onQueryTerminated(self, event: Any) -> None:
        heard.append(("terminated", event.exception))


class Fails(Keeps):
    def onQueryProgress(self, _: Any) -> None:
        raise ValueError("no")


SETTING = "spark.sql.streaming.streamingQueryListeners"
HERE = f"{__name__}"


def test_each_session_gets_an_object_of_each_class(tmp_path: Path) -> None:
    heard.clear()
    stream = StreamTest(tmp_path, parse_schema("v int"))
    stream.session.settings.set(SETTING, f"{HERE}.Fails, {HERE}.Keeps")
    stream.session = Session(stream.runtime, settings=stream.session.settings)
    stream.add_data([{"v": 1}, {"v": 2}]).start("named").check_answer((1,), (2,)).stop()
    stream.close()
    kinds = [kind for kind, _ in heard]
    assert [one for one in heard if one[0] != "idle"] == [
        ("started", "named"), ("started", "named"), ("progress", 2), ("terminated", None), ("terminated", None)
    ]  # fmt: skip
    assert kinds[-1] == "terminated"


@pytest.mark.parametrize("name", ["nowhere.Class", "json.loads", "builtins.dict"])
def test_a_class_that_cannot_be_made_fails_the_session(tmp_path: Path, name: str) -> None:
    runtime = Runtime.local({SETTING: name}, warehouse=str(tmp_path))
    with pytest.raises(SparkError, match="Exception when registering StreamingQueryListener"):
        Session(runtime)
    runtime.close()


def test_events_are_those_of_the_client() -> None:
    heard.clear()
    (tell,) = named_listeners(f"{HERE}.Keeps")
    tell(
        StreamEvent(
            "idle", '{"id":"%s","runId":"%s","timestamp":"t"}' % (("0" * 8 + "-0000" * 3 + "-" + "0" * 12,) * 2)
        )
    )
    assert heard == [("idle", None)]

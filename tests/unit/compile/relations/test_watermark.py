"""Watermarks on batches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headwater.compile import compile_relation
from headwater.compile.relations.watermark import delay_ms
from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.plan import relations as plan


@pytest.mark.parametrize(
    ("text", "expected"), [("10 minutes", 600_000), ("1 hour 30 seconds", 3_630_000), ("interval 2 days", 172_800_000)]
)
def test_a_delay_is_read_as_milliseconds(text, expected):
    assert delay_ms(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "5", "5 parsecs"])
def test_a_bad_delay_is_refused(text):
    with pytest.raises(AnalysisError, match="CANNOT_PARSE_INTERVAL"):
        delay_ms(text)


class _Streaming:
    """A session whose views are streams."""

    def __init__(self, session):
        self._session = session

    def __getattr__(self, name):
        return getattr(self._session, name)

    def cached(self, relation_id):
        return replace(compile_relation(self._session.views[relation_id], self._session), streaming=True)


def test_the_event_time_column_of_a_stream_is_marked(session):
    session.views["s"] = session.sql("select timestamp'2024-01-01 00:00:00' as t, 1 as x", {}, ())
    source = plan.CachedRemote("s")
    schema = compile_relation(plan.WithWatermark(source, "t", "1 second"), _Streaming(session)).schema
    assert schema["t"].metadata == {"spark.watermarkDelayMs": 1000}
    batch = compile_relation(plan.WithWatermark(session.views["s"], "t", "1 second"), session).schema
    assert batch["t"].metadata == {}
    with pytest.raises(AnalysisError, match="EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE"):
        compile_relation(plan.WithWatermark(source, "x", "1 second"), _Streaming(session))
    with pytest.raises(IllegalArgumentError, match=r"delay threshold \(-5 seconds\) should not be negative"):
        compile_relation(plan.WithWatermark(source, "t", "-5 seconds"), _Streaming(session))

"""Watermarks on batches."""

from __future__ import annotations

import pytest

from headwater.compile import compile_relation
from headwater.compile.relations.watermark import delay_ms
from headwater.errors import AnalysisError
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


def test_the_event_time_column_is_marked(session):
    query = session.sql("select timestamp'2024-01-01 00:00:00' as t, 1 as x", {}, ())
    schema = compile_relation(plan.WithWatermark(query, "t", "1 second"), session).schema
    assert schema["t"].metadata == {"spark.watermarkDelayMs": 1000}
    with pytest.raises(AnalysisError, match="EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE"):
        compile_relation(plan.WithWatermark(query, "x", "1 second"), session)

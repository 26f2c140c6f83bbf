"""Progress is Spark's JSON: keys, order, rates, times."""

from __future__ import annotations

import json

from pyspark.sql.streaming.listener import StreamingQueryProgress

from headwater.streaming.progress import BatchReport, ProgressLog, SourceReport, StateReport, rate, timestamp

DURATIONS = {"triggerExecution": 799, "walCommit": 120, "addBatch": 332}
SOURCE = SourceReport("FileStreamSource[file:/in]", None, '{"logOffset":0}', None, 1000)
IDENTITY = ("f4609b66-6208-4799-8eb5-be2fff31cf81", "1fa89409-c83e-4007-9b4a-d4c52f5eecda", None)


def report(**changes: object) -> BatchReport:
    parts = {
        "batch_id": 0,
        "started_ms": 1795300857600,
        "previous_ms": 1795300857200,
        "durations": DURATIONS,
        "sources": [SOURCE],
        "sink": ("NoopTable", 1000, {}),
    }
    return BatchReport(**{**parts, **changes})  # type: ignore[arg-type]


def test_a_report_is_what_spark_reports() -> None:
    assert json.dumps(report().json(IDENTITY), separators=(",", ":")) == (
        '{"id":"f4609b66-6208-4799-8eb5-be2fff31cf81","runId":"1fa89409-c83e-4007-9b4a-d4c52f5eecda","name":null,'
        '"timestamp":"2026-11-21T22:40:57.600Z","batchId":0,"batchDuration":799,"numInputRows":1000,'
        '"inputRowsPerSecond":2500.0,"processedRowsPerSecond":1251.6,'
        '"durationMs":{"addBatch":332,"triggerExecution":799,"walCommit":120},"stateOperators":[],'
        '"sources":[{"description":"FileStreamSource[file:/in]","startOffset":null,"endOffset":{"logOffset":0},'
        '"latestOffset":null,"numInputRows":1000,"inputRowsPerSecond":2500.0,"processedRowsPerSecond":1251.6}],'
        '"sink":{"description":"NoopTable","numOutputRows":1000}}'
    )


def test_the_client_reads_a_report() -> None:
    state = StateReport("stateStoreSave", 2, 1, metrics={"changelogBytes": 5})
    full = report(state=[state], event_time={"watermark": 0}, sink=("DeltaSink[/x]", -1, {"numOutputBytes": "7"}))

    progress = StreamingQueryProgress.fromJson(full.json(IDENTITY))

    assert progress.batchId == 0
    assert progress.numInputRows == 1000
    assert progress.stateOperators[0].numRowsTotal == 2
    assert progress.eventTime == {"watermark": "1970-01-01T00:00:00.000Z"}
    assert progress.sink.metrics == {"numOutputBytes": "7"}


def test_the_first_trigger_has_no_input_rate() -> None:
    assert report(previous_ms=None).json(IDENTITY)["inputRowsPerSecond"] == 0.0


def test_rates_have_one_decimal() -> None:
    assert (rate(3, 2.073), rate(1, 0.0)) == (1.4, 0.0)


def test_timestamps_have_milliseconds() -> None:
    assert timestamp(1) == "1970-01-01T00:00:00.001Z"


def test_a_log_keeps_the_newest_reports() -> None:
    log = ProgressLog(2)
    for batch in range(3):
        log.add({"batchId": batch})

    assert log.recent() == ['{"batchId":1}', '{"batchId":2}']
    assert log.last() == '{"batchId":2}'

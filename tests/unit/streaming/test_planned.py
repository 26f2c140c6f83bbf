"""A batch between its plan and its report: the rows between two offsets, each source's counted once."""

from __future__ import annotations

from pyspark.sql.types import LongType, StructField, StructType

from headwater.duck import Database
from headwater.streaming.planned import PlannedBatch
from support.fakes import FakeSource

SCHEMA = StructType([StructField("v", LongType())])


def test_only_sources_with_news_are_opened_and_all_are_reported() -> None:
    quiet, busy = FakeSource(SCHEMA, "quiet"), FakeSource(SCHEMA, "busy")
    busy.add([{"v": 1}, {"v": 2}])
    connection = Database(threads=1).connect()
    batch = PlannedBatch(7, (None, None), (None, '{"chunk":1}'), 0, 0)

    batch.open([quiet, busy], connection)
    batch.count(connection)
    batch.count(connection)

    assert [rows is None for rows in batch.inputs] == [True, False]
    assert batch.rows == {1: 2}
    reports = batch.source_reports([quiet, busy])
    assert [(report.description, report.end, report.rows) for report in reports] == [
        ("MemoryStream[quiet]", None, 0),
        ("MemoryStream[busy]", '{"chunk":1}', 2),
    ]

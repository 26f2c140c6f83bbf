"""What a join asks of its inputs; its rows and counters are in `tests/streams/test_join.py`."""

from __future__ import annotations

from sqlglot import exp

from headwater.streaming.watermark import WatermarkNode
from support.laws import Law

NEAR = "a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 30 SECONDS"


def test_columns_that_no_side_shows_are_not_computed_below_its_watermark() -> None:
    sides = "(SELECT k, ts, v FROM a) AS a JOIN (SELECT k, ts FROM b) AS b"
    law = Law(f"SELECT a.k, a.v FROM {sides} ON {NEAR}", delay="5 seconds")
    nodes = [cut for cut in law._cut.cuts if isinstance(cut, WatermarkNode)]
    law.close()

    kept = [[one.name for one in node.query.selects if isinstance(one, exp.Column)] for node in nodes]

    assert [len(one) for one in kept] == [3, 2]

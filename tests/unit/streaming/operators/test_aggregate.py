"""The law of streaming aggregation: over any splitting of the input, with restarts, incremental equals batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlglot
from pyspark.sql.types import NullType
from sqlglot import exp

from headwater.compile.relations.aggregate import AggregatePieces
from headwater.compile.relations.groups import Key, State
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection, Database
from headwater.errors import RuntimeSparkError, UnsupportedError
from headwater.io.local import LocalStorage
from headwater.state.store import StateStore
from headwater.streaming.operators.aggregate import AggregatePlan
from headwater.streaming.operators.base import Moment, Site

STORAGE = LocalStorage("none")
MEASURES = [
    "count(*)", "count(v)", "sum(v)", "sum(n)", "sum(d)", "sum(e)", "avg(v)", "avg(e)", "min(s)", "max(s)", "min(v)",
    "max(dt)", "min(ts)", "max(ts)", "max(bl)", "min(b)", "stddev_samp(v)", "var_pop(d)", "corr(d, w)", "skewness(w)",
    "first(s)", "last(s)", "first(ts)", "last(v)", "last(ts)", "last(n)",
    "first(v) FILTER (WHERE w > 9)", "last(v) FILTER (WHERE w < 9)",
    "list(v)", "list(s)", "list(ts)", "list(bl)", "list(v) FILTER (WHERE v > 3)",
    "sum(v) FILTER (WHERE w > 3)", "arg_max(s, w)", "arg_min(ts, w)", "bool_and(b)", "bit_xor(v)",
    "approx_count_distinct(s)", "any_value(n)", "max(st)", "list(st)", "quantile_cont(w, 0.25)",
]  # fmt: skip
ROWS = """
SELECT CASE WHEN i % 7 = 3 THEN NULL ELSE 'k' || (i % 3) END AS k, i % 2 AS k2, 9007199254740993 * 500 + i AS v,
       i::DOUBLE / 7 AS d, i AS w, (i || '.25')::DECIMAL(38, 2) AS e, 's' || (i * 37 % 100) AS s, NULL::BIGINT AS n,
       DATE '2020-01-01' + i::INTEGER AS dt, TIMESTAMPTZ '2020-01-01 00:00:00+00' + INTERVAL (i) DAY AS ts,
       encode('b' || i) AS bl, i % 3 = 0 AS b, {'a': i, 'b': 's' || i} AS st
FROM range(40) t(i)
"""


def parse(text: str) -> exp.Expression:
    return sqlglot.parse_one(text, dialect="duckdb")


def plan(
    mode: str = "complete", keys: Sequence[str] = ("k", "k2"), measures: Sequence[str] = MEASURES
) -> AggregatePlan:
    rows = Resolved(exp.select("*").from_("stream_0"), ())
    grouping = tuple(Key(Attribute(name, NullType(), True, name), exp.column(name)) for name in keys)
    states = tuple(State(text, parse(text)) for text in measures)
    return AggregatePlan(Site(0, mode, None), AggregatePieces(rows, grouping, states, ()))  # type: ignore[arg-type]


class Run:
    """One operator on one state folder, batch after batch."""

    def __init__(self, folder: Path, mode: str = "complete", **parts: Sequence[str]) -> None:
        self.folder, self.mode, self.parts = folder, mode, parts
        self.database = Database(threads=1)
        self.version = 0
        self.ids: dict[int, Sequence[str]] = {}
        self.restart()

    def restart(self) -> None:
        self.connection: Connection = self.database.connect()
        self.bind("FALSE")
        store = StateStore(STORAGE, str(self.folder))
        self.operator = plan(self.mode, **self.parts).opened(lambda _: store)
        self.operator.prepare(self.connection)
        self.operator.restore(self.connection, self.version, self.ids.get(self.version, ()))

    def bind(self, condition: str) -> None:
        text = f"CREATE OR REPLACE TEMP VIEW stream_0 AS SELECT * FROM ({ROWS}) WHERE {condition}"
        self.connection.execute(text).fetchall()

    def batch(self, condition: str) -> list[tuple[object, ...]]:
        self.bind(condition)
        self.operator.advance(self.connection, Moment(self.version, 0))
        self.report = self.operator.commit(self.connection, self.version + 1)
        self.report.wait()
        self.version += 1
        self.ids[self.version] = self.report.ids
        return self.rows()

    def rows(self) -> list[tuple[object, ...]]:
        return sorted(self.connection.execute("SELECT * FROM operator_0").fetchall(), key=repr)

    def whole(self) -> list[tuple[object, ...]]:
        """What one batch query over all rows gives."""
        one = plan(**self.parts).pieces
        keys = [key.sql for key in one.keys]
        query = exp.select(*keys, *(state.call for state in one.states)).from_(parse(ROWS).subquery("t"))
        text = (query.group_by(*keys) if keys else query).sql(dialect="duckdb")
        return sorted(self.connection.execute(text).fetchall(), key=repr)


def close(found: list[tuple[object, ...]], wanted: list[tuple[object, ...]]) -> None:
    assert len(found) == len(wanted)
    for left, right in zip(found, wanted, strict=True):
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            same = pytest.approx(b, rel=1e-9, nan_ok=True) if isinstance(b, float) else b
            assert a == same, (index, a, b)


@pytest.mark.parametrize("splits", [(40,), (1, 40), (13, 27, 40), (10, 11, 12, 40), tuple(range(4, 41, 4))])
def test_incremental_equals_batch_over_any_splitting(tmp_path: Path, splits: tuple[int, ...]) -> None:
    run = Run(tmp_path)
    begin = 0
    for end in splits:
        found = run.batch(f"w >= {begin} AND w < {end}")
        begin = end
    close(found, run.whole())


def test_incremental_equals_batch_with_a_restart_after_every_batch(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for begin in range(0, 40, 4):
        run.batch(f"w >= {begin} AND w < {begin + 4}")
        run.restart()
    close(run.rows(), run.whole())
    assert any(path.name.endswith("snapshot.parquet") for path in tmp_path.iterdir())


def test_a_replayed_batch_starts_from_the_version_before(tmp_path: Path) -> None:
    run = Run(tmp_path, measures=["count(*)", "sum(v)"])
    run.batch("w < 20")
    run.batch("w >= 20 AND w < 30")
    run.version = 1
    run.restart()

    run.batch("w >= 20")

    assert run.rows() == run.whole()


def test_update_mode_gives_the_groups_that_changed(tmp_path: Path) -> None:
    run = Run(tmp_path, "update", keys=["k2"], measures=["count(*)"])

    assert run.batch("w < 4") == [(0, 2), (1, 2)]
    assert run.batch("w = 5") == [(1, 3)]
    assert (run.report.rows_total, run.report.rows_updated) == (2, 1)
    assert run.batch("FALSE") == []


def test_without_keys_there_is_one_group(tmp_path: Path) -> None:
    run = Run(tmp_path, keys=[], measures=["count(*)", "sum(v)"])
    run.batch("w < 7")
    run.restart()

    assert run.batch("w >= 7") == run.whole()
    assert run.report.rows_total == 1


def test_other_aggregates_than_those_in_the_checkpoint_are_refused(tmp_path: Path) -> None:
    Run(tmp_path, measures=["count(*)"]).batch("TRUE")

    with pytest.raises(RuntimeSparkError, match=r"STATE_STORE_OPERATOR_MISMATCH.*aggregates"):
        Run(tmp_path, measures=["sum(v)"])


def test_an_interval_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, measures=["max(ts - TIMESTAMPTZ '2020-01-01')"])
    run.batch("w < 20")
    run.restart()

    assert run.batch("w >= 20") == run.whole()


@pytest.mark.parametrize(
    "measure", ["mode(v)", "mode(s) FILTER (WHERE w > 3)", "mode(bl ORDER BY bl DESC)", "histogram(k2)"]
)
def test_an_aggregate_without_a_state_is_kept_as_its_values(tmp_path: Path, measure: str) -> None:
    run = Run(tmp_path, measures=[measure])
    for begin in range(0, 40, 10):
        run.batch(f"w >= {begin} AND w < {begin + 10}")
        run.restart()

    assert run.rows() == run.whole()


@pytest.mark.parametrize("measure", ["count(DISTINCT v)", "list(v ORDER BY w)", "quantile_cont(DISTINCT w, 0.5)"])
def test_what_cannot_be_kept_is_refused_by_name(measure: str) -> None:
    with pytest.raises(UnsupportedError, match="on a stream"):
        plan(measures=[measure]).measures[0].check()

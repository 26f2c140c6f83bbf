"""A long write is stopped from another thread and leaves nothing behind."""

import os
import threading
import time

import pytest

from headwater.errors import SparkError
from headwater.plan.commands import Write
from headwater.plan.relations import Range
from headwater.sessions.interrupting import interruptible
from support.sql_session import Sql

LONG = 1_000_000_000_000


@pytest.fixture
def sql(tmp_path):
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_a_long_write_is_stopped(sql, tmp_path, kind):
    path = str(tmp_path / "out")
    started = time.monotonic()
    with interruptible() as interrupt:
        threading.Timer(0.5, interrupt.cancel).start()
        with pytest.raises(SparkError) as caught:
            sql.session.run(Write(Range(0, LONG, 1), kind, "append", path))
    assert caught.value.condition == "OPERATION_CANCELED"
    assert time.monotonic() - started < 60
    assert not os.path.exists(os.path.join(path, "_delta_log"))
    assert not os.path.exists(os.path.join(path, "_SUCCESS"))


def test_a_write_is_stopped_at_any_moment(sql, tmp_path):
    """DuckDB 2.0.0 waited for ever, one time in about fifty, when its own threads were writing at that moment."""
    for delay in range(20):
        with interruptible() as interrupt:
            threading.Timer(0.02 * delay, interrupt.cancel).start()
            with pytest.raises(SparkError, match="OPERATION_CANCELED"):
                sql.session.run(Write(Range(0, LONG, 1), "delta", "append", str(tmp_path / "out")))
    assert not os.path.exists(tmp_path / "out" / "_delta_log")


def test_after_a_cancel_nothing_starts(sql, tmp_path):
    with interruptible() as interrupt:
        interrupt.cancel()
        with pytest.raises(SparkError) as caught:
            sql.session.run(Write(Range(0, 1, 1), "parquet", "append", str(tmp_path / "out")))
    assert caught.value.condition == "OPERATION_CANCELED"
    sql.session.run(Write(Range(0, 1, 1), "parquet", "append", str(tmp_path / "out")))

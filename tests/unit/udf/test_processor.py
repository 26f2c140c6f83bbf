"""A processor's batch: the order of its calls, its handle, and PySpark's own test harness beside it."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark import cloudpickle
from pyspark.errors import PySparkRuntimeError
from pyspark.sql.streaming import StatefulProcessor
from pyspark.sql.streaming.stateful_processor_util import TransformWithStateInPandasUdfUtils
from pyspark.sql.streaming.tws_tester import TwsTester
from pyspark.sql.types import LongType, Row

from headwater.errors import SparkError
from headwater.plan.expressions import PythonUDF
from headwater.udf.cells import Cells
from headwater.udf.processor import Handle, Processor, StateOfBatch, variables_of
from headwater.udf.variables import Variable, Variables


def pickled(processor: StatefulProcessor) -> PythonUDF:
    function = TransformWithStateInPandasUdfUtils(processor, "ProcessingTime").transformWithStateUDF
    return PythonUDF("f", (), LongType(), 213, cloudpickle.dumps((function, LongType())))


def running_sum() -> StatefulProcessor:
    class Sums(StatefulProcessor):
        def init(self, handle: Any) -> None:
            self.handle = handle
            self.sum = handle.getValueState("sum", "s BIGINT")
            self.seen = handle.getListState("seen", "v BIGINT")
            self.by = handle.getMapState("by", "v BIGINT", "n BIGINT")

        def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Any:
            for row in rows:
                before = self.sum.get()
                self.sum.update(((before[0] if before else 0) + row.v,))
                self.seen.appendValue((row.v,))
                self.by.updateValue((row.v,), (1,))
                self.handle.registerTimer(timerValues.getCurrentProcessingTimeInMs() + 10)
            values = [v for (v,) in self.seen.get()]
            yield Row(k=key[0], s=self.sum.get()[0], seen=values, by=[k for (k,) in self.by.keys()])  # noqa: SIM118

        def handleExpiredTimer(self, key: Any, timerValues: Any, expiredTimerInfo: Any) -> Any:
            yield Row(k=key[0], s=-self.sum.get()[0], seen=[], by=[])
            self.sum.clear()

        def close(self) -> None:
            pass

    return Sums()


def batch(now: int = 1_000) -> tuple[StateOfBatch, dict[str, Cells]]:
    cells: dict[str, Cells] = {}

    def cells_of(variable: Variable) -> Cells:
        return cells.setdefault(variable.name, Cells(now))

    return StateOfBatch(Variables(now), cells_of, Cells(now)), cells


def test_a_processor_gives_what_pysparks_tester_gives() -> None:
    """The harness runs untouched, and the same steps here give the same rows."""
    tester = TwsTester(running_sum(), timeMode="ProcessingTime")
    tester.setProcessingTime(1_000)
    wanted = tester.test("a", [Row(v=1), Row(v=2)]) + tester.test("b", [Row(v=5)]) + tester.test("a", [Row(v=4)])
    wanted += tester.setProcessingTime(1_010)

    state, _ = batch()
    processor = Processor(pickled(running_sum()), "processingtime", state)
    processor.open()
    found = []
    for group, key, rows in ((0, "a", [Row(v=1), Row(v=2)]), (1, "b", [Row(v=5)]), (0, "a", [Row(v=4)])):
        found += processor.rows(group, (key,), iter(rows))
    processor.timers()
    for group, key in ((0, "a"), (1, "b")):
        found += processor.expired(group, (key,), 1_010)
    processor.close()

    assert found == wanted
    assert tester.peekValueState("sum", "a") is None
    assert (state.timer_counts.registered, state.timer_counts.deleted) == (4, 2)
    assert list(state.timers.all()) == []


def test_variables_are_learned_without_data() -> None:
    names = [(one.name, one.kind) for one in variables_of(pickled(running_sum()), "processingtime")]

    assert names == [("sum", "value"), ("seen", "list"), ("by", "map")]


def test_an_init_that_fails_is_an_initialization_failure() -> None:
    class Bad(StatefulProcessor):
        def init(self, handle: Any) -> None:
            raise ValueError("boom")

        def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Any:
            return iter(())

        def close(self) -> None:
            pass

    with pytest.raises(SparkError, match=r"STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE(.|\n)*boom"):
        variables_of(pickled(Bad()), "none")


def test_outside_a_group_there_is_no_state() -> None:
    state, _ = batch()
    value = Handle("none", state).getValueState("n", "n INT")

    with pytest.raises(PySparkRuntimeError, match="Implicit key not found"):
        value.exists()


@pytest.mark.parametrize(
    ("declare", "error"),
    [
        (lambda h: h.getValueState("n", "n INT", -1), "TTL_DURATION_MUST_BE_POSITIVE"),
        (lambda h: h.getMapState("default", "k INT", "v INT"), "COLUMN_FAMILY_WITH_INVALID_NAME"),
        (lambda h: h.getListState(" n", "v INT"), "COLUMN_FAMILY_WITH_INVALID_NAME"),
        (lambda h: h.getValueState("n", "n NOTYPE"), "Error initializing value state"),
        (lambda h: h.registerTimer(5), "register_timer with invalid handle state=CREATED"),
    ],
)
def test_what_a_handle_refuses(declare: Any, error: str) -> None:
    state, _ = batch()

    with pytest.raises(PySparkRuntimeError, match=error):
        declare(Handle("processingtime", state))


def test_a_variable_that_is_deleted_may_be_declared_again() -> None:
    state, _ = batch()
    handle = Handle("none", state)

    handle.getValueState("n", "n INT")
    handle.deleteIfExists("n")
    handle.getValueState("n", "n INT")

    assert handle.deleted == ["n"]
    assert [one.name for one in handle.declared] == ["n"]

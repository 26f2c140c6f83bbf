"""Plan nodes of stateful Python functions, pickled as the client does; two of them tell whether state is exact.

Invariant: functions are pickled by value, so that any process can load them.
"""

from __future__ import annotations

from typing import Any

from pyspark import cloudpickle
from pyspark.sql.streaming import StatefulProcessor
from pyspark.sql.streaming.stateful_processor_util import TransformWithStateInPandasUdfUtils
from pyspark.sql.types import Row, StructType
from pyspark.util import PythonEvalType

from headwater.plan.expressions import Column, PythonUDF
from headwater.plan.relations import ApplyInPandasWithState, Relation, TransformWithState
from headwater.types.ddl import parse_schema


def udf(function: Any, output: StructType, eval_type: int) -> PythonUDF:
    """A function as the client sends it."""
    return PythonUDF("f", (), output, eval_type, cloudpickle.dumps((function, output)))


def with_state(
    source: Relation, function: Any, output: str, state: str, mode: Any = "update", timeout: Any = "NoTimeout"
) -> ApplyInPandasWithState:
    """`groupBy("k").applyInPandasWithState(…)`."""
    schema = parse_schema(output)
    pickled = udf(function, schema, PythonEvalType.SQL_GROUPED_MAP_PANDAS_UDF_WITH_STATE)
    return ApplyInPandasWithState(source, (Column(("k",)),), pickled, schema, parse_schema(state), mode, timeout)


def transform(
    source: Relation,
    processor: StatefulProcessor,
    output: str,
    mode: Any = "update",
    time_mode: Any = "none",
    *,
    pandas: bool = False,
    **more: Any,
) -> TransformWithState:
    """`groupBy("k").transformWithState(…)`, or `…InPandas`."""
    schema = parse_schema(output)
    kind = PythonEvalType.SQL_TRANSFORM_WITH_STATE_PYTHON_ROW_UDF
    if pandas:
        kind = PythonEvalType.SQL_TRANSFORM_WITH_STATE_PANDAS_UDF
    name = {"none": "None", "processingtime": "ProcessingTime", "eventtime": "EventTime"}[time_mode]
    function = TransformWithStateInPandasUdfUtils(processor, name).transformWithStateUDF
    return TransformWithState(source, (Column(("k",)),), udf(function, schema, kind), schema, mode, time_mode, **more)


KEYS = 3
"""The feed's rows are (id, k) with k = id % KEYS: the one before of a key is id - KEYS."""


def stepping_function(source: Relation) -> ApplyInPandasWithState:
    """Passes a row through if the one before of its key was the last one seen, else says -1."""

    def step(key: Any, frames: Any, state: Any) -> Any:
        import pandas as pd

        last = state.get[0] if state.exists else None
        for frame in frames:
            ids = []
            for one in frame["id"]:
                ids.append(int(one) if last in (None, one - 3) and (last is not None or one < 3) else -1)
                last = int(one)
            yield pd.DataFrame({"id": ids, "k": [key[0]] * len(ids)})
        state.update((last,))

    return with_state(source, step, "id BIGINT, k STRING", "last BIGINT", "append")


def stepping_processor(source: Relation) -> TransformWithState:
    """As `stepping_function`, by a value, a list and a map, which must agree."""

    class Stepping(StatefulProcessor):
        def init(self, handle: Any) -> None:
            self.last = handle.getValueState("last", "id BIGINT")
            self.all = handle.getListState("all", "id BIGINT")
            self.counts = handle.getMapState("counts", "what STRING", "n BIGINT")

        def handleInputRows(self, key: Any, rows: Any, timerValues: Any) -> Any:
            for row in rows:
                last = self.last.get()[0] if self.last.exists() else None
                count = self.counts.getValue(("rows",))
                n = count[0] if count else 0
                listed = [one for (one,) in self.all.get()]
                exact = n == len(listed) and (row.id == last + 3 if last is not None else row.id < 3)
                exact = exact and (not listed or listed[-1] == last)
                self.last.update((row.id,))
                self.all.appendValue((row.id,))
                self.counts.updateValue(("rows",), (n + 1,))
                yield Row(id=row.id if exact else -1, k=key[0])

        def close(self) -> None:
            pass

    return transform(source, Stepping(), "id BIGINT, k STRING", "append")


STEPPING = {"applyInPandasWithState": stepping_function, "transformWithState": stepping_processor}

"""One batch of a user's StatefulProcessor: the handle it is given, and the calls it gets.

Order of a batch, as in PySpark's worker: `init`, then for each group `handleInitialState` and `handleInputRows`, then
`handleExpiredTimer` for what is due, then `close`.

Invariants: a processor is unpickled for every batch, so nothing but its state outlives one; variables are declared in
`init` only; what the user's code raises is PYTHON_EXCEPTION with its traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pyspark.errors import PySparkRuntimeError
from pyspark.sql.streaming.stateful_processor import (
    ExpiredTimerInfo,
    ListState,
    MapState,
    StatefulProcessorHandle,
    TimerValues,
    ValueState,
)
from pyspark.sql.types import StructType

from headwater.errors import RuntimeSparkError, SparkError, UnsupportedError
from headwater.plan.expressions import PythonUDF
from headwater.types.ddl import parse_schema
from headwater.udf.cells import Cell, Cells
from headwater.udf.failures import user_code
from headwater.udf.function import load
from headwater.udf.values import order_of
from headwater.udf.variables import STORED, Kind, Variable, Variables

TimeMode = Literal["none", "processingtime", "eventtime"]
MODE_NAMES: dict[TimeMode, str] = {"none": "NoTime", "processingtime": "ProcessingTime", "eventtime": "EventTime"}
"""As Spark's errors name them."""


@dataclass
class TimerCounts:
    """What happened to the timers in a batch, as Spark counts it: a timer that has fired is deleted."""

    registered: int = 0
    deleted: int = 0


@dataclass
class StateOfBatch:
    """What a processor works on: cells per variable, timers, and where the batch is.

    Attributes:
        cells: the cells of a variable, by its declaration.
        timers: a cell per timer, its key the time it expires.
        watermark: in milliseconds; 0 before there is one.
    """

    shared: Variables
    cells: Callable[[Variable], Cells]
    timers: Cells
    watermark: int = 0
    timer_counts: TimerCounts = field(default_factory=TimerCounts)


class Handle(StatefulProcessorHandle):  # type: ignore[misc]
    """PySpark's handle, answered in process."""

    def __init__(self, time_mode: TimeMode, state: StateOfBatch) -> None:
        self._time_mode = time_mode
        self._state = state
        self._open: set[str] = set()
        self._declared: dict[str, Variable] = {}
        self.deleted: list[str] = []
        self.stage = "CREATED"

    @property
    def declared(self) -> list[Variable]:
        """The variables, in the order of their declaration."""
        return list(self._declared.values())

    def getValueState(  # noqa: N802
        self,
        stateName: str,  # noqa: N803
        schema: StructType | str,
        ttlDurationMs: int | None = None,  # noqa: N803
    ) -> ValueState:
        """Declare a value."""
        made: ValueState = self._made("value", stateName, schema, None, ttlDurationMs)
        return made

    def getListState(  # noqa: N802
        self,
        stateName: str,  # noqa: N803
        schema: StructType | str,
        ttlDurationMs: int | None = None,  # noqa: N803
    ) -> ListState:
        """Declare a list."""
        made: ListState = self._made("list", stateName, schema, None, ttlDurationMs)
        return made

    def getMapState(  # noqa: N802
        self,
        stateName: str,  # noqa: N803
        userKeySchema: StructType | str,  # noqa: N803
        valueSchema: StructType | str,  # noqa: N803
        ttlDurationMs: int | None = None,  # noqa: N803
    ) -> MapState:
        """Declare a map."""
        made: MapState = self._made("map", stateName, valueSchema, userKeySchema, ttlDurationMs)
        return made

    def deleteIfExists(self, stateName: str) -> None:  # noqa: N802, N803
        """Forget a variable that was declared."""
        with _reported("deleting state"):
            self._in_init("delete_if_exists")
            self._open.discard(stateName)
            self.deleted.append(stateName)

    def _made(
        self, kind: Kind, name: str, schema: StructType | str, key: StructType | str | None, ttl_ms: int | None
    ) -> Any:
        with _reported(f"initializing {kind} state"):
            self._in_init(f"get_{kind}_state")
            self._check(name, ttl_ms)
            ttl_ms = ttl_ms if ttl_ms and self._time_mode == "processingtime" else None
            variable = Variable(name, kind, _schema(schema), None if key is None else _schema(key), ttl_ms)
            self._declared[name] = variable
            self._open.add(name)
            return STORED[kind](variable, self._state.cells(variable), self._state.shared)

    def _in_init(self, operation: str) -> None:
        if self.stage not in ("PRE_INIT", "CREATED"):
            raise UnsupportedError(
                "STATEFUL_PROCESSOR_CANNOT_PERFORM_OPERATION_WITH_INVALID_HANDLE_STATE",
                operationType=operation,
                handleState=self.stage,
            )

    def _check(self, name: str, ttl_ms: int | None) -> None:
        if name in self._open:
            raise RuntimeSparkError("STATEFUL_PROCESSOR_DUPLICATE_STATE_VARIABLE_DEFINED", stateVarName=name)
        if self.stage == "PRE_INIT":
            return
        if not name or name != name.strip() or name == "default":
            raise UnsupportedError(
                "STATE_STORE_CANNOT_USE_COLUMN_FAMILY_WITH_INVALID_NAME",
                operationName="CREATE_COL_FAMILY",
                colFamilyName=name,
            )
        if not (name[0].isalnum() or name[0] == "_"):
            raise UnsupportedError("STATE_STORE_CANNOT_CREATE_COLUMN_FAMILY_WITH_RESERVED_CHARS", colFamilyName=name)
        if not ttl_ms:
            return
        if self._time_mode != "processingtime":
            raise UnsupportedError(
                "STATEFUL_PROCESSOR_INCORRECT_TIME_MODE_TO_ASSIGN_TTL",
                stateName=name,
                timeMode=MODE_NAMES[self._time_mode],
            )
        if ttl_ms < 0:
            raise UnsupportedError(
                "STATEFUL_PROCESSOR_TTL_DURATION_MUST_BE_POSITIVE", operationType="update", stateName=name
            )

    # ── timers ──────────────────────────────────────────────────────────────────────────────────────────────

    def registerTimer(self, expiryTimestampMs: int) -> None:  # noqa: N802, N803
        """Have `handleExpiredTimer` called for the group at hand."""
        with _reported("register timer"):
            group = self._timers_of("register_timer")
            self._state.timer_counts.registered += 1
            if expiryTimestampMs not in self._state.timers.of(group):
                self._state.timers.put(group, int(expiryTimestampMs), Cell(()))

    def deleteTimer(self, expiryTimestampMs: int) -> None:  # noqa: N802, N803
        """Take a timer back."""
        with _reported("deleting timer"):
            group = self._timers_of("delete_timer")
            self._state.timer_counts.deleted += 1
            self._state.timers.remove(group, int(expiryTimestampMs))

    def listTimers(self) -> Iterator[int]:  # noqa: N802
        """The timers of the group at hand, in Spark's order: that of its rows' bytes."""
        with _reported("listing timers"):
            timers = self._state.timers.of(self._timers_of("list_timers"))
            return iter(sorted(timers, key=lambda expires: order_of((expires,))))

    def _timers_of(self, operation: str) -> int:
        if self._time_mode == "none":
            raise UnsupportedError(
                "STATEFUL_PROCESSOR_CANNOT_PERFORM_OPERATION_WITH_INVALID_TIME_MODE",
                operationType=operation,
                timeMode=MODE_NAMES[self._time_mode],
            )
        if self.stage not in ("INITIALIZED", "DATA_PROCESSED"):
            raise UnsupportedError(
                "STATEFUL_PROCESSOR_CANNOT_PERFORM_OPERATION_WITH_INVALID_HANDLE_STATE",
                operationType=operation,
                handleState=self.stage,
            )
        return self._state.shared.at()


class Processor:
    """See the module.

    Args:
        function: what the client pickled: a bound method of PySpark's driver around the user's processor.
    """

    def __init__(self, function: PythonUDF, time_mode: TimeMode, state: StateOfBatch) -> None:
        self._state = state
        self._processor = load(function).__self__._stateful_processor
        self._times = TimerValues(-1, -1) if time_mode == "none" else TimerValues(state.shared.now, state.watermark)
        self.handle = Handle(time_mode, state)

    def open(self) -> None:
        """`init`."""
        with user_code():
            self._processor.init(self.handle)
        self.handle.stage = "INITIALIZED"

    def initial(self, group: int, key: tuple[Any, ...], states: Iterable[Any]) -> None:
        """`handleInitialState`, once per row or frame."""
        self._state.shared.group = group
        with user_code():
            for state in states:
                self._processor.handleInitialState(key, state, self._times)

    def rows(self, group: int, key: tuple[Any, ...], rows: Iterator[Any]) -> Iterator[Any]:
        """`handleInputRows`: what it gives."""
        self._state.shared.group = group
        with user_code():
            yield from self._processor.handleInputRows(key, rows, self._times)

    def timers(self) -> None:
        """From here on, timers."""
        self.handle.stage = "DATA_PROCESSED"

    def expired(self, group: int, key: tuple[Any, ...], expires: int) -> Iterator[Any]:
        """`handleExpiredTimer`: what it gives; the timer is gone after it."""
        self._state.shared.group = group
        with user_code():
            yield from self._processor.handleExpiredTimer(
                key=key, timerValues=self._times, expiredTimerInfo=ExpiredTimerInfo(expires)
            )
        self._state.timers.remove(group, expires)
        self._state.timer_counts.deleted += 1

    def close(self) -> None:
        """`close`."""
        self.handle.stage = "TIMER_PROCESSED"
        self._state.shared.group = None
        with user_code():
            self._processor.close()
        self.handle.stage = "CLOSED"


def variables_of(function: PythonUDF, time_mode: TimeMode) -> list[Variable]:
    """The variables that a processor declares: its `init` is run once on nothing, then its `close`.

    As in Spark, whether it may declare them is looked at when `init` is run for a batch.

    Raises STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE.
    """
    state = StateOfBatch(Variables(0), lambda _: Cells(0), Cells(0))
    try:
        processor = Processor(function, time_mode, state)
        processor.handle.stage = "PRE_INIT"
        processor.open()
        processor.close()
    except SparkError as error:
        if error.condition != "PYTHON_EXCEPTION":
            raise
        reason = error.parameters["traceback"].lstrip("\n")
        raise RuntimeSparkError(
            "STREAMING_PYTHON_RUNNER_INITIALIZATION_FAILURE", resFromPython="-2", msg=reason
        ) from error
    return processor.handle.declared


class _reported:  # noqa: N801 (a context manager)
    """Spark's errors in an operation of the handle, as PySpark's client raises them."""

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SparkError):
            raise PySparkRuntimeError(f"Error {self._doing}: {error}") from error


def _schema(schema: StructType | str) -> StructType:
    return parse_schema(schema) if isinstance(schema, str) else schema

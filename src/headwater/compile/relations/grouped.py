"""Relations that a Python function makes from groups: `transformWithState` and `applyInPandasWithState`.

On a stream they are operators, and only their columns are known here. In a batch `transformWithState` is one batch of
a processor that starts from nothing, run when DuckDB scans its rows.

Invariants: compiling runs no code of the user; every scan runs the processor anew, on a connection of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
from pyspark.sql.types import Row, StructField, StructType

from headwater.compile.compiler import Compiler, on
from headwater.compile.frame import Frame
from headwater.compile.grouping import GroupedRows, keyed
from headwater.compile.python_rows import PythonRows, no_rows, rows_frame
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection
from headwater.errors import AnalysisError, UnsupportedError
from headwater.plan import relations as plan
from headwater.udf.cells import Cells
from headwater.udf.failures import user_code
from headwater.udf.processor import Processor, StateOfBatch
from headwater.udf.shapes import Shape, shape_of
from headwater.udf.variables import Variable, Variables


@on(plan.ApplyInPandasWithState)
def _with_state(node: plan.ApplyInPandasWithState, frame: Frame, compiler: Compiler) -> Frame:
    if not frame.streaming:
        raise UnsupportedError("_LEGACY_ERROR_TEMP_3176")
    return rows_frame(node.output, no_rows(node.output), compiler, streaming=True)


@on(plan.TransformWithState)
def _transform(node: plan.TransformWithState, frame: Frame, compiler: Compiler) -> Frame:
    if frame.streaming:
        schema = output_schema(node, frame.attributes)
        return rows_frame(schema, no_rows(schema), compiler, streaming=True)
    rows = compiler.relation(keyed(node.input, node.grouping)).resolved()
    initial = None
    if node.initial is not None:
        initial = compiler.relation(keyed(node.initial, node.initial_grouping)).resolved()
    context = compiler.context
    made = TransformedRows(node, rows, initial, shape_of(node.function, context.settings, context.time_zone))
    inputs = {**rows.inputs, **(initial.inputs if initial is not None else {})}
    return rows_frame(node.output, PythonRows(node.output, made.run, inputs, context), compiler)


def output_schema(node: plan.TransformWithState, attributes: Sequence[Attribute]) -> StructType:
    """The output of a node over a stream; its event time carries the watermark's delay.

    Raises UNRESOLVED_COLUMN.WITH_SUGGESTION, CANNOT_ASSIGN_EVENT_TIME_COLUMN_WITHOUT_WATERMARK.
    """
    if not node.event_time:
        return node.output
    event = node.event_time.lower()
    if event not in [name.lower() for name in node.output.names]:
        proposal = ", ".join(f"`{name}`" for name in node.output.names)
        raise AnalysisError("UNRESOLVED_COLUMN.WITH_SUGGESTION", objectName=f"`{node.event_time}`", proposal=proposal)
    delay = next((a.metadata[DELAY] for a in attributes if DELAY in a.metadata), None)
    if delay is None:
        raise AnalysisError("CANNOT_ASSIGN_EVENT_TIME_COLUMN_WITHOUT_WATERMARK")
    return StructType([_marked(field, delay) if field.name.lower() == event else field for field in node.output.fields])


def _marked(field: StructField, delay: object) -> StructField:
    return StructField(field.name, field.dataType, field.nullable, {**(field.metadata or {}), DELAY: delay})


class TransformedRows:
    """The rows of `transformWithState` in a batch."""

    def __init__(self, node: plan.TransformWithState, rows: Resolved, initial: Resolved | None, shape: Shape) -> None:
        self._node = node
        self._rows = GroupedRows("batch", rows, len(node.grouping))
        self._initial: GroupedRows | None = None
        if initial is not None:
            self._initial = GroupedRows("initial", initial, len(node.initial_grouping))
        self._shape = shape

    def run(self, connection: Connection, time_zone: str) -> Iterator[pa.Table]:
        """What the processor gives."""
        del time_zone
        now = int(time.time() * 1000)
        cells: dict[str, Cells] = {}

        def cells_of(variable: Variable) -> Cells:
            return cells.setdefault(variable.name, Cells(now))

        state = StateOfBatch(Variables(now), cells_of, Cells(now), watermark=-1)
        processor = Processor(self._node.function, self._node.time_mode, state)
        processor.open()
        groups = _Numbers()
        if self._initial is not None:
            for key, states in self._groups(connection, self._initial):
                processor.initial(groups.number(key), key, states)
        rows = (processor.rows(groups.number(key), key, rows) for key, rows in self._groups(connection, self._rows))
        with user_code():
            yield from self._shape.tables(chain.from_iterable(rows), self._node.output)
            processor.timers()
            make = Row(*self._rows.key_schema.names)
            due = sorted((expires, group) for group, expires in state.timers.all() if expires <= now)
            fired = (processor.expired(group, make(*groups.keys[group]), expires) for expires, group in due)
            if self._node.time_mode == "processingtime":
                yield from self._shape.tables(chain.from_iterable(fired), self._node.output)
        processor.close()

    def _groups(self, connection: Connection, grouped: GroupedRows) -> Iterator[tuple[tuple[Any, ...], Iterator[Any]]]:
        for chunk in grouped.chunks(connection):
            keys = self._shape.keys(chunk.keys, grouped.key_schema)
            yield from zip(keys, self._shape.groups(chunk.rows, grouped.data_schema, chunk.bounds), strict=True)


class _Numbers:
    """Groups by their keys; equal keys of the initial state and of the rows are one group."""

    def __init__(self) -> None:
        self.keys: list[tuple[Any, ...]] = []
        self._numbers: dict[str, int] = {}

    def number(self, key: tuple[Any, ...]) -> int:
        """The number of a key."""
        number = self._numbers.setdefault(repr(key), len(self.keys))
        if number == len(self.keys):
            self.keys.append(key)
        return number

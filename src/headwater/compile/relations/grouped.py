"""Relations that a Python function makes from groups: `transformWithState` and `applyInPandasWithState`.

On a stream they are operators, and only their columns are known here. In a batch `transformWithState` is one batch of
a processor that starts from nothing, run when DuckDB scans its rows.

Invariants: compiling runs no code of the user; every scan runs the processor anew, on a connection of its own.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
from pyspark.sql.types import Row, StructField, StructType
from sqlglot import exp

from headwater.compile.compiler import Compiler, on
from headwater.compile.context import Context
from headwater.compile.frame import Frame, Slot, column_of
from headwater.compile.grouping import GroupedRows, keyed
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection
from headwater.errors import AnalysisError, SparkError, UnsupportedError, carried
from headwater.plan import relations as plan
from headwater.types.arrow import arrow_schema
from headwater.types.duck import to_duck
from headwater.udf.cells import Cells
from headwater.udf.failures import user_code
from headwater.udf.processor import Processor, StateOfBatch
from headwater.udf.shapes import shape_of
from headwater.udf.variables import Variable, Variables


@on(plan.ApplyInPandasWithState)
def _with_state(node: plan.ApplyInPandasWithState, frame: Frame, compiler: Compiler) -> Frame:
    if not frame.streaming:
        raise UnsupportedError("_LEGACY_ERROR_TEMP_3176")
    return _rows(node.output, pa.table({}), compiler, streaming=True)


@on(plan.TransformWithState)
def _transform(node: plan.TransformWithState, frame: Frame, compiler: Compiler) -> Frame:
    if frame.streaming:
        return _rows(output_schema(node, frame.attributes), pa.table({}), compiler, streaming=True)
    rows = compiler.relation(keyed(node.input, node.grouping)).resolved()
    initial = None
    if node.initial is not None:
        initial = compiler.relation(keyed(node.initial, node.initial_grouping)).resolved()
    return _rows(node.output, TransformedRows(node, rows, initial, compiler.context), compiler, streaming=False)


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


def _rows(schema: StructType, data: Any, compiler: Compiler, *, streaming: bool) -> Frame:
    """A frame over Arrow data whose columns are `out_<i>`."""
    name, alias = f"grouped_{uuid.uuid4().hex}", compiler.fresh("t")
    if streaming:
        data = pa.Table.from_pylist([], schema=_numbered(schema))
    known = exp.TableAlias(this=exp.Identifier(this=alias, quoted=True))
    source = exp.Table(this=exp.Identifier(this=name, quoted=True), alias=known)
    slots = [
        Slot(
            compiler.attribute(field.name, field.dataType, field.nullable, field.metadata),
            exp.Cast(this=column_of(alias, f"out_{i}"), to=to_duck(field.dataType)),
        )
        for i, field in enumerate(schema.fields)
    ]
    return Frame(source, tuple(slots), inputs={name: data}, streaming=streaming)


def _numbered(schema: StructType) -> pa.Schema:
    return pa.schema([field.with_name(f"out_{i}") for i, field in enumerate(arrow_schema(schema))])


class TransformedRows:
    """The rows of `transformWithState` in a batch, as an Arrow stream that can be scanned any number of times."""

    def __init__(
        self, node: plan.TransformWithState, rows: Resolved, initial: Resolved | None, context: Context
    ) -> None:
        self._node = node
        self._inputs = {**rows.inputs, **(initial.inputs if initial is not None else {})}
        self._rows = GroupedRows("batch", rows, len(node.grouping))
        self._initial: GroupedRows | None = None
        if initial is not None:
            self._initial = GroupedRows("initial", initial, len(node.initial_grouping))
        self._time_zone = context.time_zone
        self._shape = shape_of(node.function, context.settings, context.time_zone)
        self._connection = context.binder().cursor()
        self._schema = _numbered(node.output)

    def __arrow_c_schema__(self) -> object:
        """The schema, by Arrow's PyCapsule interface."""
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows, by Arrow's PyCapsule interface."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        connection = self._connection.cursor()
        try:
            connection.execute("SET TimeZone = ?", [self._time_zone])
            for name, data in self._inputs.items():
                connection.register(name, data)
            for rows in self._run(connection):
                yield from rows.cast(arrow_schema(self._node.output)).rename_columns(self._schema.names).to_batches()
        except SparkError as error:
            raise RuntimeError(carried(error)) from error
        finally:
            connection.close()

    def _run(self, connection: Connection) -> Iterator[pa.Table]:
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

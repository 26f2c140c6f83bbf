"""`groupBy(…).agg(pandas_udf)`: aggregates that are Python functions from a group's columns to one value.

Invariants: Python aggregates stand alone, without others beside them, as in Spark; a stream refuses them, as in Spark;
the functions run when DuckDB scans the rows, each scan anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructField, StructType

from headwater.compile.compiler import Compiler
from headwater.compile.frame import Frame, Item, reference
from headwater.compile.grouping import GroupedRows
from headwater.compile.outputs import Output, item_of, outputs_of
from headwater.compile.python_rows import PythonRows, no_rows, rows_frame
from headwater.compile.time_windows import with_time_windows
from headwater.duck import Connection
from headwater.errors import AnalysisError, UnsupportedError, unsupported
from headwater.plan.expressions import Alias, Expression, PythonUDF
from headwater.plan.relations import Aggregate
from headwater.udf.failures import user_code
from headwater.udf.frames import Frames
from headwater.udf.function import load

GROUPED_AGG = 202
"""PySpark's eval type of functions from pandas series to one value."""


def is_python(node: Aggregate) -> bool:
    """Whether an aggregate is a Python function. Raises INVALID_PANDAS_UDF_PLACEMENT if others stand beside it."""
    found = [one for tree in node.aggregates for one in tree.walk() if isinstance(one, PythonUDF)]
    if not found:
        return False
    if any(not isinstance(_bare(tree), PythonUDF) for tree in node.aggregates):
        names = ", ".join(f"`{one.name}`" for one in found)
        raise AnalysisError("INVALID_PANDAS_UDF_PLACEMENT", functionList=names)
    return True


def refuse_on_stream(node: Aggregate) -> None:
    """Raises Spark's error for a Python aggregate over a stream."""
    if is_python(node):
        raise UnsupportedError("_LEGACY_ERROR_TEMP_3067")


def python_aggregate(node: Aggregate, frame: Frame, compiler: Compiler) -> Frame:
    """The rows of `groupBy(grouping).agg(functions)`."""
    node, frame = with_time_windows(node, frame, compiler)
    functions = [_bare(tree) for tree in node.aggregates]
    if node.kind != "groupby" or not node.output_grouping or node.having is not None:
        raise unsupported("a Python aggregate in rollup, cube, pivot or SQL", "Group the frame by groupBy.")
    if any(one.eval_type != GROUPED_AGG for one in functions):
        raise unsupported("a Python aggregate other than pandas_udf from series to a value")
    scope = compiler.scope(frame)
    keys = outputs_of(node.grouping, scope, compiler)
    arguments = [outputs_of(one.arguments, scope, compiler) for one in functions]
    outputs = [*keys, *(output for several in arguments for output in several)]
    rows = compiler.project(frame, [_fresh(output, compiler) for output in outputs]).resolved()
    key_fields = [StructField(a.name, a.type, a.nullable) for a in rows.attributes[: len(keys)]]
    values = [
        StructField(_name(tree, one, several), one.type)
        for tree, one, several in zip(node.aggregates, functions, arguments, strict=True)
    ]
    schema = StructType(key_fields + values)
    if frame.streaming:
        return rows_frame(schema, no_rows(schema), compiler, streaming=True)
    widths = [len(several) for several in arguments]
    grouped = GroupedRows("aggregate", rows, len(keys))
    made = AggregatedRows(schema, grouped, functions, widths)
    return rows_frame(schema, PythonRows(schema, made.run, rows.inputs, compiler.context), compiler)


class AggregatedRows:
    """What the functions give for the groups: keys, then a value per function."""

    def __init__(self, schema: StructType, grouped: GroupedRows, functions: list[PythonUDF], widths: list[int]) -> None:
        self.schema = schema
        self._grouped = grouped
        self._functions = functions
        self._widths = widths

    def run(self, connection: Connection, time_zone: str) -> Iterator[pa.Table]:
        """The rows, a table per chunk of groups."""
        functions = [load(one) for one in self._functions]
        frames = Frames(time_zone)
        fields = self.schema.fields[len(self._grouped.keys) :]
        for chunk in self._grouped.chunks(connection):
            frame = frames.frame(chunk.rows, self._grouped.data_schema)
            columns = list(chunk.keys.columns)
            begin = 0
            with user_code():
                for function, width, field in zip(functions, self._widths, fields, strict=True):
                    series = [frame.iloc[:, i] for i in range(begin, begin + width)]
                    begin += width
                    values = [
                        function(*(one.iloc[start:stop].reset_index(drop=True) for one in series))
                        for start, stop in pairwise(chunk.bounds)
                    ]
                    columns.append(frames.column(values, field))
            yield pa.table(columns, names=[f"out_{i}" for i in range(len(columns))])


def _bare(tree: Expression) -> Any:
    return tree.child if isinstance(tree, Alias) else tree


def _fresh(output: Output, compiler: Compiler) -> Item:
    """The column under a name of its own, whatever else it is projected as."""
    if output.same is None:
        return item_of(output, compiler)
    return Item(compiler.again(output.same), reference(output.same))


def _name(tree: Expression, function: PythonUDF, arguments: list[Output]) -> str:
    if isinstance(tree, Alias):
        return tree.names[0]
    return f"{function.name}({', '.join(output.name for output in arguments)})"

"""`transpose`: rows become columns, named by the values of an index column.

As in Spark the rows are read when the plan is analysed, for they decide the columns; at most
`spark.sql.transposeMaxValues` of them. Rows whose index is null are left out; columns come in the index's order.

Invariants: all values share one type, found without turning numbers into strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import pyarrow as pa
from pyspark.sql.types import ArrayType, DataType, MapType, NullType, StringType, StructField, StructType, VariantType
from sqlglot import exp

from headwater.compile.compiler import Compiler, on
from headwater.compile.expressions import call_of, column
from headwater.compile.frame import Frame, Item, reference
from headwater.compile.relations.leaves import local_frame
from headwater.compile.resolved import Attribute
from headwater.compile.sampling import arrow_of
from headwater.errors import AnalysisError, SparkError, unsupported
from headwater.functions.conversion import cast_typed
from headwater.functions.widening import wider
from headwater.plan import relations as plan
from headwater.types.ddl import type_sql

_MOST = "spark.sql.transposeMaxValues"


@on(plan.Transpose)
def _transpose(node: plan.Transpose, frame: Frame, compiler: Compiler) -> Frame:
    if frame.streaming:
        raise unsupported("transpose on a stream", "Use it in foreachBatch.")
    index = _index(node, frame, compiler)
    rest = [attribute for attribute in frame.attributes if attribute is not index]
    kind = _common([attribute.type for attribute in rest])
    rows = _rows(frame, index, rest, kind, compiler)
    names = rows.column(0).to_pylist()
    columns = [pa.array([rows.column(at + 1)[row] for at in range(len(rest))]) for row in range(len(names))]
    key = pa.array([attribute.name for attribute in rest], pa.string())
    fields = [StructField("key", StringType(), False), *(StructField(name, kind, True) for name in names)]
    return local_frame(pa.table([key, *columns], names=["key", *names]), StructType(fields), compiler)


def _index(node: plan.Transpose, frame: Frame, compiler: Compiler) -> Attribute:
    """The column whose values become names: the first one unless one is given."""
    if not node.index:
        chosen = frame.attributes[0]
    else:
        typed = compiler.expression(node.index[0], compiler.scope(frame))
        found = [a for a in frame.attributes if isinstance(typed.sql, exp.Column) and a.sql == typed.sql.this.this]
        if not found:
            raise AnalysisError("TRANSPOSE_INVALID_INDEX_COLUMN", reason="Index column must be a column of the input")
        chosen = found[0]
    if isinstance(chosen.type, ArrayType | MapType | StructType | VariantType):
        reason = f"Index column must be of atomic type, but found: {chosen.type}"
        raise AnalysisError("TRANSPOSE_INVALID_INDEX_COLUMN", reason=reason)
    return chosen


def _common(types: Sequence[DataType]) -> DataType:
    def both(one: DataType, other: DataType) -> DataType:
        mixed = isinstance(one, StringType) != isinstance(other, StringType)
        found = None if mixed and not isinstance(one, NullType) else wider(one, other)
        if found is None:
            shown = {"dt1": f'"{type_sql(one)}"', "dt2": f'"{type_sql(other)}"'}
            raise AnalysisError("TRANSPOSE_NO_LEAST_COMMON_TYPE", **shown)
        return found

    return reduce(both, types) if types else StringType()


def _rows(frame: Frame, index: Attribute, rest: Sequence[Attribute], kind: DataType, compiler: Compiler) -> pa.Table:
    """The index as text and the other columns as `kind`, in the index's order."""
    present = compiler.filter(frame, [exp.Not(this=exp.Is(this=reference(index), expression=exp.Null()))])
    ordered = exp.Ordered(this=present.by_sql[index.sql].sql, nulls_first=True)
    call = call_of("cast", (), compiler)
    items = [_item(index, StringType(), cast_typed(column(index), StringType(), call).sql, compiler)]
    items += [_item(a, kind, cast_typed(column(a), kind, call).sql, compiler) for a in rest]
    most = int(compiler.context.settings.lookup(_MOST) or 500)
    query = compiler.project(present, items).select()
    query.set("order", exp.Order(expressions=[ordered]))
    query.set("limit", exp.Limit(expression=exp.Literal.number(most + 1)))
    rows = arrow_of(query, frame.inputs, compiler)
    if rows.num_rows > most:
        raise SparkError("TRANSPOSE_EXCEED_ROW_LIMIT", maxValues=most, config=_MOST)
    return rows


def _item(attribute: Attribute, kind: DataType, sql: exp.Expression, compiler: Compiler) -> Item:
    return Item(compiler.attribute(attribute.name, kind, True), sql)

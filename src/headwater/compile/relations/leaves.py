"""Relations without an input: sources, tables, local rows, ranges, values.

Invariants: each leaf gets fresh column names, so one DataFrame used twice never meets itself under one name.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

import pyarrow as pa
from pyspark.sql.types import LongType, StructType
from sqlglot import exp

from headwater.compile.coercion import common_type_of
from headwater.compile.compiler import Compiler, on
from headwater.compile.constants import instant_text
from headwater.compile.expressions import call_of
from headwater.compile.frame import Frame, Slot, column_of
from headwater.compile.resolved import Resolved
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError
from headwater.functions.conversion import cast_typed
from headwater.plan import relations as plan
from headwater.types.arrow import conform, from_arrow
from headwater.types.duck import to_duck


@on(plan.Range)
def _range(node: plan.Range, compiler: Compiler) -> Frame:
    return range_frame(node.start, node.end, node.step, compiler)


def range_frame(start: int, end: int, step: int, compiler: Compiler) -> Frame:
    """One column `id`: start, start + step, … before end."""
    alias = compiler.fresh("range")
    bounds = [exp.convert(bound) for bound in (start, end, step)]
    table = exp.Anonymous(this="range", expressions=bounds)
    columns = [exp.Identifier(this="id", quoted=True)]
    source = exp.Table(this=table, alias=exp.TableAlias(this=exp.Identifier(this=alias, quoted=True), columns=columns))
    attribute = compiler.attribute("id", LongType(), False)
    return Frame(source, (Slot(attribute, column_of(alias, "id")),))


@on(plan.OneRow)
def _one_row(node: plan.OneRow, compiler: Compiler) -> Frame:
    del node, compiler
    return Frame(None, ())


@on(plan.LocalData)
def _local_data(node: plan.LocalData, compiler: Compiler) -> Frame:
    schema = node.schema or from_arrow(node.data.schema)
    return local_frame(node.data, schema, compiler)


def local_frame(data: pa.Table, schema: StructType, compiler: Compiler) -> Frame:
    """Arrow rows under a schema."""
    conformed = conform(data, schema, "UTC")
    attributes = [compiler.attribute(f.name, f.dataType, f.nullable, f.metadata) for f in schema.fields]
    name, alias = f"local_{uuid.uuid4().hex}", compiler.fresh("t")
    table = conformed.rename_columns([a.sql for a in attributes]) if attributes else _nothing(data.num_rows)
    source = exp.Table(
        this=exp.Identifier(this=name, quoted=True), alias=exp.TableAlias(this=exp.Identifier(this=alias, quoted=True))
    )
    slots = []
    for attribute, field in zip(attributes, table.schema, strict=False):
        tree: exp.Expression = column_of(alias, attribute.sql)
        if _changes(field.type):
            tree = exp.Cast(this=tree, to=to_duck(attribute.type))
        slots.append(Slot(attribute, tree))
    return Frame(source, tuple(slots), inputs={name: table})


def _nothing(rows: int) -> pa.Table:
    return pa.table({"nothing": pa.nulls(rows, pa.int32())})


def _changes(arrow: pa.DataType) -> bool:
    """Whether DuckDB reads the Arrow type as another type than ours."""
    if pa.types.is_null(arrow) or pa.types.is_time64(arrow):
        return True
    return bool(pa.types.is_nested(arrow)) and any(_changes(arrow.field(i).type) for i in range(arrow.num_fields))


@on(plan.ReadSource)
def _read_source(node: plan.ReadSource, compiler: Compiler) -> Frame:
    return compiler.leaf(compiler.context.source(replace(node, file_column=compiler.file_column)))


@on(plan.ReadTable)
def _read_table(node: plan.ReadTable, compiler: Compiler) -> Frame:
    if node.moment is not None:
        then = ("timestampAsOf", instant_text(node.moment, compiler))
        node = replace(node, options=(*node.options, then), moment=None)
    if len(node.parts) == 1:
        common = compiler.tables.get(node.parts[0].lower())
        if common is not None:
            return _qualified(common(compiler), node.parts)
    found = compiler.context.table(replace(node, file_column=compiler.file_column))
    if isinstance(found, Resolved):
        return compiler.leaf(found, node.parts)
    _check_view(node)
    return _qualified(compiler.apart(found), node.parts)


def _check_view(node: plan.ReadTable) -> None:
    """Raise if versions or changes of a view are asked for: only tables have some."""
    name = ".".join(f"`{part}`" for part in node.parts)
    asked = {option.lower() for option, _ in node.options}
    if asked & {"versionasof", "timestampasof"}:
        raise AnalysisError("UNSUPPORTED_FEATURE.TIME_TRAVEL", relationId=name)
    if asked & {"readchangefeed", "readchangedata"}:
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=name, operation="table_changes")


def _qualified(frame: Frame, qualifier: tuple[str, ...]) -> Frame:
    return frame.renamed([replace(a, qualifiers=(qualifier,)) for a in frame.attributes])


@on(plan.CachedRemote)
def _cached(node: plan.CachedRemote, compiler: Compiler) -> Frame:
    found = compiler.context.cached(node.relation_id)
    return compiler.leaf(found) if isinstance(found, Resolved) else compiler.apart(found)


@on(plan.UnboundSQL)
def _sql(node: plan.UnboundSQL, compiler: Compiler) -> Frame:
    read = compiler.context.sql(node.query, dict(node.named), node.positional)
    compiler.file_column = compiler.file_column or plan.names_file_column(read)
    return compiler.relation(read)


@on(plan.Values)
def _values(node: plan.Values, compiler: Compiler) -> Frame:
    scope = Scope(outer=compiler.outer, fold=compiler.fold)
    rows = [[compiler.expression(value, scope) for value in row] for row in node.rows]
    width = len(rows[0])
    if any(len(row) != width for row in rows):
        raise AnalysisError(
            "INVALID_INLINE_TABLE.NUM_COLUMNS_MISMATCH",
            expectedNumCols=width,
            actualNumCols=min(len(r) for r in rows),
            rowIndex=0,
        )
    columns = list(zip(*rows, strict=True))
    types = [common_type_of([cell.type for cell in column], "inline table") for column in columns]
    attributes = [
        compiler.attribute(f"col{i}", data_type, any(cell.nullable for cell in column))
        for i, (data_type, column) in enumerate(zip(types, columns, strict=True), 1)
    ]
    alias = compiler.fresh("t")
    call = call_of("cast", (), compiler)
    tuples = [
        exp.Tuple(expressions=[cast_typed(cell, t, call).sql for cell, t in zip(row, types, strict=True)])
        for row in rows
    ]
    names = [exp.Identifier(this=a.sql, quoted=True) for a in attributes]
    source = exp.Values(
        expressions=tuples, alias=exp.TableAlias(this=exp.Identifier(this=alias, quoted=True), columns=names)
    )
    return Frame(source, tuple(Slot(a, column_of(alias, a.sql)) for a in attributes))

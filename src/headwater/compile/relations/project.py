"""Projections and filters: select, withColumns, rename, drop, toDF, to(schema), where, alias.

Invariants: each merges into the SELECT beneath where that is safe; columns not touched keep their attributes.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import BooleanType, NullType, StringType
from sqlglot import exp

from headwater.compile.aggregates import has_aggregate
from headwater.compile.compiler import Compiler, on
from headwater.compile.expressions import call_of, column
from headwater.compile.frame import Frame, Item
from headwater.compile.outputs import Output, item_of, items_of, output_of, outputs_of
from headwater.compile.relations.aggregate import aggregate_frame, rewritten
from headwater.compile.relations.generate import has_generator, project_generators
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.functions.conversion import cast_typed
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from headwater.types.ddl import type_sql


@on(plan.Project)
def _project(node: plan.Project, frame: Frame, compiler: Compiler) -> Frame:
    if any(has_generator(e) for e in node.expressions):
        return project_generators(node.expressions, frame, compiler)
    scope = compiler.scope(frame)
    outputs = outputs_of(node.expressions, scope, compiler)
    if any(has_aggregate(output.typed.sql) for output in outputs if output.same is None):
        return aggregate_frame(frame, [], outputs, compiler)
    return compiler.project(frame, items_of(outputs, compiler))


@on(plan.WithColumns)
def _with_columns(node: plan.WithColumns, frame: Frame, compiler: Compiler) -> Frame:
    if any(has_generator(alias) for alias in node.aliases):
        return _with_generators(node, frame, compiler)
    _distinct(node, compiler)
    scope = compiler.scope(frame)
    made = {compiler.key(a.names[0]): output_of(a, scope, compiler) for a in node.aliases}
    return compiler.project(frame, _replaced(frame, made, compiler))


def _distinct(node: plan.WithColumns, compiler: Compiler) -> None:
    keys = [compiler.key(alias.names[0]) for alias in node.aliases]
    again = next((key for at, key in enumerate(keys) if key in keys[:at]), None)
    if again is not None:
        raise AnalysisError("COLUMN_ALREADY_EXISTS", columnName=f"`{again}`")


def _replaced(frame: Frame, made: dict[str, Output], compiler: Compiler) -> list[Item]:
    items: list[Item] = []
    pending = dict(made)
    for attribute in frame.attributes:
        key = compiler.key(attribute.name)
        if key not in made:
            items.append(Item(attribute))
            continue
        pending.pop(key, None)
        items.append(item_of(made[key], compiler))
    return [*items, *(item_of(output, compiler) for output in pending.values())]


def _with_generators(node: plan.WithColumns, frame: Frame, compiler: Compiler) -> Frame:
    kept: list[ex.Expression] = []
    replaced = {compiler.key(a.names[0]): a for a in node.aliases}
    for attribute in frame.attributes:
        key = compiler.key(attribute.name)
        kept.append(replaced.pop(key) if key in replaced else ex.Column((attribute.name,)))
    return project_generators((*kept, *replaced.values()), frame, compiler)


@on(plan.WithColumnsRenamed)
def _with_columns_renamed(node: plan.WithColumnsRenamed, frame: Frame, compiler: Compiler) -> Frame:
    attributes = frame.attributes
    for old, new in node.renames:
        key = compiler.key(old)
        attributes = tuple(replace(a, name=new) if compiler.key(a.name) == key else a for a in attributes)
    return frame.renamed(attributes)


@on(plan.ToDF)
def _to_df(node: plan.ToDF, frame: Frame, compiler: Compiler) -> Frame:
    del compiler
    if len(node.names) != len(frame.attributes):
        raise AnalysisError("ASSIGNMENT_ARITY_MISMATCH", numExpr=len(node.names), numTarget=len(frame.attributes))
    return frame.renamed([replace(a, name=n) for a, n in zip(frame.attributes, node.names, strict=True)])


@on(plan.Drop)
def _drop(node: plan.Drop, frame: Frame, compiler: Compiler) -> Frame:
    gone = {compiler.key(name) for name in node.names}
    sqls = {s for c in node.columns if (s := _dropped(c, frame, compiler)) is not None}
    kept = [Item(a) for a in frame.attributes if compiler.key(a.name) not in gone and a.sql not in sqls]
    return compiler.project(frame, kept)


def _dropped(expression: ex.Expression, frame: Frame, compiler: Compiler) -> str | None:
    try:
        typed = compiler.expression(expression, replace(compiler.scope(frame), hidden=()))
    except AnalysisError as error:
        if error.condition.startswith(("UNRESOLVED_COLUMN", "CANNOT_RESOLVE_DATAFRAME_COLUMN")):
            return None
        raise
    return typed.sql.this.this if isinstance(typed.sql, exp.Column) else None


@on(plan.ToSchema)
def _to_schema(node: plan.ToSchema, frame: Frame, compiler: Compiler) -> Frame:
    scope = compiler.scope(frame)
    call = call_of("cast", (), compiler)
    items = []
    for field in node.schema.fields:
        found = scope.find((field.name,))
        if found is None and not field.nullable:
            raise scope.unresolved((field.name,))
        value = column(found[0]) if found else None
        if value is not None and value.type == field.dataType:
            typed = value
        else:
            source = value or column_of_nulls()
            typed = cast_typed(source, field.dataType, call)
        if value is not None and value.nullable and not field.nullable:
            raise AnalysisError("NULLABLE_COLUMN_OR_FIELD", name=f"`{field.name}`")
        items.append(item_of(Output(field.name, typed, field.metadata or {}), compiler))
    return compiler.project(frame, items)


def column_of_nulls() -> Typed:
    """An untyped NULL."""
    return Typed(exp.Null(), NullType(), True, None, "NULL")


@on(plan.Filter)
def _filter(node: plan.Filter, frame: Frame, compiler: Compiler) -> Frame:
    typed, frame = rewritten(node.condition, frame, compiler)
    if not isinstance(typed.type, BooleanType | NullType | StringType):
        raise AnalysisError(
            "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN",
            sqlExpr=f'"{typed.name}"',
            filter=f'"{typed.name}"',
            type=f'"{type_sql(typed.type)}"' if typed.type else "unknown",
        )
    if not isinstance(typed.type, BooleanType):
        typed = cast_typed(typed, BooleanType(), call_of("cast", (), compiler))
    return compiler.filter(frame, [typed.sql])


@on(plan.SubqueryAlias)
def _subquery_alias(node: plan.SubqueryAlias, frame: Frame, compiler: Compiler) -> Frame:
    del compiler
    qualifier = ((node.alias,),)
    attributes = [replace(a, qualifiers=qualifier) for a in frame.attributes]
    if node.columns:
        if len(node.columns) != len(attributes):
            raise AnalysisError("ASSIGNMENT_ARITY_MISMATCH", numExpr=len(node.columns), numTarget=len(attributes))
        attributes = [replace(a, name=name) for a, name in zip(attributes, node.columns, strict=True)]
    return frame.renamed(attributes)


def _same(node: plan.Relation, frame: Frame, compiler: Compiler) -> Frame:
    del node, compiler
    return frame


for _kind in (plan.Repartition, plan.Hint):
    on(_kind)(_same)

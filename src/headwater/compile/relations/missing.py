"""Missing values: `na.fill`, `na.drop`, `na.replace`.

Invariants: a column is touched only if the given value fits its kind (numbers, strings, booleans), as in Spark; NaN
counts as missing.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import BooleanType, DataType, DoubleType, FloatType, LongType, NumericType, StringType
from sqlglot import exp

from headwater.compile.compiler import Compiler, on
from headwater.compile.expressions import call_of
from headwater.compile.frame import Frame, Item, reference
from headwater.compile.literals import literal_sql
from headwater.compile.resolved import Attribute
from headwater.compile.scope import Scope
from headwater.functions.base import Typed
from headwater.functions.conversion import cast_typed
from headwater.plan import expressions as ex
from headwater.plan import relations as plan


def _kind(data_type: DataType) -> str:
    if isinstance(data_type, NumericType):
        return "number"
    return "text" if isinstance(data_type, StringType) else "flag" if isinstance(data_type, BooleanType) else ""


def _wanted(names: tuple[str, ...], frame: Frame, compiler: Compiler) -> list[Attribute]:
    scope = Scope(frame.attributes, fold=compiler.fold)
    found = []
    for name in names:
        match = scope.find((name,)) or scope.find(tuple(name.split(".")))
        if match is None:
            raise scope.unresolved((name,))
        found.append(match[0])
    return found


def _literal(literal: ex.Literal, data_type: DataType, compiler: Compiler) -> Typed:
    typed = Typed(literal_sql(literal.value, literal.type), literal.type, literal.value is None, literal.value)
    return cast_typed(typed, data_type, call_of("cast", (), compiler))


def _floating(data_type: DataType) -> bool:
    return isinstance(data_type, FloatType | DoubleType)


def _number_or_null(attribute: Attribute) -> exp.Expression:
    """The column with NaN as NULL."""
    if not _floating(attribute.type):
        return reference(attribute)
    nan = exp.Cast(this=exp.Literal.string("nan"), to=exp.DataType.build("DOUBLE"))
    return exp.Anonymous(this="nullif", expressions=[reference(attribute), nan])


@on(plan.FillNA)
def _fill(node: plan.FillNA, frame: Frame, compiler: Compiler) -> Frame:
    per_name = len(node.values) > 1 or (len(node.names) == 1 and len(node.values) == 1)
    if per_name:
        pairs = list(zip(_wanted(node.names, frame, compiler), node.values, strict=True))
    else:
        columns = _wanted(node.names, frame, compiler) if node.names else list(frame.attributes)
        pairs = [(a, node.values[0]) for a in columns]
    chosen = {a.sql: value for a, value in pairs if _kind(a.type) and _kind(a.type) == _kind(value.type)}
    items = []
    for attribute in frame.attributes:
        value = chosen.get(attribute.sql)
        items.append(Item(attribute) if value is None else _filled(attribute, value, compiler))
    return compiler.project(frame, items)


def _filled(attribute: Attribute, value: ex.Literal, compiler: Compiler) -> Item:
    filling = _literal(value, attribute.type, compiler).sql
    sql = exp.Coalesce(this=_number_or_null(attribute), expressions=[filling])
    narrowed = isinstance(attribute.type, NumericType) and not isinstance(attribute.type, LongType | DoubleType)
    return Item(compiler.again(attribute, nullable=attribute.nullable and narrowed), sql)


@on(plan.DropNA)
def _drop(node: plan.DropNA, frame: Frame, compiler: Compiler) -> Frame:
    columns = _wanted(node.names, frame, compiler) if node.names else list(frame.attributes)
    if not columns:
        return frame
    present = [
        exp.Paren(this=exp.Not(this=exp.Paren(this=exp.Is(this=_number_or_null(a), expression=exp.Null()))))
        for a in columns
    ]
    if node.min_non_nulls is None:
        return compiler.filter(frame, present)
    counted: exp.Expression = exp.Literal.number(0)
    for test in present:
        counted = exp.Add(this=counted, expression=exp.Cast(this=test, to=exp.DataType.build("INT")))
    enough = exp.GTE(this=exp.Paren(this=counted), expression=exp.Literal.number(node.min_non_nulls))
    return compiler.filter(frame, [enough])


@on(plan.ReplaceNA)
def _replace(node: plan.ReplaceNA, frame: Frame, compiler: Compiler) -> Frame:
    columns = _wanted(node.names, frame, compiler) if node.names else list(frame.attributes)
    wanted = {a.sql for a in columns}
    items = []
    for attribute in frame.attributes:
        pairs = [(old, new) for old, new in node.replacements if _fits(attribute, old, new)]
        touched = attribute.sql in wanted and pairs
        items.append(_replaced(attribute, pairs, compiler) if touched else Item(attribute))
    return compiler.project(frame, items)


def _fits(attribute: Attribute, old: ex.Literal, new: ex.Literal) -> bool:
    kinds = {_kind(literal.type) for literal in (old, new) if literal.value is not None}
    return kinds == {_kind(attribute.type)} and _kind(attribute.type) != ""


def _replaced(attribute: Attribute, pairs: list[tuple[ex.Literal, ex.Literal]], compiler: Compiler) -> Item:
    ifs = []
    nullable = attribute.nullable
    for old, new in pairs:
        test: exp.Expression
        if old.value is None:
            test = exp.Is(this=reference(attribute), expression=exp.Null())
        else:
            test = exp.EQ(this=reference(attribute), expression=_literal(old, _wide(attribute), compiler).sql)
        nullable = nullable or new.value is None
        ifs.append(exp.If(this=test, true=_literal(new, attribute.type, compiler).sql))
    sql = exp.Case(ifs=ifs, default=reference(attribute))
    return Item(compiler.again(replace(attribute, nullable=nullable)), sql)


def _wide(attribute: Attribute) -> DataType:
    """Numbers are compared as doubles, so that 1.5 never equals an int."""
    return DoubleType() if isinstance(attribute.type, NumericType) else attribute.type

"""Set operations and duplicates: union, intersect, except, distinct, dropDuplicates.

Invariants: columns are matched by position (or by name), each widened to the common type; names are the left side's;
NULLs count as equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql.types import DataType, LongType, MapType
from sqlglot import exp

from headwater.compile.compiler import Compiler, merged_inputs, on
from headwater.compile.expressions import call_of, column
from headwater.compile.frame import Frame, Item, reference
from headwater.compile.literals import literal_sql
from headwater.compile.resolved import Attribute
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError
from headwater.functions.conversion import cast_typed
from headwater.functions.widening import common_type
from headwater.plan import relations as plan
from headwater.types.ddl import type_sql

_NODES: dict[str, type[exp.SetOperation]] = {"union": exp.Union, "intersect": exp.Intersect, "except": exp.Except}


@on(plan.SetOperation)
def _set_operation(node: plan.SetOperation, compiler: Compiler) -> Frame:
    sides = _sides(node)
    frames = [compiler.relation(side) for side in sides]
    if node.by_name:
        frames = _by_name(frames, node.allow_missing, compiler)
    types = _types(frames, node.kind)
    made = [_typed(frame, types, compiler) for frame in frames]
    first, *rest = made
    query: exp.Query = first.select()
    for frame in rest:
        query = _NODES[node.kind](this=_operand(query), expression=_operand(frame.select()), distinct=not node.all)
    attributes = _attributes(frames, types, node.kind, compiler)
    renamed = [
        exp.Alias(this=reference(a), alias=exp.Identifier(this=b.sql, quoted=True))
        for a, b in zip(first.attributes, attributes, strict=True)
    ]
    alias = compiler.fresh("u")
    outer = exp.Select(expressions=renamed or [exp.Null()])
    outer.set(
        "from_",
        exp.From(this=exp.Subquery(this=query, alias=exp.TableAlias(this=exp.Identifier(this=alias, quoted=True)))),
    )
    _note_inner(node, attributes, compiler)
    inputs = merged_inputs(frames)
    shell = Frame(None, (), inputs=inputs, streaming=any(f.streaming for f in frames))
    return shell.over(outer, compiler.fresh("t"), attributes)


def _sides(node: plan.SetOperation) -> list[plan.Relation]:
    """All sides of a chain of the same UNION ALL, left to right, without recursion."""
    sides: list[plan.Relation] = []
    current: plan.Relation = node
    while isinstance(current, plan.SetOperation) and _same_kind(current, node):
        sides.append(current.right)
        current = current.left
        if not (node.kind == "union" and node.all and not node.by_name):
            break
    return [current, *reversed(sides)]


def _note_inner(node: plan.SetOperation, attributes: list[Attribute], compiler: Compiler) -> None:
    """The unions flattened into this one have its columns."""
    inner = node.left
    while isinstance(inner, plan.SetOperation) and _same_kind(inner, node) and node.kind == "union" and node.all:
        if inner.plan_id is not None:
            compiler.outputs.setdefault(inner.plan_id, []).append(tuple(attributes))
        inner = inner.left


def _same_kind(one: plan.SetOperation, other: plan.SetOperation) -> bool:
    return (one.kind, one.all, one.by_name) == (other.kind, other.all, other.by_name)


def _operand(query: exp.Query) -> exp.Query:
    """A SELECT with its own order or limit, or a nested set operation, must stand in parentheses."""
    if isinstance(query, exp.Select) and not any(query.args.get(k) for k in ("order", "limit", "offset")):
        return query
    return exp.Subquery(this=query)


def _types(frames: Sequence[Frame], kind: str) -> list[DataType]:
    widths = [len(frame.attributes) for frame in frames]
    for number, width in enumerate(widths[1:], 2):
        if width != widths[0]:
            raise AnalysisError(
                "NUM_COLUMNS_MISMATCH",
                operator=kind.upper(),
                firstNumColumns=widths[0],
                invalidOrdinalNum=_ordinal(number),
                invalidNumColumns=width,
            )
    columns = list(zip(*(frame.attributes for frame in frames), strict=True))
    return [_common(column, i, kind) for i, column in enumerate(columns, 1)]


def _common(column: Sequence[Attribute], position: int, kind: str) -> DataType:
    found = common_type([a.type for a in column])
    if found is None:
        other = next(i for i, a in enumerate(column) if common_type([column[0].type, a.type]) is None)
        raise AnalysisError(
            "INCOMPATIBLE_COLUMN_TYPE",
            operator=kind.upper(),
            columnOrdinalNumber=_ordinal(position),
            tableOrdinalNumber=_ordinal(other + 1),
            dataType1=f'"{type_sql(column[other].type)}"',
            dataType2=f'"{type_sql(column[0].type)}"',
            hint="",
        )
    if kind != "union" and isinstance(found, MapType):
        raise AnalysisError(
            "UNSUPPORTED_FEATURE.SET_OPERATION_ON_MAP_TYPE",
            colName=f"`{column[0].name}`",
            dataType=f'"{type_sql(found)}"',
        )
    return found


def _ordinal(number: int) -> str:
    names = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
    return names[number - 1] if number <= len(names) else f"{number}th"


def _typed(frame: Frame, types: Sequence[DataType], compiler: Compiler) -> Frame:
    items = []
    call = call_of("cast", (), compiler)
    for attribute, data_type in zip(frame.attributes, types, strict=True):
        typed = cast_typed(column(attribute), data_type, call)
        if isinstance(typed.sql, exp.Column):
            items.append(Item(attribute))
        else:
            items.append(Item(compiler.attribute(attribute.name, data_type, typed.nullable), typed.sql))
    return compiler.project(frame, items)


def _attributes(frames: Sequence[Frame], types: Sequence[DataType], kind: str, compiler: Compiler) -> list[Attribute]:
    """The output: the left side's columns, so that `left["a"]` still finds them, unless their type changed."""
    made: list[Attribute] = []
    taken: set[str] = set()
    for i, data_type in enumerate(types):
        nullables = [frame.attributes[i].nullable for frame in frames]
        nullable = nullables[0] if kind == "except" else all(nullables) if kind == "intersect" else any(nullables)
        first = frames[0].attributes[i]
        changes = {"type": data_type, "nullable": nullable, "qualifiers": ()}
        kept = first.type == data_type and first.sql not in taken
        made.append(replace(first, **changes) if kept else compiler.again(first, **changes))
        taken.add(made[-1].sql)
    return made


def _by_name(frames: Sequence[Frame], allow_missing: bool, compiler: Compiler) -> list[Frame]:
    first, second = frames
    names = [a.name for a in first.attributes]
    if allow_missing:
        known = {compiler.key(name) for name in names}
        names += [a.name for a in second.attributes if compiler.key(a.name) not in known]
    return [_named(frame, other, names, allow_missing, compiler) for frame, other in ((first, second), (second, first))]


def _named(frame: Frame, other: Frame, names: Sequence[str], allow_missing: bool, compiler: Compiler) -> Frame:
    scope = Scope(frame.attributes, fold=compiler.fold)
    if not allow_missing and len(frame.attributes) != len(names):
        return frame
    items = []
    for name in names:
        found = scope.find((name,))
        if found is not None:
            items.append(Item(found[0]))
            continue
        if not allow_missing:
            raise scope.unresolved((name,))
        there = Scope(other.attributes, fold=compiler.fold).find((name,))
        assert there is not None
        items.append(Item(compiler.attribute(name, there[0].type, True), literal_sql(None, there[0].type)))
    return compiler.project(frame, items)


@on(plan.Deduplicate)
def _deduplicate(node: plan.Deduplicate, frame: Frame, compiler: Compiler) -> Frame:
    if node.within_watermark and not frame.streaming:
        msg = "dropDuplicatesWithinWatermark is not supported with batch DataFrames/DataSets"
        raise AnalysisError("_LEGACY_ERROR_TEMP_3102", msg=msg)
    keys = duplicate_keys(node, frame.attributes, compiler.fold)
    if len({a.sql for a in keys}) == len(frame.attributes):
        return _distinct(frame, compiler)
    return _first_of_each(frame, keys, compiler)


def duplicate_keys(node: plan.Deduplicate, attributes: Sequence[Attribute], fold: bool) -> list[Attribute]:
    """The columns that tell rows apart. Raises UNRESOLVED_COLUMN_AMONG_FIELD_NAMES, SET_OPERATION_ON_MAP_TYPE."""
    scope = Scope(tuple(attributes), fold=fold)
    keys = list(attributes) if node.all_columns or not node.names else []
    for name in node.names if not node.all_columns else ():
        matches = [a for a in attributes if scope.key(a.name) == scope.key(name)]
        if not matches:
            names = ", ".join(a.name for a in attributes)
            raise AnalysisError("UNRESOLVED_COLUMN_AMONG_FIELD_NAMES", colName=name, fieldNames=names)
        keys += [a for a in matches if a not in keys]
    _no_maps(keys)
    return keys


def _no_maps(keys: Sequence[Attribute]) -> None:
    found = next((a for a in keys if isinstance(a.type, MapType)), None)
    if found is not None:
        raise AnalysisError(
            "UNSUPPORTED_FEATURE.SET_OPERATION_ON_MAP_TYPE",
            colName=f"`{found.name}`",
            dataType=f'"{type_sql(found.type)}"',
        )


@on(plan.Distinct)
def _distinct_rows(node: plan.Distinct, frame: Frame, compiler: Compiler) -> Frame:
    del node
    _no_maps(frame.attributes)
    return _distinct(frame, compiler)


def _distinct(frame: Frame, compiler: Compiler) -> Frame:
    base = compiler.closed(frame) if frame.limited or frame.order else frame
    query = base.select()
    query.set("distinct", exp.Distinct())
    return base.over(query, compiler.fresh("t"), base.attributes)


def _first_of_each(frame: Frame, keys: Sequence[Attribute], compiler: Compiler) -> Frame:
    """One row per key: the first one found."""
    base = compiler.closed(frame)
    number = compiler.attribute("row", LongType(), False)
    window = exp.Window(this=exp.Anonymous(this="row_number"), partition_by=[reference(key) for key in keys])
    numbered = compiler.project(base, [*(Item(a) for a in base.attributes), Item(number, window)])
    one = exp.EQ(this=reference(number), expression=exp.Literal.number(1))
    return compiler.project(compiler.filter(numbered, [one]), [Item(a) for a in base.attributes])

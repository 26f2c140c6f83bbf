"""Aggregations: groupBy, rollup, cube, grouping sets, pivot, and selects that aggregate.

An aggregation has two SELECTs: the inner one computes keys and the DuckDB aggregate calls ("states") of the child's
rows per group; the outer one computes the outputs from them. Streaming uses the same pieces (`compile_aggregate`).

Invariant: what outputs, HAVING and ORDER BY need of the groups is in one inner SELECT.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql.types import DataType, LongType
from sqlglot import exp

from headwater.compile.aggregates import has_aggregate, is_aggregate, rewrite
from headwater.compile.compiler import Compiler, on
from headwater.compile.context import Context
from headwater.compile.frame import Frame, Item, reference, used_names
from headwater.compile.outputs import Output, item_of, output_of, outputs_of
from headwater.compile.relations.all_keys import grouped_by_all
from headwater.compile.relations.groups import Grouped, Key, State, is_grouping, lifted
from headwater.compile.relations.python_aggregate import is_python, python_aggregate, refuse_on_stream
from headwater.compile.relations.sessions import is_session
from headwater.compile.resolved import Resolved
from headwater.compile.scope import Scope
from headwater.compile.time_windows import with_time_windows
from headwater.errors import AnalysisError, unsupported
from headwater.functions.base import Typed
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from headwater.plan.relations import names_file_column


@dataclass(frozen=True)
class AggregatePieces:
    """An aggregation taken apart.

    Attributes:
        child: the input; key and call expressions name its columns by `Attribute.sql`.
        keys: grouping keys, in order.
        states: the aggregate calls, each once.
        outputs: the output columns, expressions over key names (`attribute.sql`) and state names.
        having: which groups go on, over the same names.
        sets: ROLLUP, CUBE or GROUPING SETS of the keys.
        session: the key whose sessions are merged; not yet merged in `child`.
    """

    child: Resolved
    keys: tuple[Key, ...]
    states: tuple[State, ...]
    outputs: tuple[Item, ...]
    having: exp.Expression | None = None
    sets: exp.Expression | None = None
    session: Key | None = None


def aggregate_frame(frame: Frame, keys: list[Key], outputs: Sequence[Output], compiler: Compiler) -> Frame:
    """The aggregation of a frame by keys, giving outputs."""
    grouped = Grouped(frame, keys, compiler)
    return grouped.frame(lifted(grouped, outputs, compiler))


@on(plan.Aggregate)
def _aggregate(node: plan.Aggregate, frame: Frame, compiler: Compiler) -> Frame:
    if is_python(node):
        return python_aggregate(node, frame, compiler)
    grouped, items = _grouped(node, frame, compiler)
    if frame.streaming:  # as in Spark
        items = [item._replace(attribute=replace(item.attribute, nullable=True)) for item in items]
    having = None
    if node.having is not None:
        having = _having(node, grouped, items, compiler)
    made = grouped.frame(items)
    return made if having is None else compiler.filter(made, [having])


def _having(node: plan.Aggregate, grouped: Grouped, items: list[Item], compiler: Compiler) -> exp.Expression:
    """HAVING sees the child's columns and, failing that, the select list's names."""
    assert node.having is not None
    scope = grouped.scope()
    outputs = tuple(item.attribute for item in items)
    try:
        typed = compiler.expression(node.having, scope)
    except AnalysisError as error:
        if not error.condition.startswith("UNRESOLVED_COLUMN"):
            raise
        typed = compiler.expression(node.having, replace(scope, hidden=(*outputs, *scope.hidden)))
    return grouped.lift(typed.sql)


def _grouped(node: plan.Aggregate, frame: Frame, compiler: Compiler) -> tuple[Grouped, list[Item]]:
    if node.kind == "pivot":
        from headwater.compile.relations.pivot import pivoted

        return pivoted(node, frame, compiler)
    node = grouped_by_all(node, frame)
    scope = compiler.scope(frame)
    named = [_grouping_output(g, node, scope, compiler) for g in _all_keys(node)]
    grouped = grouped_by(named, frame, compiler) if node.kind == "groupby" else _with_sets(node, frame, named, compiler)
    shown = shown_keys(named, grouped) if node.output_grouping else []
    outputs = outputs_of(node.aggregates, grouped.scope(), compiler)
    return grouped, lifted(grouped, [*shown, *outputs], compiler)


def grouped_by(named: Sequence[Output], frame: Frame, compiler: Compiler) -> Grouped:
    """An aggregation by columns or sessions."""
    if any(is_session(output.metadata) for output in named):
        return _by_sessions(frame, named, compiler)
    return Grouped(frame, keys_of(named, compiler), compiler)


def shown_keys(named: Sequence[Output], grouped: Grouped) -> list[Output]:
    """The grouping columns as outputs."""
    return [_regrouped(output, key) for output, key in zip(named, grouped.keys, strict=True)]


def _regrouped(output: Output, key: Key) -> Output:
    return output._replace(typed=replace(output.typed, sql=key.sql), same=key.attribute)


def _all_keys(node: plan.Aggregate) -> list[ex.Expression]:
    keys = list(node.grouping)
    for group in node.grouping_sets:
        keys += [key for key in group if key not in keys]
    return keys


def _grouping_output(expression: ex.Expression, node: plan.Aggregate, scope: Scope, compiler: Compiler) -> Output:
    """A key: an expression, in SQL also the position or name of a select list entry."""
    if not node.output_grouping:
        expression = _from_select_list(expression, node, scope)
    return output_of(expression, scope, compiler)


def _from_select_list(expression: ex.Expression, node: plan.Aggregate, scope: Scope) -> ex.Expression:
    entries = node.aggregates
    if isinstance(expression, ex.Literal) and type(expression.value) is int:
        if not 1 <= expression.value <= len(entries):
            raise AnalysisError("GROUP_BY_POS_OUT_OF_RANGE", index=expression.value, size=len(entries))
        chosen = entries[expression.value - 1]
        return chosen.child if isinstance(chosen, ex.Alias) else chosen
    if isinstance(expression, ex.Column) and len(expression.parts) == 1 and scope.find(expression.parts) is None:
        for entry in entries:
            if isinstance(entry, ex.Alias) and scope.key(entry.names[0]) == scope.key(expression.parts[0]):
                return entry.child
    return expression


def keys_of(named: Sequence[Output], compiler: Compiler) -> list[Key]:
    """Grouping keys of the grouping columns; a bare column stays that column."""
    keys: list[Key] = []
    taken: set[str] = set()
    for output in named:
        if output.same is not None and output.same.sql not in taken:
            taken.add(output.same.sql)
            keys.append(Key(output.same, output.typed.sql))
        else:
            keys.append(Key(item_of(output, compiler).attribute, output.typed.sql))
    return keys


def _by_sessions(frame: Frame, named: Sequence[Output], compiler: Compiler) -> Grouped:
    """Rows of one group whose sessions touch are one session."""
    base, keys = _with_keys_beneath(frame, [item_of(output, compiler) for output in named], compiler)
    grouped = _over(frame, base, keys, named, compiler)
    grouped.session = next(key for key in keys if is_session(key.attribute.metadata))
    return grouped


def _with_sets(node: plan.Aggregate, frame: Frame, named: Sequence[Output], compiler: Compiler) -> Grouped:
    """ROLLUP, CUBE and GROUPING SETS group by columns, so the keys are computed beneath."""
    if any(is_session(output.metadata) for output in named):
        raise unsupported(f"session_window in {node.kind.replace('_', ' ')}", "Group by the session and each key.")
    items = [item_of(output, compiler) for output in named]
    items = [Item(replace(i.attribute, nullable=True), i.sql) for i in items]
    base, keys = _with_keys_beneath(frame, items, compiler)
    columns = {g: base.by_sql[k.attribute.sql].sql for g, k in zip(_all_keys(node), keys, strict=True)}
    return _over(frame, base, keys, named, compiler, _sets(node, columns))


def _with_keys_beneath(frame: Frame, items: Sequence[Item], compiler: Compiler) -> tuple[Frame, list[Key]]:
    scope = compiler.scope(frame)
    kept = [Item(a) for a in (*scope.attributes, *scope.hidden)]
    base = compiler.closed(compiler.project(frame, [*kept, *items]))
    return replace(base, hidden=()), [Key(item.attribute, reference(item.attribute)) for item in items]


def _over(
    frame: Frame, base: Frame, keys: list[Key], named: Sequence[Output], compiler: Compiler, sets: Any = None
) -> _KeysGrouped:
    grouped = _KeysGrouped(base, keys, compiler, sets, compiler.scope(frame))
    grouped.originals = {output.typed.sql: key for output, key in zip(named, keys, strict=True)}
    return grouped


class _KeysGrouped(Grouped):
    """An aggregation whose keys are columns beneath it."""

    originals: dict[exp.Expression, Key]

    def lift(self, tree: exp.Expression) -> exp.Expression:
        def change(node: exp.Expression) -> exp.Expression | None:
            if is_grouping(node):
                return _over_keys(node, self)
            if is_aggregate(node):
                return node.copy()
            key = self.originals.get(node)
            return None if key is None else reference(key.attribute)

        return super().lift(rewrite(tree, change))


def _over_keys(node: exp.Expression, grouped: _KeysGrouped) -> exp.Expression:
    arguments = node.expressions or [key.sql for key in grouped.keys]
    keys = [grouped.originals.get(argument) for argument in arguments]
    columns = [
        reference(key.attribute) if key else argument.copy() for key, argument in zip(keys, arguments, strict=True)
    ]
    return exp.Anonymous(this="grouping_id" if len(columns) > 1 else "grouping", expressions=columns)


def _sets(node: plan.Aggregate, columns: dict[ex.Expression, exp.Expression]) -> exp.Expression:
    trees = [columns[key].copy() for key in node.grouping]
    if node.kind == "rollup":
        return exp.Rollup(expressions=trees)
    if node.kind == "cube":
        return exp.Cube(expressions=trees)
    groups = [exp.Tuple(expressions=[columns[key].copy() for key in group]) for group in node.grouping_sets]
    return exp.GroupingSets(expressions=groups)


def rewritten(expression: ex.Expression, frame: Frame, compiler: Compiler) -> tuple[Typed, Frame]:
    """An expression over a frame's columns; right above an aggregation it may aggregate and use what is grouped."""
    scope = compiler.scope(frame, beneath=True)
    grouped: Grouped | None = frame.grouped
    if grouped is None:
        return compiler.expression(expression, scope), frame
    try:
        typed = compiler.expression(expression, scope)
        if not has_aggregate(typed.sql):
            return typed, frame
    except AnalysisError as error:
        if not error.condition.startswith(("UNRESOLVED_COLUMN", "CANNOT_RESOLVE")):
            raise
    typed = compiler.expression(expression, grouped.scope())
    lifted = grouped.lift(typed.sql)
    values = [Item(slot.attribute, _unqualified(slot.sql)) for slot in frame.slots]
    renewed = grouped.frame(values)
    return replace(typed, sql=lifted), replace(
        renewed, order=_moved(frame, renewed), where=_moved_where(frame, renewed)
    )


def _unqualified(tree: exp.Expression) -> exp.Expression:
    """Expressions of the outer SELECT over key and state names again."""
    result = tree.copy()
    for column in list(result.find_all(exp.Column)):
        column.set("table", None)
    return result


def _moved(frame: Frame, renewed: Frame) -> tuple[exp.Ordered, ...]:
    alias = _alias(renewed)
    return tuple(_requalified(tree, alias) for tree in frame.order)  # type: ignore[misc]


def _moved_where(frame: Frame, renewed: Frame) -> tuple[exp.Expression, ...]:
    alias = _alias(renewed)
    return tuple(_requalified(tree, alias) for tree in frame.where)


def _alias(frame: Frame) -> str:
    assert frame.source is not None
    return str(frame.source.args["alias"].this.this)


def _requalified(tree: exp.Expression, alias: str) -> exp.Expression:
    result = tree.copy()
    for column in list(result.find_all(exp.Column)):
        column.set("table", exp.Identifier(this=alias, quoted=True))
    return result


def compile_aggregate(node: plan.Aggregate, context: Context) -> AggregatePieces:
    """The pieces of an aggregation. Raises as `compile_relation`."""
    compiler = Compiler(context)
    compiler.file_column = names_file_column(node)
    refuse_on_stream(node)
    node, frame = with_time_windows(node, compiler.relation(node.input), compiler)
    grouped, items = _grouped(node, frame, compiler)
    having = None if node.having is None else _having(node, grouped, items, compiler)
    attributes = compiler.with_plans([item.attribute for item in items])
    outputs = [
        Item(replace(attribute, nullable=True), item.sql or reference(item.attribute))
        for attribute, item in zip(attributes, items, strict=True)
    ]
    sets = None if grouped.sets is None else _unqualified(grouped.sets)
    states = tuple(replace(state, type=_type_of(state.call, compiler)) for state in grouped.states.values())
    trees = [*(key.sql for key in grouped.keys), *(state.call for state in states)]
    child = _narrow(grouped.base, used_names(trees)).resolved()
    return AggregatePieces(child, tuple(grouped.keys), states, tuple(outputs), having, sets, grouped.session)


def _narrow(frame: Frame, used: Container[str]) -> Frame:
    """The frame with only the columns used, hidden ones too."""
    hidden = [slot for slot in frame.hidden if slot.attribute.sql in frame.merged]
    slots = [slot for slot in (*frame.slots, *hidden) if slot.attribute.sql in used]
    return replace(frame, slots=tuple(slots), hidden=(), whole=())


def _type_of(call: exp.Expression, compiler: Compiler) -> DataType:
    return LongType() if is_grouping(call) else compiler.ask(call)

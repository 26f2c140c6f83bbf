"""Joins of all kinds.

A join of two streams is run by an operator, which needs the join's parts instead of its SELECT (`compile_join`).

Invariants: output columns and nullability are Spark's: USING and natural joins give the shared columns once and
first; semi and anti joins give the left side only; the padded side of an outer join becomes nullable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyspark.sql.types import DataType
from sqlglot import exp

from headwater.compile.compiler import Compiler, merged_inputs, on
from headwater.compile.context import Context
from headwater.compile.expressions import call_of, column
from headwater.compile.frame import Frame, Item, Slot, conjunction, reference, shape_of, substitute, used_names
from headwater.compile.resolved import Attribute, Resolved
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError
from headwater.functions.base import Typed, functions
from headwater.functions.operators import compared
from headwater.plan import relations as plan
from headwater.plan.relations import names_file_column

_SIDES = {"inner": "", "cross": "", "left_outer": "LEFT", "right_outer": "RIGHT", "full_outer": "FULL"}
_KINDS = {"left_semi": "SEMI", "left_anti": "ANTI"}


@on(plan.Join)
def _join(node: plan.Join, compiler: Compiler) -> Frame:
    left = compiler.relation(node.left)
    if node.lateral:
        return _lateral(node, left, compiler)
    return join_frames(left, compiler.relation(node.right), node, compiler)


def join_frames(left: Frame, right: Frame, node: plan.Join, compiler: Compiler) -> Frame:
    """The join of two frames."""
    one, other = _side(left, compiler, joined=True), _side(right, compiler)
    using, condition = _matching(left, right, node, compiler)
    frame = _joined(one, other, node.kind, condition)
    frame = replace(frame, inputs=merged_inputs((left, right)), streaming=left.streaming or right.streaming)
    return _merged(frame, left, right, using, node.kind, compiler) if using else frame


def _matching(
    left: Frame, right: Frame, node: plan.Join, compiler: Compiler
) -> tuple[Sequence[str], exp.Expression | None]:
    """The columns that both sides share by USING, and the condition."""
    using = _shared(left, right, compiler) if node.natural else node.using
    return using, _using_condition(left, right, using, compiler) if using else _condition(node, left, right, compiler)


def _side(frame: Frame, compiler: Compiler, joined: bool = False) -> Frame:
    """A frame that is one table or subquery (the left side may be joins) with plain columns."""
    plain = all(isinstance(slot.sql, exp.Column) for slot in frame.slots)
    alone = (
        not ((frame.joins and not joined) or frame.where or frame.order or frame.limited) and frame.source is not None
    )
    return frame if plain and alone else compiler.closed(frame)


def _joined(left: Frame, right: Frame, kind: str, condition: exp.Expression | None) -> Frame:
    values = {**left.values(), **right.values()}
    matched = None if condition is None else substitute(condition, values)
    join = exp.Join(this=right.source)
    if kind in _KINDS:
        join.set("kind", _KINDS[kind])
    elif _SIDES[kind]:
        join.set("side", _SIDES[kind])
    if matched is not None:
        join.set("on", matched)
    elif kind in {"inner", "cross"}:
        join.set("kind", "CROSS")
    else:
        join.set("on", exp.true())
    slots = left.slots if kind in _KINDS else (*_padded(left, kind, "left"), *_padded(right, kind, "right"))
    return Frame(left.source, slots, joins=(*left.joins, join))


def _padded(frame: Frame, kind: str, side: str) -> tuple[Slot, ...]:
    """The side's slots, nullable where the join pads them."""
    pads = {"left_outer": "right", "right_outer": "left", "full_outer": "left right"}.get(kind, "")
    if side not in pads:
        return frame.slots
    return tuple(s._replace(attribute=replace(s.attribute, nullable=True)) for s in frame.slots)


def _condition(node: plan.Join, left: Frame, right: Frame, compiler: Compiler) -> exp.Expression | None:
    if node.condition is None:
        return None
    attributes = (*left.attributes, *right.attributes)
    scope = Scope(attributes, outer=compiler.outer, fold=compiler.fold, direct=_direct(node, left, right))
    typed = compiler.expression(node.condition, scope)
    return typed.sql


def _direct(node: plan.Join, left: Frame, right: Frame) -> dict[int, tuple[Attribute, ...]]:
    """`a.join(a.filter(…), a["x"] == …)`: a side itself is meant before the same DataFrame inside the other one."""
    one, other = node.left.plan_id, node.right.plan_id
    sides = ((one, left), (other, right)) if one != other else ()
    return {plan_id: frame.attributes for plan_id, frame in sides if plan_id is not None}


def _shared(left: Frame, right: Frame, compiler: Compiler) -> tuple[str, ...]:
    names = {compiler.key(a.name) for a in right.attributes}
    return tuple(a.name for a in left.attributes if compiler.key(a.name) in names)


def _using_condition(left: Frame, right: Frame, using: Sequence[str], compiler: Compiler) -> exp.Expression:
    tests: list[exp.Expression] = []
    for name in using:
        a, b = _find(left, name, "left", compiler), _find(right, name, "right", compiler)
        call = call_of("==", (column(a), column(b)), compiler)
        x, y = compared(call, column(a), column(b))
        tests.append(exp.Paren(this=exp.EQ(this=x.sql, expression=y.sql)))
    return conjunction(tests)


def _find(frame: Frame, name: str, side: str, compiler: Compiler) -> Attribute:
    found = Scope(frame.attributes, fold=compiler.fold).find((name,))
    if found is None:
        names = ", ".join(f"`{a.name}`" for a in frame.attributes)
        raise AnalysisError("UNRESOLVED_USING_COLUMN_FOR_JOIN", colName=f"`{name}`", side=side, suggestion=names)
    return found[0]


def _merged(frame: Frame, left: Frame, right: Frame, using: Sequence[str], kind: str, compiler: Compiler) -> Frame:
    """The shared columns once and first; the hidden ones can still be named by qualifier."""
    pairs = [(_find(left, n, "left", compiler), _find(right, n, "right", compiler)) for n in using]
    if kind in _KINDS:
        keys = {a.sql for a, _ in pairs}
        rest = [Item(a) for a in frame.attributes if a.sql not in keys]
        return frame.projected([*(Item(_as_in(frame, a)) for a, _ in pairs), *rest])
    gone = {a.sql for pair in pairs for a in pair}
    rest = [Item(a) for a in frame.attributes if a.sql not in gone]
    made = frame.projected([*(_key(frame, a, b, kind, compiler) for a, b in pairs), *rest])
    return replace(made, merged=frozenset(gone))


def _as_in(frame: Frame, attribute: Attribute) -> Attribute:
    return frame.by_sql[attribute.sql].attribute


def _key(frame: Frame, left: Attribute, right: Attribute, kind: str, compiler: Compiler) -> Item:
    if kind == "right_outer":
        return Item(_as_in(frame, right))
    if kind != "full_outer":
        return Item(_as_in(frame, left))
    both = (column(_as_in(frame, left)), column(_as_in(frame, right)))
    coalesce = functions.get("coalesce")
    assert coalesce is not None
    made: Typed = compiler.typed(coalesce.build(call_of("coalesce", both, compiler)))
    attribute = compiler.attribute(left.name, made.type or left.type, left.nullable or right.nullable)
    return Item(attribute, made.sql)


def _lateral(node: plan.Join, left: Frame, compiler: Compiler) -> Frame:
    """The right side may name the left side's columns."""
    one = _side(left, compiler)
    outer = compiler.outer
    compiler.outer = Scope(one.attributes, outer=outer, fold=compiler.fold)
    try:
        right = compiler.closed(compiler.relation(node.right))
    finally:
        compiler.outer = outer
    values = one.values()
    assert isinstance(right.source, exp.Subquery)
    alias = str(right.source.args["alias"].this.this)
    inner = substitute(right.source.this, values)
    source = exp.Lateral(
        this=exp.Subquery(this=inner), alias=exp.TableAlias(this=exp.Identifier(this=alias, quoted=True))
    )
    other = replace(right, source=source)
    condition = _condition(node, left, right, compiler)
    frame = _joined(one, other, node.kind, condition if condition is not None else exp.true())
    return replace(frame, inputs=merged_inputs((left, right)), streaming=left.streaming or right.streaming)


# ── the parts of a join ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class JoinKey:
    """An equality between the sides, both operands in the type they are compared in.

    Attributes:
        left, right: over the columns of one side, named by `Attribute.sql`.
        null_safe: whether nulls are equal (`<=>`).
    """

    left: exp.Expr
    right: exp.Expr
    type: DataType
    null_safe: bool = False


@dataclass(frozen=True)
class JoinPieces:
    """A join taken apart. No column name occurs on both sides.

    Attributes:
        kind: as in `plan.Join`.
        left, right: the inputs.
        keys: the equalities, in the order of the condition.
        rest: what else must be true of a pair, each part of the condition's AND by itself.
        outputs: the output columns, expressions over the inputs' columns.
        hidden: columns of a USING join that can still be named by qualifier.
    """

    kind: str
    left: Resolved
    right: Resolved
    keys: tuple[JoinKey, ...]
    rest: tuple[exp.Expr, ...]
    outputs: tuple[Item, ...]
    hidden: tuple[Item, ...] = ()


def compile_join(node: plan.Join, context: Context) -> JoinPieces:
    """The pieces of a join. Raises as `compile_relation`."""
    compiler = Compiler(context)
    compiler.file_column = names_file_column(node)
    left, right = compiler.relation(node.left), compiler.relation(node.right)
    using, condition = _matching(left, right, node, compiler)
    frame = _joined(_bare(left), _bare(right), node.kind, None)
    if using:
        frame = _merged(frame, left, right, using, node.kind, compiler)
    one, other = _with_file_columns(left).resolved(), _with_file_columns(right).resolved()
    keys, rest = _split([] if condition is None else _conjuncts(condition), one, other, compiler)
    hidden = [slot for slot in frame.hidden if slot.attribute.sql in frame.merged]
    return JoinPieces(node.kind, one, other, keys, rest, _items(frame.slots, compiler), _items(hidden, compiler))


def _bare(frame: Frame) -> Frame:
    """The frame's columns, each by its name alone."""
    return Frame(exp.to_table("rows"), tuple(Slot(a, reference(a)) for a in frame.attributes))


def _with_file_columns(frame: Frame) -> Frame:
    return replace(frame, slots=(*frame.slots, *frame.file_slots()), hidden=())


def _items(slots: Sequence[Slot], compiler: Compiler) -> tuple[Item, ...]:
    attributes = compiler.with_plans(slot.attribute for slot in slots)
    return tuple(Item(attribute, slot.sql) for attribute, slot in zip(attributes, slots, strict=True))


def _conjuncts(tree: exp.Expr) -> list[exp.Expr]:
    """The parts of an AND; BETWEEN is two of them."""
    tree = tree.unnest()
    if isinstance(tree, exp.And):
        return [*_conjuncts(tree.left), *_conjuncts(tree.right)]
    if isinstance(tree, exp.Between):
        value, low, high = tree.this, tree.args["low"], tree.args["high"]
        return [exp.GTE(this=value, expression=low), exp.LTE(this=value.copy(), expression=high)]
    return [tree]


def _split(
    conjuncts: Sequence[exp.Expr], left: Resolved, right: Resolved, compiler: Compiler
) -> tuple[tuple[JoinKey, ...], tuple[exp.Expr, ...]]:
    """The equalities between the sides, and the other parts."""
    keys: list[JoinKey] = []
    rest: list[exp.Expr] = []
    for part in conjuncts:
        pair = _operands(part, left, right)
        if pair is None:
            rest.append(part)
        else:
            keys.append(JoinKey(*pair, _type_of(pair[0], left, compiler), isinstance(part, exp.NullSafeEQ)))
    return tuple(keys), tuple(rest)


def _operands(part: exp.Expr, left: Resolved, right: Resolved) -> tuple[exp.Expr, exp.Expr] | None:
    """The left and the right side's value, if it is an equality between the sides."""
    if not isinstance(part, exp.EQ | exp.NullSafeEQ) or shape_of(part).volatile:
        return None
    for one, other in ((part.left, part.right), (part.right, part.left)):
        if _only(one, left) and _only(other, right):
            return one.unnest(), other.unnest()
    return None


def _only(tree: exp.Expr, side: Resolved) -> bool:
    """Whether columns of the side, and no others, are used."""
    used = used_names([tree])
    return bool(used) and used.keys() <= {attribute.sql for attribute in side.attributes}


def _type_of(tree: exp.Expr, side: Resolved, compiler: Compiler) -> DataType:
    found = next((a.type for a in side.attributes if reference(a) == tree), None)
    return found or compiler.ask(tree)

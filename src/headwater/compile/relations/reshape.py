"""Unpivot and samples.

Invariants: unpivot gives a row per value column in the columns' order; a sample with a seed is the same on every run
over the same rows in the same order.
"""

from __future__ import annotations

from pyspark.sql.types import DoubleType, StringType
from sqlglot import exp

from headwater.compile.compiler import Compiler, on
from headwater.compile.expressions import call_of
from headwater.compile.frame import Frame, Item, reference, used_names
from headwater.compile.outputs import item_of, outputs_of
from headwater.compile.resolved import Attribute
from headwater.errors import AnalysisError, unsupported
from headwater.functions.conversion import cast_typed
from headwater.functions.widening import common_type
from headwater.plan import relations as plan
from headwater.plan.expressions import Star
from headwater.types.ddl import type_sql


@on(plan.Unpivot)
def _unpivot(node: plan.Unpivot, frame: Frame, compiler: Compiler) -> Frame:
    scope = compiler.scope(frame)
    if node.ids is None:
        named = used_names([o.typed.sql for o in outputs_of(node.values or (), scope, compiler)])
        ids = [o for o in outputs_of((Star(),), scope, compiler) if o.same is None or o.same.sql not in named]
    else:
        ids = outputs_of(node.ids, scope, compiler)
    known = {o.same.sql for o in ids if o.same is not None}
    chosen = node.values
    if chosen is None:
        values = [o for o in outputs_of((Star(),), scope, compiler) if o.same is None or o.same.sql not in known]
    else:
        values = outputs_of(chosen, scope, compiler)
    types = [output.typed.type for output in values if output.typed.type is not None]
    target = common_type(types)
    if target is None or not values:
        shown = ", ".join(f'"{type_sql(t)}" (`{o.name}`)' for t, o in zip(types, values, strict=False))
        raise AnalysisError("UNPIVOT_VALUE_DATA_TYPE_MISMATCH", types=shown)
    call = call_of("cast", (), compiler)
    cells = [(output.name, cast_typed(output.typed, target, call)) for output in values]
    rows = [
        exp.Struct(expressions=[_entry("variable", exp.Literal.string(name)), _entry("value", cell.sql)])
        for name, cell in cells
    ]
    items = [Item(o.same) if o.same is not None else item_of(o, compiler) for o in ids]
    row = compiler.attribute("row", StringType(), False)
    unnested = Item(row, exp.Anonymous(this="unnest", expressions=[exp.Array(expressions=rows)]))
    base = compiler.closed(frame) if frame.limited or frame.order else frame
    made = compiler.closed(compiler.project(base, [*items, unnested]))
    variable = compiler.attribute(node.variable_name, StringType(), False)
    value = compiler.attribute(node.value_name, target, any(cell.nullable for _, cell in cells))
    return made.projected(
        [*(Item(i.attribute) for i in items), _part(variable, row, "variable"), _part(value, row, "value")]
    )


def _entry(name: str, value: exp.Expression) -> exp.Expression:
    return exp.PropertyEQ(this=exp.Identifier(this=name, quoted=True), expression=value)


def _part(attribute: Attribute, row: Attribute, name: str) -> Item:
    return Item(attribute, exp.Anonymous(this="struct_extract", expressions=[reference(row), exp.Literal.string(name)]))


@on(plan.Sample)
def _sample(node: plan.Sample, frame: Frame, compiler: Compiler) -> Frame:
    if node.with_replacement:
        raise unsupported("sampling with replacement", "Sample without replacement.")
    base = compiler.closed(frame)
    draw = _draw(node.seed or 0)
    number = compiler.attribute("draw", DoubleType(), False)
    drawn = compiler.closed(compiler.project(base, [*(Item(a) for a in base.attributes), Item(number, draw)]))
    low = exp.GTE(this=reference(number), expression=_double(node.lower))
    high = exp.LT(this=reference(number), expression=_double(node.upper))
    return compiler.project(compiler.filter(drawn, [low, high]), [Item(a) for a in base.attributes])


def _double(value: float) -> exp.Expression:
    return exp.Cast(this=exp.Literal.string(repr(value)), to=exp.DataType.build("DOUBLE"))


def _draw(seed: int) -> exp.Expression:
    """A number in [0, 1) from the seed and the row's position."""
    position = exp.Window(this=exp.Anonymous(this="row_number"))
    hashed = exp.Anonymous(this="hash", expressions=[position, exp.convert(seed)])
    low = exp.Paren(this=exp.Mod(this=hashed, expression=exp.Literal.number(2**32)))
    return exp.Div(this=exp.Cast(this=low, to=exp.DataType.build("DOUBLE")), expression=exp.Literal.number(2**32))

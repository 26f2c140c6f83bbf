"""`describe`, `summary` and the `df.stat` family.

Invariants: results are Spark's tables: statistics as strings with a `summary` column, matrices with one row per value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    LongType,
    NumericType,
    StringType,
    StructField,
    StructType,
)
from sqlglot import exp

from headwater.compile.compiler import Compiler, on
from headwater.compile.expressions import call_of, column
from headwater.compile.frame import Frame, Item, reference
from headwater.compile.outputs import Output
from headwater.compile.relations.aggregate import aggregate_frame
from headwater.compile.relations.groups import Key
from headwater.compile.resolved import Attribute
from headwater.compile.sampling import rows_of
from headwater.compile.scope import Scope
from headwater.errors import IllegalArgumentError, unsupported
from headwater.functions.base import Typed, functions
from headwater.functions.building import duck, struct_of
from headwater.functions.conversion import cast_typed
from headwater.plan import expressions as ex
from headwater.plan import relations as plan

_DESCRIBED = ("count", "mean", "stddev", "min", "max")
_SUMMARISED = ("count", "mean", "stddev", "min", "25%", "50%", "75%", "max")


@on(plan.Statistic)
def _statistic(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
    make = _KINDS.get(node.kind)
    if make is None:
        raise unsupported(f"the statistic {node.kind}")
    return make(node, frame, compiler)


def _found(frame: Frame, name: str, compiler: Compiler) -> Attribute:
    scope = Scope(frame.attributes, fold=compiler.fold)
    match = scope.find((name,))
    if match is None:
        raise scope.unresolved((name,))
    return match[0]


def _call(name: str, compiler: Compiler, *operands: Typed) -> Typed:
    known = functions.get(name)
    assert known is not None
    return compiler.typed(known.build(call_of(name, operands, compiler)))


def _as(typed: Typed, data_type: DataType, compiler: Compiler, attempt: bool = False) -> Typed:
    return cast_typed(typed, data_type, call_of("cast", (), compiler), attempt=attempt)


# ── describe and summary ────────────────────────────────────────────────────────────────────────────────────


def _describe(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
    if node.columns:
        chosen = [_found(frame, name, compiler) for name in node.columns]
    else:
        chosen = [a for a in frame.attributes if isinstance(a.type, NumericType | StringType)]
    return _table(_DESCRIBED, chosen, frame, compiler)


def _summary(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
    chosen = [a for a in frame.attributes if isinstance(a.type, NumericType | StringType)]
    wanted = tuple(str(s) for s in node.arguments) or _SUMMARISED
    return _table(wanted, chosen, frame, compiler)


def _table(wanted: Sequence[str], chosen: Sequence[Attribute], frame: Frame, compiler: Compiler) -> Frame:
    fields = [
        StructField("summary", StringType(), True),
        *(StructField(f"c{i}", StringType()) for i in range(len(chosen))),
    ]
    rows = []
    for statistic in wanted:
        cells: list[tuple[str, exp.Expression]] = [("summary", exp.Literal.string(statistic))]
        cells += [(f"c{i}", _cell(statistic, a, compiler)) for i, a in enumerate(chosen)]
        rows.append(struct_of(cells))
    listed = Typed(exp.Array(expressions=rows), ArrayType(StructType(fields)), False)
    grouped = aggregate_frame(frame, [], [Output("rows", listed, {})], compiler)
    row = compiler.attribute("row", StructType(fields), True)
    made = compiler.closed(compiler.project(grouped, [Item(row, duck("unnest", reference(grouped.attributes[0])))]))
    names = ["summary", *(a.name for a in chosen)]
    return made.projected([
        Item(compiler.attribute(name, StringType(), True), duck("struct_extract", reference(row), field.name))
        for name, field in zip(names, fields, strict=True)
    ])  # fmt: skip


def _cell(statistic: str, attribute: Attribute, compiler: Compiler) -> exp.Expression:
    value = column(attribute)
    number = _as(value, DoubleType(), compiler, attempt=isinstance(attribute.type, StringType))
    if statistic == "count":
        made = _call("count", compiler, value)
    elif statistic in {"mean", "avg"}:
        made = _call("avg", compiler, number)
    elif statistic == "stddev":
        made = _call("stddev", compiler, number)
    elif statistic in {"min", "max"}:
        made = _call(statistic, compiler, value)
    elif statistic.endswith("%"):
        made = _percentile(statistic, value, attribute, compiler)
    elif statistic in {"count_distinct", "approx_count_distinct"}:
        made = _distinct(statistic, value, compiler)
    else:
        raise IllegalArgumentError("INTERNAL_ERROR", message=f"{statistic} is not a recognised statistic")
    return _as(made, StringType(), compiler).sql


def _distinct(statistic: str, value: Typed, compiler: Compiler) -> Typed:
    if statistic == "approx_count_distinct":
        return _call(statistic, compiler, value)
    known = functions.get("count")
    assert known is not None
    return known.build(call_of("count", (value,), compiler, distinct=True))


def _percentile(statistic: str, value: Typed, attribute: Attribute, compiler: Compiler) -> Typed:
    try:
        part = float(statistic[:-1]) / 100
    except ValueError as cause:
        raise IllegalArgumentError("INTERNAL_ERROR", message=f"Unable to parse {statistic} as a percentile") from cause
    numeric = isinstance(attribute.type, NumericType)
    number = value if numeric else _as(value, DoubleType(), compiler, attempt=True)
    return Typed(duck("quantile_disc", number.sql, part), number.type, True)


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _one_number(name: str, function: str) -> Callable[[plan.Statistic, Frame, Compiler], Frame]:
    def make(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
        operands = [_as(column(_found(frame, c, compiler)), DoubleType(), compiler) for c in node.columns]
        made = Typed(duck(function, *(o.sql for o in operands)), DoubleType(), True)
        return aggregate_frame(frame, [], [Output(name, made, {})], compiler)

    return make


def _approx_quantile(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
    parts: Any = node.arguments[0]
    fractions = exp.Array(expressions=[exp.Literal.number(repr(float(p))) for p in parts])
    lists = []
    for name in node.columns:
        number = _as(column(_found(frame, name, compiler)), DoubleType(), compiler)
        fine = exp.Filter(
            this=duck("quantile_disc", number.sql, fractions), expression=exp.Where(this=_not_nan(number.sql))
        )
        lists.append(
            duck(
                "coalesce",
                fine,
                exp.Cast(this=exp.Array(expressions=[]), to=exp.DataType.build("DOUBLE[]", dialect="duckdb")),
            )
        )
    made = Typed(exp.Array(expressions=lists), ArrayType(ArrayType(DoubleType(), False), False), False)
    return aggregate_frame(frame, [], [Output("approx_quantile", made, {})], compiler)


def _not_nan(tree: exp.Expression) -> exp.Expression:
    return exp.Not(this=duck("isnan", tree))


def _freq_items(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
    """Values that make up at least the given share of the rows."""
    support = float(str(node.arguments[0])) if node.arguments else 0.01
    outputs = []
    for name in node.columns:
        attribute = _found(frame, name, compiler)
        counts = duck("histogram", reference(attribute))
        total = duck("count", exp.Star())
        entries = duck("map_entries", counts)
        least = exp.Paren(this=exp.Mul(this=total, expression=exp.Literal.number(repr(support))))
        variable = exp.column("item")
        frequent = exp.GTE(this=duck("struct_extract", variable, "value"), expression=least)
        kept = duck(
            "list_filter", entries, exp.Lambda(this=frequent, expressions=[exp.to_identifier("item")], colon=True)
        )
        key = exp.Lambda(
            this=duck("struct_extract", exp.column("item"), "key"), expressions=[exp.to_identifier("item")], colon=True
        )
        listed = duck("coalesce", duck("list_transform", kept, key), exp.Array(expressions=[]))
        made = Typed(listed, ArrayType(attribute.type, True), False)
        outputs.append(Output(f"{attribute.name}_freqItems", made, {}))
    return aggregate_frame(frame, [], outputs, compiler)


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────


def _crosstab(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
    first, second = (_found(frame, name, compiler) for name in node.columns)
    shown = [_shown(first, compiler), _shown(second, compiler)]
    value = compiler.attribute("value", StringType(), False)
    base = compiler.project(frame, [Item(value, shown[1].sql)])
    query = base.select()
    query.set("distinct", exp.Distinct())
    names = [row[0] for row in rows_of(base.over(query, compiler.fresh("t"), [value]), compiler, 10_000, order=value)]
    key = compiler.attribute(f"{first.name}_{second.name}", StringType(), True)
    outputs = [Output(key.name, Typed(shown[0].sql, StringType(), False), {}, key)]
    for name in names:
        same = exp.EQ(this=shown[1].sql.copy(), expression=exp.Literal.string(name))
        count = exp.Filter(this=duck("count", exp.Star()), expression=exp.Where(this=same))
        outputs.append(Output(name, Typed(count, LongType(), False), {}))
    return aggregate_frame(frame, [Key(key, shown[0].sql)], outputs, compiler)


def _shown(attribute: Attribute, compiler: Compiler) -> Typed:
    text = _as(column(attribute), StringType(), compiler)
    return Typed(duck("coalesce", text.sql, "null"), StringType(), False)


_Strata = tuple[ex.Expression, tuple[tuple[ex.Expression, float], ...], int | None]


def _sample_by(node: plan.Statistic, frame: Frame, compiler: Compiler) -> Frame:
    """Each row by its stratum's fraction; strata not named are left out. Not Spark's rows: see `sampling`."""
    value, fractions, seed = cast(_Strata, node.arguments)
    branches = [e for stratum, share in fractions for e in (ex.Call("<=>", (value, stratum)), _double(share))]
    share = ex.Call("when", (*branches, _double(0.0)))
    drawn = ex.Call("rand", () if seed is None else (ex.Literal(seed, LongType()),))
    chosen = compiler.expression(ex.Call("<", (drawn, share)), compiler.scope(frame))
    return compiler.filter(frame, [chosen.sql])


def _double(value: float) -> ex.Literal:
    return ex.Literal(value, DoubleType())


_KINDS: dict[str, Callable[[plan.Statistic, Frame, Compiler], Frame]] = {
    "describe": _describe,
    "summary": _summary,
    "cov": _one_number("cov", "covar_samp"),
    "corr": _one_number("corr", "corr"),
    "approx_quantile": _approx_quantile,
    "freq_items": _freq_items,
    "crosstab": _crosstab,
    "sample_by": _sample_by,
}

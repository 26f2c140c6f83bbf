"""FROM clauses: tables, subqueries, VALUES, table functions, joins, LATERAL VIEW, samples, PIVOT.

Invariants: every named item is under a `SubqueryAlias` if it has an alias; time travel becomes the read options
`versionAsOf` and `timestampAsOf`, or the read's `moment` if it is an expression; `STREAM` makes the read a streaming
one.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from pyspark.sql.types import TimestampType, YearMonthIntervalType
from sqlglot import exp

from headwater.errors import AnalysisError, unsupported
from headwater.plan.expressions import Alias, Call, Column, Expression, Literal, Star
from headwater.plan.relations import (
    GeneratorJoin,
    Join,
    Limit,
    OneRow,
    Project,
    ReadSource,
    ReadTable,
    Relation,
    Sample,
    SubqueryAlias,
    TableFunction,
    WithWatermark,
)
from headwater.sql import file_functions, queries
from headwater.sql.dialect import Watermark
from headwater.sql.expressions import convert, convert_all
from headwater.sql.pivots import pivoted
from headwater.sql.scope import Scope
from headwater.sql.understood import refuse_unread

_SIDES = {"LEFT": "left_outer", "RIGHT": "right_outer", "FULL": "full_outer"}
_VERSION = re.compile(r"v(\d+)", re.IGNORECASE)
_TIMESTAMP = re.compile(r"\d{17}")


def from_clause(node: exp.Select, scope: Scope) -> Relation:
    """The rows a SELECT starts from."""
    clause = node.args.get("from_")
    if clause is None:
        return _lateral_views(node, OneRow(), scope)
    relation = table(clause.this, scope)
    for join in node.args.get("joins") or ():
        relation = _join(relation, join, scope)
    return _lateral_views(node, relation, scope)


def table(node: exp.Expr, scope: Scope) -> Relation:
    """One item of FROM, with its alias, nested joins and sample."""
    refuse_unread(node)
    relation = _aliased(node, _sampled(node, _plain(node, scope), scope), scope)
    for join in node.args.get("joins") or ():
        relation = _join(relation, join, scope)
    for view in node.args.get("laterals") or ():
        relation = _lateral_view(relation, view, scope)
    return relation


def table_name(node: exp.Table) -> tuple[str, ...]:
    """The parts of a table's name."""
    return tuple(part.name for part in node.parts)


def _plain(node: exp.Expr, scope: Scope) -> Relation:
    if isinstance(node, Watermark):
        return _watermarked(node, scope)
    if isinstance(node, exp.Stream):
        return _streaming(table(node.this, scope))
    if isinstance(node, exp.Table):
        return _named(node, scope)
    if isinstance(node, exp.Values):
        return queries.values(node, scope)
    if isinstance(node, exp.Lateral):
        return _plain(node.this, scope)
    if isinstance(node, exp.Anonymous):
        return TableFunction(node.name.lower(), convert_all(node.expressions, scope))
    if isinstance(node, exp.Subquery):
        inner = node.this
        return table(inner, scope) if isinstance(inner, exp.Table) else scope.query(inner)
    return scope.query(node)


def _named(node: exp.Table, scope: Scope) -> Relation:
    if isinstance(node.this, exp.Anonymous):
        name = node.this.name.lower()
        arguments = convert_all(node.this.expressions, scope)
        if name in file_functions.NAMES:
            return file_functions.file_function(name, arguments)
        return _identifier(arguments) if name == "identifier" else TableFunction(name, arguments)
    options = tuple((key, _option(key, value, scope)) for key, value in node.meta.get("options", ()))
    return _time_travel(node, ReadTable(table_name(node), options), scope)


def _option(key: str, node: exp.Expr | None, scope: Scope) -> str:
    """The text of a constant. Raises `unsupported` for anything else."""
    value = convert(node, scope) if node is not None else None
    if not isinstance(value, Literal) or isinstance(value.type, TimestampType):
        raise unsupported(f"a value of `{key}` that is no number and no string", "Write a constant.")
    return str(value.value).lower() if isinstance(value.value, bool) else str(value.value)


def _identifier(arguments: tuple[Expression, ...]) -> Relation:
    if len(arguments) != 1 or not isinstance(arguments[0], Literal) or not isinstance(arguments[0].value, str):
        raise unsupported("IDENTIFIER() of anything but a constant string")
    parts = exp.to_table(arguments[0].value, dialect="databricks")
    return ReadTable(table_name(parts))


def _time_travel(node: exp.Table, read: ReadTable, scope: Scope) -> ReadTable:
    version = node.args.get("version")
    if version is None:
        return read
    if version.name == "AT":
        return replace(read, options=(*read.options, _at(version.expression.name)))
    value = convert(version.expression, scope)
    if version.name.upper() == "VERSION":
        if not isinstance(value, Literal):
            raise unsupported("VERSION AS OF anything but a number")
        return replace(read, options=(*read.options, ("versionAsOf", str(value.value))))
    if isinstance(value, Literal) and isinstance(value.value, str):
        return replace(read, options=(*read.options, ("timestampAsOf", value.value)))
    return replace(read, moment=value)


def _at(text: str) -> tuple[str, str]:
    match = _VERSION.fullmatch(text)
    if match:
        return "versionAsOf", match[1]
    if _TIMESTAMP.fullmatch(text):
        day, time = f"{text[:4]}-{text[4:6]}-{text[6:8]}", f"{text[8:10]}:{text[10:12]}:{text[12:14]}.{text[14:]}"
        return "timestampAsOf", f"{day} {time}"
    raise unsupported(f"the time travel suffix @{text}", "Write @v<version> or @<yyyyMMddHHmmssSSS>.")


def _streaming(relation: Relation) -> Relation:
    if isinstance(relation, ReadTable | ReadSource):
        return replace(relation, streaming=True)
    if isinstance(relation, WithWatermark) and isinstance(relation.input, Project):
        return replace(relation, input=replace(relation.input, input=_streaming(relation.input.input)))
    if isinstance(relation, SubqueryAlias | WithWatermark):
        return replace(relation, input=_streaming(relation.input))
    if isinstance(relation, TableFunction):
        return replace(relation, streaming=True)
    raise unsupported("STREAM of anything but a table or table function")


# ── alias, sample ───────────────────────────────────────────────────────────────────────────────────────────


def _aliased(node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    for pivot in node.args.get("pivots") or ():
        relation = pivoted(pivot, relation, scope)
    alias = node.args.get("alias")
    return _named_as(relation, alias, queries.values_alias(node)) if isinstance(alias, exp.TableAlias) else relation


def _named_as(relation: Relation, alias: exp.Expr | None, otherwise: str = "") -> Relation:
    if not isinstance(alias, exp.TableAlias):
        return relation
    columns = tuple(column.name for column in alias.args.get("columns") or ())
    name = alias.name or otherwise
    return SubqueryAlias(relation, name, columns) if name or columns else relation


def _watermarked(node: Watermark, scope: Scope) -> Relation:
    """The alias lies beneath the watermark; an expression becomes the first column. Raises REQUIRES_EXPLICIT_NAME…"""
    relation = _named_as(table(node.this, scope), node.args.get("named"))
    time = convert(node.args["time"], scope)
    delay = _delay(convert(node.args["delay"], scope))
    if isinstance(time, Column):
        return WithWatermark(relation, ".".join(time.parts), delay)
    if not isinstance(time, Alias):
        raise AnalysisError(
            "REQUIRES_EXPLICIT_NAME_IN_WATERMARK_CLAUSE", sqlExpr=node.args["time"].sql(dialect="databricks")
        )
    return WithWatermark(Project(relation, (time, Star())), time.names[0], delay)


def _delay(interval: Expression) -> str:
    assert isinstance(interval, Literal)
    unit = "months" if isinstance(interval.type, YearMonthIntervalType) else "microseconds"
    return f"{interval.value} {unit}"


def _sampled(node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    sample = node.args.get("sample")
    if sample is None:
        return relation
    seed = _number(sample.args.get("seed"), scope)
    if sample.args.get("percent") is not None:
        fraction = float(_number(sample.args["percent"], scope) or 0) / 100
        return Sample(relation, 0.0, fraction, seed=None if seed is None else int(seed))
    if sample.args.get("size") is not None:
        return Limit(relation, int(_number(sample.args["size"], scope) or 0))
    raise unsupported("TABLESAMPLE (BUCKET …)", "Use TABLESAMPLE (n PERCENT).")


def _number(node: exp.Expr | None, scope: Scope) -> Any:
    if node is None:
        return None
    value = convert(node, scope)
    return value.value if isinstance(value, Literal) else None


# ── joins ───────────────────────────────────────────────────────────────────────────────────────────────────


def _join(left: Relation, node: exp.Join, scope: Scope) -> Relation:
    refuse_unread(node)
    item = node.this
    right = table(item, scope)
    condition = convert(node.args["on"], scope) if node.args.get("on") else None
    return Join(
        left,
        right,
        _join_kind(node),
        condition,
        using=tuple(column.name for column in node.args.get("using") or ()),
        natural=node.method.upper() == "NATURAL",
        lateral=isinstance(item, exp.Lateral),
    )


def _join_kind(node: exp.Join) -> Any:
    if node.kind in ("SEMI", "ANTI"):
        return f"left_{node.kind.lower()}"
    if node.kind == "CROSS" and not node.args.get("on"):
        return "cross"
    return _SIDES.get(node.side, "inner")


def _lateral_views(node: exp.Select, relation: Relation, scope: Scope) -> Relation:
    for view in node.args.get("laterals") or ():
        relation = _lateral_view(relation, view, scope)
    return relation


def _lateral_view(relation: Relation, view: exp.Lateral, scope: Scope) -> Relation:
    refuse_unread(view)
    alias = view.args["alias"]
    generator = convert(view.this, scope)
    if not isinstance(generator, Call):
        raise unsupported("LATERAL VIEW of anything but a generator call")
    columns = tuple(column.name for column in alias.args.get("columns") or ())
    return GeneratorJoin(relation, generator, bool(view.args.get("outer")), alias.name, columns)

"""EXPLAIN: a readable tree of the plan; extended shows the schema and the DuckDB statement too.

Invariants: explaining runs nothing; option values that look like secrets are masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql.types import DataType

from headwater.catalog import Table, View
from headwater.duck import sql_text
from headwater.log import redact
from headwater.plan.commands import Command, Explain
from headwater.plan.expressions import Alias, Call, Cast, Column, Expression, Literal, SortOrder, Star
from headwater.plan.node import Node
from headwater.plan.relations import LocalData, Range, ReadSource, ReadTable, Relation, SubqueryAlias
from headwater.sessions.commands.base import command
from headwater.sessions.leaves import rows, text_schema
from headwater.sessions.reading import stored_view, table_source
from headwater.sessions.scopes import map_reads

if TYPE_CHECKING:
    from headwater.sessions.session import Session


@command(Explain)
def explain(node: Explain, session: Session) -> Relation:
    """The text as a table of one row, column `plan`."""
    return rows(text_schema("plan"), [(explain_text(node.input, node.mode, session),)])


def explain_text(node: Node, mode: str, session: Session) -> str:
    """What `df.explain(mode)` prints.

    Args:
        mode: `simple`, `extended`, `codegen`, `cost` or `formatted`.
    """
    parsed = "\n".join(_tree(node))
    if not isinstance(node, Relation):
        return f"== Physical Plan ==\n{parsed}\n\n"
    resolved = session.resolve(node)
    tree = "\n".join(_tree(_opened(node, session)))
    physical = f"== Physical Plan ==\n{tree}\n\n"
    statement = f"== DuckDB ==\n{sql_text(resolved.query)}\n\n"
    if mode == "extended":
        columns = ", ".join(f"{a.name}: {a.type.simpleString()}" for a in resolved.attributes)
        return (
            f"== Parsed Logical Plan ==\n{parsed}\n\n== Analyzed Logical Plan ==\n{columns}\n{tree}\n\n"
            f"== Optimized Logical Plan ==\n{tree}\n\n{physical}{statement}"
        )
    if mode in {"codegen", "formatted", "cost"}:
        return physical + statement
    return physical


def _opened(plan: Relation, session: Session) -> Relation:
    """The plan with views replaced by what they stand for, and tables by the scan of their files."""

    def open_read(read: ReadTable) -> Relation:
        found = session.catalog.find(read.parts)
        if isinstance(found, View):
            return SubqueryAlias(_opened(found.plan, session), found.name)
        if isinstance(found, Table) and found.is_view:
            return SubqueryAlias(_opened(stored_view(found, session), session), found.name)
        if isinstance(found, Table):
            scan = table_source(found, read)
            return SubqueryAlias(replace(scan, schema=None), ".".join(found.full_name))
        return read

    return map_reads(plan, open_read)


def _tree(node: Node) -> Iterator[str]:
    yield _line(node)
    below = list(_inputs(node))
    for number, child in enumerate(below):
        last = number == len(below) - 1
        for index, line in enumerate(_tree(child)):
            lead = ("+- " if last else ":- ") if index == 0 else ("   " if last else ":  ")
            yield lead + line


def _inputs(node: Node) -> Iterator[Node]:
    for child in node.children():
        if isinstance(child, Relation | Command):
            yield child


def _line(node: Node) -> str:
    if isinstance(node, LocalData):
        return f"LocalTableScan [{', '.join(node.data.column_names)}], {node.data.num_rows} rows"
    if isinstance(node, Range):
        return f"Range ({node.start}, {node.end}, step={node.step})"
    if isinstance(node, ReadSource):
        return _scan(node)
    parts = []
    for field in fields(node):  # type: ignore[arg-type]
        value = getattr(node, field.name)
        if field.name == "plan_id" or isinstance(value, Relation | Command):
            continue
        if value is not None and value is not False and value not in ((), "", b""):
            parts.append(_value(_masked(value) if field.name == "options" else value))
    return f"{type(node).__name__} {', '.join(parts)}".rstrip()


def _scan(node: ReadSource) -> str:
    kind = "StreamingScan" if node.streaming else "Scan"
    schema = f" {node.schema.simpleString()}" if node.schema else ""
    options = f" {_value(_masked(node.options))}" if node.options else ""
    return f"{kind} {node.format}{schema} {_value(node.paths)}{options}"


def _masked(options: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(f"{key}={text}" for key, text in redact(dict(options)).items())


def _value(value: object) -> str:
    if isinstance(value, Expression):
        return expression_text(value)
    if isinstance(value, Relation):
        return type(value).__name__
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, DataType):
        return str(value.simpleString())
    if isinstance(value, Mapping | pa.Table | bytes):
        return type(value).__name__
    return str(value)


def expression_text(node: Expression) -> str:
    """An expression, short, for reading."""
    if isinstance(node, Column):
        return ".".join(node.parts)
    if isinstance(node, Literal):
        return "NULL" if node.value is None else str(node.value)
    if isinstance(node, Alias):
        return f"{expression_text(node.child)} AS {', '.join(node.names)}"
    if isinstance(node, Cast):
        return f"cast({expression_text(node.child)} as {node.type.simpleString()})"
    if isinstance(node, Star):
        return ".".join((*node.target, "*"))
    if isinstance(node, SortOrder):
        nulls = "FIRST" if node.nulls_first else "LAST"
        return f"{expression_text(node.child)} {'ASC' if node.ascending else 'DESC'} NULLS {nulls}"
    if isinstance(node, Call):
        return _call(node)
    inner = ", ".join(expression_text(child) for child in node.children() if isinstance(child, Expression))
    return f"{type(node).__name__.lower()}({inner})"


def _call(node: Call) -> str:
    arguments = [expression_text(argument) for argument in node.arguments]
    if len(arguments) == 2 and not node.name[0].isalpha():
        return f"({arguments[0]} {node.name} {arguments[1]})"
    return f"{node.name}({'DISTINCT ' if node.distinct else ''}{', '.join(arguments)})"

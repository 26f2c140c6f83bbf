"""MERGE INTO, UPDATE and DELETE: statements that change rows of a table.

Invariant: an INSERT has as many values as columns.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

from headwater.errors import ParseError, unsupported
from headwater.plan.commands import Command, Delete, Merge, MergeClause, Update
from headwater.plan.expressions import Expression
from headwater.plan.relations import ReadTable, Relation, SubqueryAlias
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement

_When = Literal["matched", "not_matched", "not_matched_by_source"]


class _Target(NamedTuple):
    name: tuple[str, ...]
    alias: str | None


@statement("MERGE")
def merge(reader: Reader) -> Command:
    """MERGE [WITH SCHEMA EVOLUTION] INTO target [AS alias] USING source [AS alias] ON condition WHEN …"""
    evolve = reader.accept("WITH", "SCHEMA", "EVOLUTION")
    reader.expect("INTO")
    target = _target(reader)
    reader.expect("USING")
    source = reader.table()
    reader.expect("ON")
    on = reader.expression()
    clauses: list[MergeClause] = []
    while reader.accept("WHEN"):
        clauses.append(_clause(reader))
    if not clauses:
        raise ParseError("MERGE_WITHOUT_WHEN")
    return Merge(target.name, source, on, tuple(clauses), target.alias, evolve)


@statement("UPDATE")
def update(reader: Reader) -> Command:
    """UPDATE table [AS alias] SET column = value, … [WHERE condition]."""
    target = _target(reader)
    reader.expect("SET")
    columns, values = _assignments(reader)
    return Update(target.name, columns, values, _where(reader), target.alias)


@statement("DELETE")
def delete(reader: Reader) -> Command:
    """DELETE FROM table [AS alias] [WHERE condition]."""
    reader.expect("FROM")
    target = _target(reader)
    return Delete(target.name, _where(reader), target.alias)


def _target(reader: Reader) -> _Target:
    relation: Relation = reader.table()
    alias = None
    if isinstance(relation, SubqueryAlias) and not relation.columns:
        alias, relation = relation.alias, relation.input
    if not isinstance(relation, ReadTable) or relation.options:
        raise unsupported("changing the rows of anything but a table", "Name the table.")
    return _Target(relation.parts, alias)


def _where(reader: Reader) -> Expression | None:
    return reader.expression() if reader.accept("WHERE") else None


# ── clauses ─────────────────────────────────────────────────────────────────────────────────────────────────


def _clause(reader: Reader) -> MergeClause:
    when = _when(reader)
    condition = reader.expression() if reader.accept("AND") else None
    reader.expect("THEN")
    if when != "not_matched" and reader.accept("DELETE"):
        return MergeClause(when, "delete", condition)
    if when != "not_matched" and reader.accept("UPDATE"):
        reader.expect("SET")
        if when == "matched" and reader.accept("*"):
            return MergeClause(when, "update", condition, star=True, except_=_except(reader))
        return MergeClause(when, "update", condition, *_assignments(reader))
    if when != "not_matched":
        reader.fail()
    reader.expect("INSERT")
    return _insert(reader, condition)


def _when(reader: Reader) -> _When:
    if reader.accept("MATCHED"):
        return "matched"
    reader.expect("NOT", "MATCHED")
    if reader.accept("BY"):
        return cast(_When, {"TARGET": "not_matched", "SOURCE": "not_matched_by_source"}[_side(reader)])
    return "not_matched"


def _side(reader: Reader) -> str:
    return reader.accept_any("TARGET", "SOURCE") or reader.fail()


def _insert(reader: Reader, condition: Expression | None) -> MergeClause:
    if reader.accept("*"):
        return MergeClause("not_matched", "insert", condition, star=True, except_=_except(reader))
    columns = reader.listed(reader.expression)
    reader.expect("VALUES")
    values = reader.listed(reader.expression)
    if len(columns) != len(values):
        raise ParseError("MERGE_INSERT_VALUE_COUNT_MISMATCH", actualCount=len(values), expectedCount=len(columns))
    return MergeClause("not_matched", "insert", condition, columns, values)


def _except(reader: Reader) -> tuple[str, ...]:
    """`EXCEPT (a, b)` of a star (Databricks)."""
    return reader.name_list() if reader.accept("EXCEPT") else ()


def _assignments(reader: Reader) -> tuple[tuple[Expression, ...], tuple[Expression, ...]]:
    columns, values = [], []
    while True:
        columns.append(reader.column())
        reader.expect("=")
        values.append(reader.expression())
        if not reader.accept(","):
            return tuple(columns), tuple(values)

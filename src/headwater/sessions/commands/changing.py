"""MERGE, UPDATE and DELETE of Delta tables; UPDATE and DELETE are merges whose source is one row.

Invariants: everything is resolved before a row is read; a value is stored under Spark's store assignment rules; the
result is one row of counts, as Databricks returns it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import BooleanType, LongType, NullType, StructField, StructType
from sqlglot import exp

from headwater.catalog import Table, quoted
from headwater.compile import Attribute, Resolved, compile_expression
from headwater.errors import AnalysisError, unsupported
from headwater.functions.base import Typed
from headwater.lake import merge as lake
from headwater.lake import widening
from headwater.lake.identity import check_changed, check_given
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.plan.commands import Delete, Merge, MergeClause, Update
from headwater.plan.expressions import Column, Expression, Literal, StoredValue, Subquery, SubqueryReference
from headwater.plan.relations import OneRow, Relation
from headwater.sessions import once, stored
from headwater.sessions.commands.base import command
from headwater.sessions.defaults import KEY, default_of, is_default
from headwater.sessions.evolving import OVERFLOW, evolved, is_nested, reshaped
from headwater.sessions.fields import Path, check_once, field_at, same_fields, with_values
from headwater.sessions.leaves import rows
from headwater.sessions.pushing import of_target
from headwater.sessions.saving import AUTO_MERGE, DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_OMITTED = {
    "matched": "NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION",
    "not_matched": "NON_LAST_NOT_MATCHED_BY_TARGET_CLAUSE_OMIT_CONDITION",
    "not_matched_by_source": "NON_LAST_NOT_MATCHED_BY_SOURCE_CLAUSE_OMIT_CONDITION",
}
_HISTORY = {
    "matched": "matchedPredicates",
    "not_matched": "notMatchedPredicates",
    "not_matched_by_source": "notMatchedBySourcePredicates",
}
_BEFORE = "value_before_merge"


@command(Merge)
def merge(node: Merge, session: Session) -> Relation:
    """The counts: num_affected_rows, num_updated_rows, num_deleted_rows, num_inserted_rows."""
    counts = _change(node, "MERGE", session)
    found = (counts.affected, counts.updated, counts.deleted, counts.inserted)
    names = [f"num_{what}_rows" for what in ("affected", "updated", "deleted", "inserted")]
    return rows(StructType([StructField(name, LongType()) for name in names]), [found])


@command(Update)
def update(node: Update, session: Session) -> Relation:
    """The count: num_affected_rows."""
    clause = MergeClause("matched", "update", None, node.columns, node.values)
    return _affected(_change(_on_one_row(node, clause), "UPDATE", session))


@command(Delete)
def delete(node: Delete, session: Session) -> Relation:
    """The count: num_affected_rows. Without a condition no row is read."""
    if node.condition is None:
        table = stored.lake_of(_delta(node.table, "DELETE", session), session)
        txn = once.asked(session)
        cleared = table.clear(Operation("DELETE", {"predicate": "[]"}), txn)
        if cleared is not None:
            once.forget(txn, session)
            return _affected(lake.Counts(deleted=cleared))
    return _affected(_change(_on_one_row(node, MergeClause("matched", "delete")), "DELETE", session))


def _on_one_row(node: Update | Delete, clause: MergeClause) -> Merge:
    """The condition joins the rows, so that files are skipped by it; one with a subquery cannot and is the clause's."""
    always = Literal(True, BooleanType())
    if node.condition is not None and _has_subquery(node.condition):
        return Merge(node.table, OneRow(), always, (replace(clause, condition=node.condition),), node.alias)
    return Merge(node.table, OneRow(), node.condition or always, (clause,), node.alias)


def _affected(counts: lake.Counts) -> Relation:
    return rows(StructType([StructField("num_affected_rows", LongType())]), [(counts.affected,)])


def _change(node: Merge, operation: str, session: Session) -> lake.Counts:
    found = _delta(node.table, operation, session)
    _check(node, operation)
    source = session.resolve_part(node.source)
    if source.streaming:
        raise AnalysisError("CALL_ON_STREAMING_DATASET_UNSUPPORTED", methodName="`merge`")
    table = stored.lake_of(found, session)
    names = _Names.of(node, found, table, source, session)
    if not names.schema.fields and operation == "MERGE":
        raise AnalysisError("DELTA_MERGE_INTO_EMPTY_SCHEMA_TARGET")
    on = names.compile(node.on, names.scope("matched"))
    made = lake.Merge(
        names.schema,
        on.sql,
        tuple(names.clause(clause) for clause in node.clauses),
        _operation(operation, on.name, node.clauses),
        once.asked(session),
        of_target(node.on, node.source, node.table, node.alias),
        session.time_zone,
    )
    with session.connection(replace(source, inputs={**source.inputs, **names.inputs})) as connection:
        lake.keep_source(connection, source.query, [a.sql for a in names.source])
        counts = table.merge(connection, made)
    once.forget(made.txn, session)
    return counts


def _operation(name: str, predicate: str, clauses: Sequence[MergeClause]) -> Operation:
    """How the table's history names it, with Delta's parameters."""
    parameters = {"predicate": json.dumps([predicate])}
    if name == "MERGE":
        for when, key in _HISTORY.items():
            actions = [{"actionType": clause.kind} for clause in clauses if clause.when == when]
            parameters[key] = json.dumps(actions, separators=(",", ":"))
    return Operation(name, parameters)


def _delta(name: tuple[str, ...], operation: str, session: Session) -> Table:
    found = stored.existing(name, session)
    if found.provider != DELTA:
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=stored.display_name(found), operation=operation)
    return found


def _check(node: Merge, operation: str) -> None:
    """Raises NON_LAST_…_OMIT_CONDITION, DELTA_UNSUPPORTED_SUBQUERY."""
    last = {clause.when: clause for clause in node.clauses}
    if any(clause.condition is None and clause is not last[clause.when] for clause in node.clauses):
        when = next(c.when for c in node.clauses if c.condition is None and c is not last[c.when])
        raise AnalysisError(_OMITTED[when])
    conditions = [node.on, *(clause.condition for clause in node.clauses if clause.condition is not None)]
    if operation == "MERGE" and any(map(_has_subquery, conditions)):
        raise AnalysisError("DELTA_UNSUPPORTED_SUBQUERY", operation=operation, cond="a subquery")


def _has_subquery(expression: Expression) -> bool:
    return any(isinstance(one, Subquery | SubqueryReference) for one in expression.walk())


@dataclass(frozen=True)
class _Names:
    """What the expressions of a merge can name."""

    schema: StructType
    target: tuple[Attribute, ...]
    source: tuple[Attribute, ...]
    table: str
    evolve: bool
    session: Session
    inputs: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(node: Merge, found: Table, table: LakeTable, source: Resolved, session: Session) -> _Names:
        """The names for a table's columns, new ones included, and a source's."""
        evolve = node.evolve or session.settings.flag(AUTO_MERGE)
        schema = table.schema
        if evolve:
            schema = evolved(schema, source.schema, node.clauses, widen=widening.enabled(table.metadata))
        qualifier = (node.alias,) if node.alias else found.full_name if found.database else (found.provider, found.name)
        target = tuple(
            Attribute(column.name, column.dataType, column.nullable, lake.target_column(index), (qualifier,))
            for index, column in enumerate(schema.fields)
        )
        renamed = tuple(replace(a, sql=f"source_{index}", origin="") for index, a in enumerate(source.attributes))
        return _Names(schema, target, renamed, stored.display_name(found), evolve, session)

    def scope(self, when: lake.When) -> tuple[Attribute, ...]:
        """The columns that a clause's expressions can name."""
        sides = {"matched": (*self.target, *self.source), "not_matched": self.source}
        return sides.get(when, self.target)

    def compile(self, expression: Expression, scope: Sequence[Attribute]) -> Typed:
        """An expression over columns of the merge."""
        return compile_expression(expression, tuple(scope), self.session, self.inputs)

    def clause(self, node: MergeClause) -> lake.Clause:
        """A WHEN clause, its values in the order of the table's columns."""
        condition = None
        if node.condition is not None:
            condition = self.compile(node.condition, self.scope(node.when)).sql
        if node.kind == "delete":
            return lake.Clause(node.when, "delete", condition)
        given = self._starred(node) if node.star else self._assigned(node)
        self._check_numbers(node, given)
        values = [self._value(index, given.get(index), node) for index in range(len(self.target))]
        return lake.Clause(node.when, node.kind, condition, tuple(values))

    def _check_numbers(self, node: MergeClause, given: Iterable[int]) -> None:
        """Raise if the clause gives values to an identity column that takes none."""
        fields = [self.schema.fields[index] for index in given]
        if node.kind == "insert":
            check_given(StructType(fields), [field.name for field in fields])
        else:
            for field in fields:
                check_changed(field)

    def _starred(self, node: MergeClause) -> dict[int, exp.Expr]:
        """Every column from the source's of the same name; with evolution a column the source lacks stays."""
        if node.when == "not_matched_by_source":
            raise unsupported("updateAll of rows that no source row matches", "Assign the columns.")
        named = {a.name.lower(): a for a in self.source}
        left = {name.lower() for name in node.except_}
        given = {}
        for index, column in enumerate(self.target):
            found = named.get(column.name.lower())
            if column.name.lower() in left:
                continue
            if found is not None:
                keeps = self.evolve and node.kind == "update"
                before = replace(column, name=_BEFORE, qualifiers=()) if keeps else None
                given[index] = self._stored(Column((found.name,)), self.source, column, before)
            elif not self.evolve:
                names = ", ".join(a.name for a in self.source)
                raise AnalysisError(
                    "DELTA_MERGE_UNRESOLVED_EXPRESSION", sqlExpr=column.name, clause=_clause_name(node), cols=names
                )
        return given

    def _assigned(self, node: MergeClause) -> dict[int, exp.Expr]:
        given: dict[int, dict[Path, Expression]] = {}
        for key, value in zip(node.columns, node.values, strict=True):
            index, path = self._place(key, node)
            values = given.setdefault(index, {})
            check_once(values, self.target[index].name, path)
            values[path] = default_of(self.schema.fields[index]) if is_default(value) else value
        return {index: self._made(index, values, node) for index, values in given.items()}

    def _place(self, key: Expression, node: MergeClause) -> tuple[int, Path]:
        """The table's column that an assignment names, and the way from there to the field."""
        places = {a.sql: index for index, a in enumerate(self.target)}
        found = self.compile(key, self.target).sql
        path: Path = ()
        while not (isinstance(found, exp.Column) and found.name in places):
            if not isinstance(key, Column) or len(key.parts) == 1:
                raise unsupported(f"{_clause_name(node)} of an expression", "Assign a column or a struct's field.")
            key, path = Column(key.parts[:-1]), (key.parts[-1], *path)
            found = self.compile(key, self.target).sql
        if path and node.kind == "insert":
            name = quoted((self.target[places[found.name]].name, *path))
            raise AnalysisError(
                "DELTA_UNSUPPORTED_NESTED_FIELD_IN_OPERATION",
                operation="INSERT clause of MERGE operation",
                fieldName=name,
            )
        return places[found.name], path

    def _made(self, index: int, values: Mapping[Path, Expression], node: MergeClause) -> exp.Expr:
        """A column with the values that the clause gives to it or to its fields."""
        column, scope = self.target[index], self.scope(node.when)
        if () in values:
            return self._stored(values[()], scope, column)
        fitted = {}
        for path, value in values.items():
            field = field_at(self.schema.fields[index], path)
            fitted[path] = self._fitted(value, scope, replace(column, name=field.name, type=field.dataType))
        old = replace(column, name=_BEFORE, qualifiers=())
        return self.compile(with_values(Column((_BEFORE,)), column.type, fitted), (*scope, old)).sql

    def _stored(
        self, value: Expression, scope: Sequence[Attribute], column: Attribute, before: Attribute | None = None
    ) -> exp.Expr:
        """The value in the column's type; with evolution it has the fields of `before` that it lacks."""
        return self.compile(
            self._fitted(value, scope, column, before), scope if before is None else (*scope, before)
        ).sql

    def _fitted(
        self, value: Expression, scope: Sequence[Attribute], column: Attribute, before: Attribute | None = None
    ) -> Expression:
        """The value in the column's type: fields go by name, all else is cast, and overflows rather than changes.

        Raises DATATYPE_MISMATCH, DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION.
        """
        kind = self.compile(value, scope).type or NullType()
        if kind == column.type:
            return value
        if not (is_nested(kind) and is_nested(column.type)):
            return StoredValue(value, column.type, column.name, OVERFLOW)
        if not self.evolve and not same_fields(kind, column.type):
            shown = {"fromCatalog": kind.simpleString(), "toCatalog": column.type.simpleString()}
            raise AnalysisError("DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION", **shown)
        wanted = StructField(column.name, column.type)
        return reshaped(value, kind, wanted, None if before is None else Column((before.name,)))

    def _value(self, index: int, given: exp.Expr | None, node: MergeClause) -> exp.Expr:
        """What a clause puts into a column: what it gives, else the value the row had, else the column's default."""
        if given is not None:
            return given
        if node.kind == "update":
            return exp.column(self.target[index].sql)
        field = self.schema.fields[index]
        return self.compile(default_of(field), ()).sql if KEY in (field.metadata or {}) else exp.Null()


def _clause_name(node: MergeClause) -> str:
    return f"{node.kind.upper()} clause"

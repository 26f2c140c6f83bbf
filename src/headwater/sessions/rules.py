"""The expressions of a Delta table's metadata, compiled for DuckDB: CHECK constraints and generated columns.

They belong to the table, so they are compiled under default settings, whichever session writes; only the time zone is
the writer's, as in Spark.

Invariants: an expression names only the table's columns; no subquery, aggregate, window or Python function is in one,
nor a function whose value changes from call to call.
"""

from __future__ import annotations

from typing import NoReturn

from pyspark.sql.types import BooleanType, DataType, StructType
from sqlglot import exp

from headwater.compile import compile_expression
from headwater.compile.aggregates import is_aggregate
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.lake.actions import Metadata
from headwater.lake.rules import GENERATION, Check, Rules, compile_with, constraints, defaults, generations, row_column
from headwater.plan.expressions import (
    Call,
    Cast,
    Column,
    Expression,
    PythonUDF,
    Subquery,
    SubqueryReference,
    Window,
)
from headwater.plan.relations import ReadSource, ReadTable, Relation
from headwater.settings import Settings
from headwater.sql import parse_expression

_CHANGING = frozenset(
    {"rand", "randn", "random", "randstr", "uniform", "uuid", "monotonically_increasing_id", "shuffle"}
    | {"spark_partition_id", "input_file_name"}
)


class RulesContext:
    """What the compiler asks for expressions that name nothing but columns.

    Args:
        connection: answers the binder's questions; its time zone is the session's.
    """

    def __init__(self, connection: Connection) -> None:
        self.settings = Settings()
        self._connection = connection

    @property
    def time_zone(self) -> str:
        """IANA name of the connection's time zone."""
        row = self._connection.execute("SELECT current_setting('TimeZone')").fetchone()
        return str(row[0]) if row else "UTC"

    def binder(self) -> Connection:
        """The connection."""
        return self._connection

    def table(self, read: ReadTable) -> Relation | Resolved:
        """Nothing: an expression has no tables."""
        _refuse_query(read)

    def source(self, read: ReadSource) -> Resolved:
        """Nothing."""
        _refuse_query(read)

    def cached(self, relation_id: str) -> Relation | Resolved:
        """Nothing."""
        _refuse_query(relation_id)

    def sql(self, text: str, named: dict[str, Expression], positional: tuple[Expression, ...]) -> Relation:
        """Nothing."""
        _refuse_query((text, named, positional))


def _refuse_query(_: object) -> NoReturn:
    raise AnalysisError("DELTA_UNSUPPORTED_EXPRESSION_CHECK_CONSTRAINT", expression="a query")


@compile_with
def compile_rules(metadata: Metadata, connection: Connection) -> Rules:
    """The rules of a table. Raises Spark's errors of an expression that no longer fits the table's columns."""
    context = RulesContext(connection)
    checks = [check(name, text, metadata.schema, context) for name, text in constraints(metadata).items()]
    generated = {}
    for name, text in generations(metadata).items():
        index = metadata.schema.names.index(name)
        generated[index] = generation(name, text, metadata.schema, context)
        column = exp.column(row_column(index))
        same = exp.NullSafeEQ(this=column, expression=exp.paren(generated[index].copy()))
        checks.append(
            Check("Generated Column", f"({name} <=> {text})", same, _values(text, metadata.schema, context, name))
        )
    missing = {metadata.schema.names.index(name): text for name, text in defaults(metadata).items()}
    fields = metadata.schema.fields
    return Rules(
        tuple(checks),
        generated,
        defaults={at: default(text, fields[at].dataType, context) for at, text in missing.items()},
    )


def default(text: str, kind: DataType, context: RulesContext) -> exp.Expr:
    """What a column with a DEFAULT holds where rows do not bring it. Raises Spark's errors of a broken expression."""
    return compile_expression(Cast(parse_expression(text), kind, "ansi"), (), context).sql


def check(name: str, text: str, schema: StructType, context: RulesContext) -> Check:
    """A CHECK constraint. Raises DELTA_NON_BOOLEAN_CHECK_CONSTRAINT, UNRESOLVED_COLUMN, and what may not be in one."""
    expression = parse_expression(text)
    for node in expression.walk():
        _check_node(node, "CHECK_CONSTRAINT")
    typed = _compiled(expression, schema, context)
    _check_aggregates(typed.sql, text, "CHECK_CONSTRAINT")
    if not isinstance(typed.type, BooleanType):
        raise AnalysisError("DELTA_NON_BOOLEAN_CHECK_CONSTRAINT", name=name, expr=text)
    return Check(name, f"({text})", typed.sql, _values(text, schema, context))


def generation(name: str, text: str, schema: StructType, context: RulesContext) -> exp.Expr:
    """The value of a generated column in the column's type.

    Raises DELTA_INVALID_GENERATED_COLUMN_REFERENCES, DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH, and what may not be in
    one.
    """
    expression = parse_expression(text)
    for node in expression.walk():
        _check_node(node, "GENERATED_COLUMN")
    plain = tuple(
        attribute
        for attribute, field in zip(_attributes(schema), schema.fields, strict=True)
        if GENERATION not in (field.metadata or {})
    )
    try:
        typed = compile_expression(expression, plain, context)
    except AnalysisError as error:
        if error.condition.startswith("UNRESOLVED_COLUMN"):
            raise AnalysisError("DELTA_INVALID_GENERATED_COLUMN_REFERENCES") from error
        raise
    _check_aggregates(typed.sql, text, "GENERATED_COLUMN")
    kind = schema[name].dataType
    if typed.type != kind and not _widens(typed.type, kind):
        raise AnalysisError(
            "DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH",
            columnName=name,
            expressionType=_shown(typed.type),
            columnType=_shown(kind),
        )
    return compile_expression(Cast(expression, kind, "ansi"), plain, context).sql


def _widens(given: DataType | None, kind: DataType) -> bool:
    """Whether Spark casts the expression's type to the column's on its own."""
    from headwater.lake.schema import fits

    return given is not None and fits(given, kind)


def _shown(kind: DataType | None) -> str:
    return kind.simpleString().upper() if kind is not None else "VOID"


def _compiled(expression: Expression, schema: StructType, context: RulesContext) -> Typed:
    return compile_expression(expression, _attributes(schema), context)


def _attributes(schema: StructType) -> tuple[Attribute, ...]:
    return tuple(
        Attribute(field.name, field.dataType, field.nullable, row_column(index))
        for index, field in enumerate(schema.fields)
    )


def _values(text: str, schema: StructType, context: RulesContext, *more: str) -> tuple[tuple[str, exp.Expr], ...]:
    """The columns that an expression names, and some more."""
    named = {node.parts: None for node in parse_expression(text).walk() if isinstance(node, Column)}
    named |= {(name,): None for name in more}
    found = []
    for parts in named:
        try:
            found.append((".".join(parts), _compiled(Column(parts), schema, context).sql))
        except AnalysisError:  # a lambda's variable
            continue
    return tuple(found)


def _check_node(node: object, where: str) -> None:
    if isinstance(node, Subquery | SubqueryReference | Window | PythonUDF):
        raise AnalysisError(f"DELTA_UNSUPPORTED_EXPRESSION_{where}", expression=type(node).__name__)
    if isinstance(node, Call) and node.name.lower() in _CHANGING:
        raise AnalysisError(f"DELTA_NON_DETERMINISTIC_EXPRESSION_IN_{where}", expr=f"{node.name}()")


def _check_aggregates(tree: exp.Expression, text: str, where: str) -> None:
    if any(isinstance(node, exp.Expression) and is_aggregate(node) for node in tree.walk()):
        raise AnalysisError(f"DELTA_AGGREGATE_IN_{where}", sqlExpr=text)

"""Column expressions: names, stars, aliases, calls, casts, sort keys, windows, lambdas, struct access.

Invariant: nothing is resolved here; SQL text inside an expression is parsed by `sql`.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, expression
from headwater.connect.proto import pb2
from headwater.errors import unsupported
from headwater.plan.expressions import (
    Alias,
    Call,
    Cast,
    Column,
    ColumnRegex,
    Expression,
    ExtractValue,
    Frame,
    FrameBound,
    Lambda,
    LambdaVariable,
    NamedArgument,
    SortOrder,
    Star,
    SubqueryReference,
    UpdateFields,
    Window,
)
from headwater.plan.identifiers import parse_name

_E = pb2.Expression
_MODES = {
    _E.Cast.EVAL_MODE_UNSPECIFIED: "default",
    _E.Cast.EVAL_MODE_LEGACY: "legacy",
    _E.Cast.EVAL_MODE_ANSI: "ansi",
    _E.Cast.EVAL_MODE_TRY: "try",
}
_SUBQUERIES = {
    pb2.SubqueryExpression.SUBQUERY_TYPE_SCALAR: "scalar",
    pb2.SubqueryExpression.SUBQUERY_TYPE_EXISTS: "exists",
    pb2.SubqueryExpression.SUBQUERY_TYPE_IN: "in",
}


def plan_id(message: Any) -> int | None:
    """The DataFrame a column was taken from, if any."""
    return message.plan_id if message.HasField("plan_id") else None


@expression("unresolved_attribute")
def column(_: Decoder, message: Any) -> Column:
    """`col("a.b")`, `df["a"]`."""
    return Column(parse_name(message.unparsed_identifier), plan_id(message), message.is_metadata_column)


@expression("unresolved_star")
def star(_: Decoder, message: Any) -> Star:
    """`*` and `target.*`."""
    target = message.unparsed_target
    return Star(parse_name(target[: -len(".*")]) if target else (), plan_id(message))


@expression("unresolved_regex")
def column_regex(_: Decoder, message: Any) -> Expression:
    """`df.colRegex`: a back-quoted pattern, else a plain name, as in Spark."""
    name = message.col_name
    if len(name) > 1 and name[0] == name[-1] == "`":
        return ColumnRegex(name[1:-1], plan_id(message))
    return Column(parse_name(name), plan_id(message))


@expression("alias")
def alias(decoder: Decoder, message: Any) -> Alias:
    """`column.alias(…)`."""
    metadata = message.metadata if message.HasField("metadata") and message.metadata else None
    return Alias(decoder.expression(message.expr), tuple(message.name), metadata)


@expression("expression_string")
def expression_string(_: Decoder, message: Any) -> Expression:
    """`expr("…")`."""
    from headwater.sql import parse_expression

    return parse_expression(message.expression)


@expression("unresolved_function")
def function(decoder: Decoder, message: Any) -> Call:
    """A function or operator by name."""
    return Call(message.function_name.lower(), decoder.expressions(message.arguments), distinct=message.is_distinct)


@expression("call_function")
def call_function(decoder: Decoder, message: Any) -> Call:
    """`call_function(name, …)`."""
    return Call(".".join(parse_name(message.function_name)).lower(), decoder.expressions(message.arguments))


@expression("named_argument_expression")
def named_argument(decoder: Decoder, message: Any) -> NamedArgument:
    """`key => value`."""
    return NamedArgument(message.key, decoder.expression(message.value))


@expression("cast")
def cast(decoder: Decoder, message: Any) -> Cast:
    """`column.cast(…)`, `try_cast`."""
    if message.WhichOneof("cast_to_type") == "type_str":
        from headwater.types.ddl import parse_type

        kind = parse_type(message.type_str)
    else:
        kind = decoder.type(message.type)
    return Cast(decoder.expression(message.expr), kind, _MODES[message.eval_mode])  # type: ignore[arg-type]


@expression("sort_order")
def sort_order(decoder: Decoder, message: Any) -> SortOrder:
    """A sort key; Spark's default puts nulls first when ascending and last when descending."""
    ascending = message.direction != _E.SortOrder.SORT_DIRECTION_DESCENDING
    nulls = message.null_ordering
    first = ascending if nulls == _E.SortOrder.SORT_NULLS_UNSPECIFIED else nulls == _E.SortOrder.SORT_NULLS_FIRST
    return SortOrder(decoder.expression(message.child), ascending, first)


def sort_orders(decoder: Decoder, messages: Any) -> tuple[SortOrder, ...]:
    """Several sort keys."""
    return tuple([sort_order(decoder, message) for message in messages])


@expression("unresolved_extract_value")
def extract_value(decoder: Decoder, message: Any) -> ExtractValue:
    """`column[…]`, `getItem`, `getField`."""
    return ExtractValue(decoder.expression(message.child), decoder.expression(message.extraction))


@expression("update_fields")
def update_fields(decoder: Decoder, message: Any) -> UpdateFields:
    """`withField`, `dropFields`."""
    value = decoder.expression(message.value_expression) if message.HasField("value_expression") else None
    return UpdateFields(decoder.expression(message.struct_expression), message.field_name, value)


@expression("lambda_function")
def lambda_function(decoder: Decoder, message: Any) -> Lambda:
    """The function argument of `transform`, `filter`, …"""
    names = tuple([".".join(argument.name_parts) for argument in message.arguments])
    return Lambda(decoder.expression(message.function), names)


@expression("unresolved_named_lambda_variable")
def lambda_variable(_: Decoder, message: Any) -> LambdaVariable:
    """A variable of a lambda."""
    return LambdaVariable(".".join(message.name_parts))


@expression("window")
def window(decoder: Decoder, message: Any) -> Window:
    """`function.over(window)`."""
    return Window(
        decoder.expression(message.window_function),
        decoder.expressions(message.partition_spec),
        sort_orders(decoder, message.order_spec),
        _frame(decoder, message.frame_spec) if message.HasField("frame_spec") else None,
    )


def _frame(decoder: Decoder, message: Any) -> Frame | None:
    kinds = _E.Window.WindowFrame
    if message.frame_type == kinds.FRAME_TYPE_UNDEFINED:
        return None
    unit = "rows" if message.frame_type == kinds.FRAME_TYPE_ROW else "range"
    return Frame(unit, _bound(decoder, message.lower, "lower"), _bound(decoder, message.upper, "upper"))  # type: ignore[arg-type]


def _bound(decoder: Decoder, message: Any, side: str) -> FrameBound:
    kind = message.WhichOneof("boundary")
    if kind == "current_row":
        return FrameBound("current_row")
    if kind == "unbounded":
        return FrameBound("unbounded_preceding" if side == "lower" else "unbounded_following")
    return _offset_bound(decoder.expression(message.value))


def _offset_bound(offset: Expression) -> FrameBound:
    from headwater.plan.expressions import Literal

    if isinstance(offset, Literal) and isinstance(offset.value, (int, float)) and offset.value == 0:
        return FrameBound("current_row")
    return FrameBound("following", offset)


@expression("subquery_expression")
def subquery(decoder: Decoder, message: Any) -> SubqueryReference:
    """`df.scalar()`, `df.exists()`, `column.isin(df)`."""
    kind = _SUBQUERIES.get(message.subquery_type)
    if kind is None:
        raise unsupported("a DataFrame as the argument of a table function", "Use a SQL query instead.")
    return SubqueryReference(kind, message.plan_id, decoder.expressions(message.in_subquery_values))  # type: ignore[arg-type]

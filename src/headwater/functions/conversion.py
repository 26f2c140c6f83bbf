"""Spark's CAST on DuckDB: which casts exist, what they give, and how they fail.

A cast follows one of three rules: `ansi` raises on a value that does not fit, `try` gives NULL, and `legacy`
(ANSI off) gives NULL for malformed text and wraps integers as Java does.

Invariants: the result has exactly DuckDB's form of the target type; NULL stays NULL; DuckDB's own rounding and
text forms never show through (`trunc` before an integer cast, Java's digits for doubles).
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    CalendarIntervalType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    FractionalType,
    IntegerType,
    IntegralType,
    LongType,
    MapType,
    NullType,
    NumericType,
    ShortType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    TimeType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions import text_form
from headwater.functions.base import MISSING, FunctionCall, Typed, function
from headwater.functions.building import add, case, duck, is_null, lambda_, let, struct_of, subtract
from headwater.functions.cast_base import TEXT, Cast, Rule, trimmed
from headwater.functions.cast_time import to_date, to_interval, to_time, to_timestamp
from headwater.types.ddl import type_sql
from headwater.types.duck import duck_name, to_duck

_BITS: dict[type[DataType], int] = {ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64}


def cast_typed(operand: Typed, target: DataType, call: FunctionCall, *, attempt: bool = False) -> Typed:
    """`CAST(operand AS target)` by the session's rule (`attempt`: TRY_CAST). Raises DATATYPE_MISMATCH."""
    rule: Rule = "try" if attempt else "ansi" if call.ansi else "legacy"
    source = operand.type if operand.type is not None else NullType()
    shown = StringType() if isinstance(target, CharType | VarcharType) else target
    sql = cast_sql(operand.sql, source, shown, rule, operand.name)
    literal = operand.literal if operand.literal is None or _same_value(source, shown) else MISSING
    nullable = operand.nullable or (rule != "ansi" and not _lossless(source, shown))
    return Typed(sql, shown, nullable, literal, operand.name)


def _same_value(source: DataType, target: DataType) -> bool:
    if type(source) is type(target):
        return not isinstance(target, DecimalType) or source == target
    return isinstance(source, IntegralType) and isinstance(target, IntegralType)


def _lossless(source: DataType, target: DataType) -> bool:
    if source == target or isinstance(target, StringType):
        return True
    if isinstance(source, IntegralType) and isinstance(target, IntegralType):
        return _BITS[type(source)] <= _BITS[type(target)]
    return isinstance(source, NumericType) and isinstance(target, FloatType | DoubleType | BooleanType)


def cast_sql(sql: exp.Expression, source: DataType, target: DataType, rule: Rule, name: str = "") -> exp.Expression:
    """The DuckDB expression of a cast. Raises DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION."""
    if source == target or (duck_name(source) == duck_name(target) and _alike(source, target)):
        return sql
    cast = Cast(sql, source, target, rule)
    if isinstance(source, NullType):
        if isinstance(sql, exp.Null):
            return exp.Cast(this=sql, to=to_duck(target))
        # An expression is kept, for it may raise; by way of text, since void is an INTEGER here.
        return exp.Cast(this=exp.Cast(this=sql, to=to_duck(StringType())), to=to_duck(target))
    if isinstance(target, NullType):
        raise _impossible(cast, name)
    for kind, make in _TARGETS:
        if isinstance(target, kind):
            made = make(cast)
            if made is not None:
                return made
    raise _impossible(cast, name)


def _alike(source: DataType, target: DataType) -> bool:
    """Whether two types with one DuckDB form hold the same values."""
    if isinstance(source, ArrayType) and isinstance(target, ArrayType):
        return _alike(source.elementType, target.elementType)
    if isinstance(source, MapType) and isinstance(target, MapType):
        return _alike(source.keyType, target.keyType) and _alike(source.valueType, target.valueType)
    if isinstance(source, StructType) and isinstance(target, StructType):
        return all(_alike(a.dataType, b.dataType) for a, b in zip(source.fields, target.fields, strict=True))
    return type(source) is type(target) or (isinstance(source, TEXT) and isinstance(target, TEXT))


def _impossible(cast: Cast, name: str) -> AnalysisError:
    return AnalysisError(
        "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        sqlExpr=f'"CAST({name} AS {type_sql(cast.target)})"',
        srcType=f'"{type_sql(cast.source)}"',
        targetType=f'"{type_sql(cast.target)}"',
    )


# ── to numbers ──────────────────────────────────────────────────────────────────────────────────────────────


def _to_integer(cast: Cast) -> exp.Expression | None:
    source = cast.source
    if isinstance(source, TEXT):
        return let([trimmed(cast.sql)], lambda text: _text_to_integer(cast, text))
    if isinstance(source, BooleanType):
        return cast.to(cast.sql)
    if isinstance(source, IntegralType):
        return _wrapped(cast) if cast.rule == "legacy" else cast.to(cast.sql)
    if isinstance(source, FractionalType):
        return cast.to(duck("trunc", cast.sql))
    if isinstance(source, TimestampType):
        seconds = duck("epoch", duck("date_trunc", "second", cast.sql))
        return cast.to(seconds)
    return None


def _text_to_integer(cast: Cast, text: exp.Expression) -> exp.Expression:
    whole = duck("regexp_full_match", text, r"[+-]?[0-9]+")
    branches = [(is_null(text), exp.Null()), (whole, cast.to(duck("ltrim", text, "+")))]
    if cast.rule == "legacy":
        fraction = duck("regexp_full_match", text, r"[+-]?[0-9]+\.[0-9]*")
        branches.append((fraction, cast.to(duck("split_part", text, ".", 1))))
    return case(*branches, otherwise=cast.malformed(text))


def _wrapped(cast: Cast) -> exp.Expression:
    """Java's narrowing: the low bits, as a signed number."""
    bits = _BITS[type(cast.target)]
    if _BITS[type(cast.source)] <= bits:
        return cast.to(cast.sql)
    return exp.Cast(this=wrap_bits(cast.sql, bits), to=to_duck(cast.target))


def wrap_bits(tree: exp.Expression, bits: int) -> exp.Expression:
    """A HUGEINT expression reduced to the signed value of its low `bits` bits."""
    half, full = exp.Literal.number(2 ** (bits - 1)), exp.Literal.number(2**bits)
    huge = exp.Cast(this=tree, to=exp.DataType.build("HUGEINT", dialect="duckdb"))
    low = exp.Mod(
        this=exp.Paren(this=exp.Add(this=exp.Mod(this=add(huge, half), expression=full), expression=full.copy())),
        expression=full.copy(),
    )
    return subtract(exp.Paren(this=low), half)


def _to_fraction(cast: Cast) -> exp.Expression | None:
    source = cast.source
    if isinstance(source, TEXT):
        return cast.to(duck("regexp_replace", trimmed(cast.sql), "([0-9.])[dDfF]$", r"\1"))
    if isinstance(source, NumericType | BooleanType):
        return cast.to(cast.sql)
    if isinstance(source, TimestampType):
        return cast.to(duck("epoch", cast.sql))
    return None


def _to_decimal(cast: Cast) -> exp.Expression | None:
    if isinstance(cast.source, TEXT):
        return cast.to(trimmed(cast.sql))
    if isinstance(cast.source, NumericType | BooleanType):
        return cast.to(cast.sql)
    if isinstance(cast.source, TimestampType):
        return cast.to(duck("epoch", cast.sql))
    return None


def _to_boolean(cast: Cast) -> exp.Expression | None:
    if isinstance(cast.source, TEXT):
        return let([duck("lower", trimmed(cast.sql))], lambda text: _text_to_boolean(cast, text))
    if isinstance(cast.source, NumericType):
        return exp.Paren(this=exp.NEQ(this=cast.sql, expression=exp.Literal.number(0)))
    return None


def _text_to_boolean(cast: Cast, text: exp.Expression) -> exp.Expression:
    def among(*words: str) -> exp.Expression:
        return exp.In(this=text.copy(), expressions=[exp.Literal.string(word) for word in words])

    return case(
        (is_null(text), exp.Null()),
        (among("t", "true", "y", "yes", "1"), exp.true()),
        (among("f", "false", "n", "no", "0"), exp.false()),
        otherwise=cast.malformed(text),
    )


# ── to text, bytes and nested values ────────────────────────────────────────────────────────────────────────


def _to_text(cast: Cast) -> exp.Expression | None:
    return text_form.text_of(cast.sql, cast.source)


def _to_binary(cast: Cast) -> exp.Expression | None:
    if isinstance(cast.source, TEXT):
        return duck("encode", cast.sql)
    if isinstance(cast.source, IntegralType) and cast.rule == "legacy":
        width = _BITS[type(cast.source)] // 4
        return duck("unhex", duck("lpad", duck("hex", cast.sql), width, "0"))
    return None


def _to_array(cast: Cast) -> exp.Expression | None:
    if not (isinstance(cast.source, ArrayType) and isinstance(cast.target, ArrayType)):
        return None
    inner, outer = cast.source.elementType, cast.target.elementType
    return duck("list_transform", cast.sql, lambda_(lambda item: cast_sql(item, inner, outer, cast.rule)))


def _to_map(cast: Cast) -> exp.Expression | None:
    if not (isinstance(cast.source, MapType) and isinstance(cast.target, MapType)):
        return None
    source, target = cast.source, cast.target

    def entries(items: exp.Expression) -> exp.Expression:
        keys = lambda_(lambda key: cast_sql(key, source.keyType, target.keyType, cast.rule))
        values = lambda_(lambda item: cast_sql(item, source.valueType, target.valueType, cast.rule))
        made = duck(
            "map",
            duck("list_transform", duck("map_keys", items), keys),
            duck("list_transform", duck("map_values", items), values),
        )
        return case((is_null(items), exp.Null()), otherwise=made)

    return exp.Cast(this=let([cast.sql], entries), to=to_duck(target))


def _to_struct(cast: Cast) -> exp.Expression | None:
    source, target = cast.source, cast.target
    if not (isinstance(source, StructType) and isinstance(target, StructType) and len(source) == len(target)):
        return None

    def rebuilt(item: exp.Expression) -> exp.Expression:
        fields = [
            (to.name, cast_sql(duck("struct_extract", item, of.name), of.dataType, to.dataType, cast.rule))
            for of, to in zip(source.fields, target.fields, strict=True)
        ]
        return case((is_null(item), exp.Null()), otherwise=struct_of(fields))

    return let([cast.sql], rebuilt)


def _to_variant(cast: Cast) -> exp.Expression | None:
    return duck("to_json", cast.sql)


_TARGETS: list[tuple[type[DataType], Callable[[Cast], exp.Expression | None]]] = [
    (StringType, _to_text),
    (IntegralType, _to_integer),
    (DecimalType, _to_decimal),
    (FractionalType, _to_fraction),
    (BooleanType, _to_boolean),
    (DateType, to_date),
    (TimestampType, to_timestamp),
    (TimestampNTZType, to_timestamp),
    (TimeType, to_time),
    (DayTimeIntervalType, to_interval),
    (YearMonthIntervalType, to_interval),
    (CalendarIntervalType, to_interval),
    (BinaryType, _to_binary),
    (ArrayType, _to_array),
    (MapType, _to_map),
    (StructType, _to_struct),
    (VariantType, _to_variant),
]


def _named(name: str, target: DataType) -> None:
    @function(name)
    def convert(call: FunctionCall) -> Typed:
        (operand,) = call.take(1)
        made = cast_typed(operand, target, call)
        return Typed(made.sql, target, made.nullable, made.literal, operand.name)

    convert.__doc__ = f"{name}(value) → {type_sql(target).lower()}: CAST(value AS {type_sql(target)})"


for _name, _type in {
    "boolean": BooleanType(),
    "tinyint": ByteType(),
    "smallint": ShortType(),
    "int": IntegerType(),
    "bigint": LongType(),
    "float": FloatType(),
    "double": DoubleType(),
    "decimal": DecimalType(10, 0),
    "date": DateType(),
    "timestamp": TimestampType(),
    "binary": BinaryType(),
    "string": StringType(),
}.items():
    _named(_name, _type)

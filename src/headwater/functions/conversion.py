"""Spark's CAST on DuckDB: which casts exist, what they give, and how they fail.

A cast follows one of three rules: `ansi` raises on a value that does not fit, `try` gives NULL, and `legacy`
(ANSI off) gives NULL for malformed text and wraps integers as Java does.

Invariants: the result has exactly DuckDB's form of the target type; NULL stays NULL; DuckDB's own rounding and
text forms never show through (`trunc` before an integer cast, Java's digits for doubles).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

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

from headwater.errors import AnalysisError, DateTimeError, NumberFormatError, RuntimeSparkError, SparkError
from headwater.functions import text_form
from headwater.functions.base import MISSING, FunctionCall, Typed, function
from headwater.functions.building import add, case, duck, is_null, lambda_, let, multiply, struct_of, subtract
from headwater.functions.raising import fail
from headwater.types.ddl import type_sql
from headwater.types.duck import duck_name, to_duck

Rule = Literal["ansi", "try", "legacy"]
_BITS: dict[type[DataType], int] = {ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64}
_TEXT = (StringType, CharType, VarcharType)
_INTERVALS = (DayTimeIntervalType, YearMonthIntervalType, CalendarIntervalType)


class _Cast(NamedTuple):
    sql: exp.Expression
    source: DataType
    target: DataType
    rule: Rule

    @property
    def safe(self) -> bool:
        """Whether a failure is NULL."""
        return self.rule != "ansi"

    def to(self, tree: exp.Expression, data_type: DataType | None = None) -> exp.Expression:
        """DuckDB's own cast to the target (or another type), by the rule."""
        node = exp.TryCast if self.safe else exp.Cast
        return node(this=tree, to=to_duck(data_type or self.target))

    def malformed(self, text: exp.Expression) -> exp.Expression:
        """The failure of a text that is not a value of the target type."""
        if self.safe:
            return exp.Null()
        shown = add_quotes(text)
        return fail(
            _failure_of(self.target),
            "CAST_INVALID_INPUT",
            expression=shown,
            sourceType='"STRING"',
            targetType=f'"{type_sql(self.target)}"',
        )


def add_quotes(text: exp.Expression) -> exp.Expression:
    """`'text'` for messages."""
    quote = exp.Literal.string("'")
    return duck("concat", quote, text, quote.copy())


def _failure_of(target: DataType) -> type[SparkError]:
    if isinstance(target, NumericType):
        return NumberFormatError
    return RuntimeSparkError if isinstance(target, BooleanType) else DateTimeError


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
    cast = _Cast(sql, source, target, rule)
    if isinstance(source, NullType):
        return exp.Cast(this=exp.Null(), to=to_duck(target))
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
    return type(source) is type(target) or (isinstance(source, _TEXT) and isinstance(target, _TEXT))


def _impossible(cast: _Cast, name: str) -> AnalysisError:
    return AnalysisError(
        "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        sqlExpr=f'"CAST({name} AS {type_sql(cast.target)})"',
        srcType=f'"{type_sql(cast.source)}"',
        targetType=f'"{type_sql(cast.target)}"',
    )


def trimmed(text: exp.Expression) -> exp.Expression:
    """The text without white space around it."""
    return duck("trim", text, " \t\n\r\f\v")


# ── to numbers ──────────────────────────────────────────────────────────────────────────────────────────────


def _to_integer(cast: _Cast) -> exp.Expression | None:
    source = cast.source
    if isinstance(source, _TEXT):
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


def _text_to_integer(cast: _Cast, text: exp.Expression) -> exp.Expression:
    whole = duck("regexp_full_match", text, r"[+-]?[0-9]+")
    branches = [(is_null(text), exp.Null()), (whole, cast.to(duck("ltrim", text, "+")))]
    if cast.rule == "legacy":
        fraction = duck("regexp_full_match", text, r"[+-]?[0-9]+\.[0-9]*")
        branches.append((fraction, cast.to(duck("split_part", text, ".", 1))))
    return case(*branches, otherwise=cast.malformed(text))


def _wrapped(cast: _Cast) -> exp.Expression:
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


def _to_fraction(cast: _Cast) -> exp.Expression | None:
    source = cast.source
    if isinstance(source, _TEXT):
        return cast.to(duck("regexp_replace", trimmed(cast.sql), "([0-9.])[dDfF]$", r"\1"))
    if isinstance(source, NumericType | BooleanType):
        return cast.to(cast.sql)
    if isinstance(source, TimestampType):
        return cast.to(duck("epoch", cast.sql))
    return None


def _to_decimal(cast: _Cast) -> exp.Expression | None:
    if isinstance(cast.source, _TEXT):
        return cast.to(trimmed(cast.sql))
    if isinstance(cast.source, NumericType | BooleanType):
        return cast.to(cast.sql)
    if isinstance(cast.source, TimestampType):
        return cast.to(duck("epoch", cast.sql))
    return None


def _to_boolean(cast: _Cast) -> exp.Expression | None:
    if isinstance(cast.source, _TEXT):
        return let([duck("lower", trimmed(cast.sql))], lambda text: _text_to_boolean(cast, text))
    if isinstance(cast.source, NumericType):
        return exp.Paren(this=exp.NEQ(this=cast.sql, expression=exp.Literal.number(0)))
    return None


def _text_to_boolean(cast: _Cast, text: exp.Expression) -> exp.Expression:
    def among(*words: str) -> exp.Expression:
        return exp.In(this=text.copy(), expressions=[exp.Literal.string(word) for word in words])

    return case(
        (is_null(text), exp.Null()),
        (among("t", "true", "y", "yes", "1"), exp.true()),
        (among("f", "false", "n", "no", "0"), exp.false()),
        otherwise=cast.malformed(text),
    )


# ── to times ────────────────────────────────────────────────────────────────────────────────────────────────


def _to_date(cast: _Cast) -> exp.Expression | None:
    if isinstance(cast.source, _TEXT):
        return let([trimmed(cast.sql)], lambda text: _text_to_date(cast, text))
    if isinstance(cast.source, TimestampType | TimestampNTZType):
        return cast.to(cast.sql)
    return None


def _text_to_date(cast: _Cast, text: exp.Expression) -> exp.Expression:
    def matches(pattern: str) -> exp.Expression:
        return duck("regexp_full_match", text, pattern)

    day = duck("regexp_extract", text, r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
    return case(
        (is_null(text), exp.Null()),
        (matches(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T].*)?"), cast.to(day)),
        (matches(r"[0-9]{4}-[0-9]{1,2}"), cast.to(duck("concat", text, "-01"))),
        (matches(r"[0-9]{4}"), cast.to(duck("concat", text, "-01-01"))),
        otherwise=cast.malformed(text),
    )


def _to_timestamp(cast: _Cast) -> exp.Expression | None:
    source = cast.source
    if isinstance(source, _TEXT):
        return let([trimmed(cast.sql)], lambda text: _text_to_timestamp(cast, text))
    if isinstance(source, DateType):
        return cast.to(cast.to(cast.sql, TimestampNTZType()))
    if isinstance(source, TimestampNTZType | TimestampType):
        return cast.to(cast.sql)
    if isinstance(source, NumericType) and isinstance(cast.target, TimestampType):
        return duck("to_timestamp", cast.sql)
    return None


def _text_to_timestamp(cast: _Cast, text: exp.Expression) -> exp.Expression:
    short = duck("regexp_full_match", text, r"[0-9]{4}(-[0-9]{1,2})?")
    padded = case((duck("contains", text, "-"), duck("concat", text, "-01")), otherwise=duck("concat", text, "-01-01"))
    minutes = duck("regexp_full_match", text, r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[ T].*")
    day = duck("regexp_full_match", text, r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
    return case(
        (is_null(text), exp.Null()),
        (minutes, cast.to(text)),
        (day, cast.to(cast.to(text, TimestampNTZType()))),
        (short, cast.to(cast.to(padded, TimestampNTZType()))),
        otherwise=cast.malformed(text),
    )


def _to_time(cast: _Cast) -> exp.Expression | None:
    if isinstance(cast.source, _TEXT):
        return cast.to(trimmed(cast.sql))
    return cast.to(cast.sql) if isinstance(cast.source, TimestampNTZType | TimestampType | TimeType) else None


def _to_interval(cast: _Cast) -> exp.Expression | None:
    if isinstance(cast.source, _INTERVALS):
        return cast.sql
    if isinstance(cast.source, _TEXT):
        bare = duck("regexp_replace", trimmed(cast.sql), "(?i)^interval +'?([^']*)'?.*$", r"\1")
        return cast.to(bare)
    if isinstance(cast.source, NumericType) and isinstance(cast.target, DayTimeIntervalType):
        seconds = (86400, 3600, 60, 1)[cast.target.endField]
        return duck("to_microseconds", exp.Cast(this=multiply(cast.sql, seconds * 1_000_000), to=to_duck(LongType())))
    return None


# ── to text, bytes and nested values ────────────────────────────────────────────────────────────────────────


def _to_text(cast: _Cast) -> exp.Expression | None:
    return text_form.text_of(cast.sql, cast.source)


def _to_binary(cast: _Cast) -> exp.Expression | None:
    if isinstance(cast.source, _TEXT):
        return duck("encode", cast.sql)
    if isinstance(cast.source, IntegralType) and cast.rule == "legacy":
        width = _BITS[type(cast.source)] // 4
        return duck("unhex", duck("lpad", duck("hex", cast.sql), width, "0"))
    return None


def _to_array(cast: _Cast) -> exp.Expression | None:
    if not (isinstance(cast.source, ArrayType) and isinstance(cast.target, ArrayType)):
        return None
    inner, outer = cast.source.elementType, cast.target.elementType
    return duck("list_transform", cast.sql, lambda_(lambda item: cast_sql(item, inner, outer, cast.rule)))


def _to_map(cast: _Cast) -> exp.Expression | None:
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


def _to_struct(cast: _Cast) -> exp.Expression | None:
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


def _to_variant(cast: _Cast) -> exp.Expression | None:
    return duck("to_json", cast.sql)


_TARGETS: list[tuple[type[DataType], Callable[[_Cast], exp.Expression | None]]] = [
    (StringType, _to_text),
    (IntegralType, _to_integer),
    (DecimalType, _to_decimal),
    (FractionalType, _to_fraction),
    (BooleanType, _to_boolean),
    (DateType, _to_date),
    (TimestampType, _to_timestamp),
    (TimestampNTZType, _to_timestamp),
    (TimeType, _to_time),
    (DayTimeIntervalType, _to_interval),
    (YearMonthIntervalType, _to_interval),
    (CalendarIntervalType, _to_interval),
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

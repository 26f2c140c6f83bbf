"""Spark's aggregates beyond the basic ones: moments, quantiles, booleans, bits, extremes by another value, texts.

Invariants: NULLs are left out; each DuckDB call here is one of `compile.aggregates.AGGREGATES`.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    IntegralType,
    LongType,
    NullType,
    StringType,
)
from sqlglot import exp

from headwater.functions.base import FunctionCall, OrderKey, Typed, function, functions
from headwater.functions.building import (
    case,
    cast,
    duck,
    equal,
    literal_text,
    multiply,
    names,
    subtract,
    titled,
    to_double,
    to_long,
    to_text,
    to_type,
    try_cast,
)
from headwater.functions.kernels import kernel
from headwater.types.duck import duck_name


def aggregated(name: str, call: FunctionCall, *arguments: exp.Expression) -> exp.Expression:
    """A DuckDB aggregate over the arguments, DISTINCT if the call is."""
    inner: list[exp.Expression] = [argument.copy() for argument in arguments]
    if call.distinct:
        inner = [exp.Distinct(expressions=inner)]
    return exp.Anonymous(this=name, expressions=inner)


def _number(call: FunctionCall, operand: Typed) -> exp.Expression:
    return cast(to_double(call, operand).sql, "DOUBLE")


def _moment(names_: tuple[str, ...], duck_name_: str, arguments: int, about: str) -> None:
    def build(call: FunctionCall) -> Typed:
        operands = call.take(arguments)
        sql = aggregated(duck_name_, call, *(_number(call, operand) for operand in operands))
        return Typed(sql, DoubleType(), True)

    build.__doc__ = f"{names_[0]}({', '.join(['double'] * arguments)}) → double: {about}"
    build.__qualname__ = f"moment_{names_[0]}"
    function(*names_, kind="aggregate")(build)


for _names, _duck, _count, _about in (
    (("stddev", "stddev_samp", "std"), "stddev_samp", 1, "standard deviation of a sample"),
    (("stddev_pop",), "stddev_pop", 1, "standard deviation"),
    (("variance", "var_samp"), "var_samp", 1, "variance of a sample"),
    (("var_pop",), "var_pop", 1, "variance"),
    (("kurtosis",), "kurtosis_pop", 1, "excess kurtosis"),
    (("corr",), "corr", 2, "Pearson correlation"),
    (("covar_pop",), "covar_pop", 2, "covariance"),
    (("covar_samp",), "covar_samp", 2, "covariance of a sample"),
    (("regr_avgx",), "regr_avgx", 2, "mean of x where y is there"),
    (("regr_avgy",), "regr_avgy", 2, "mean of y where x is there"),
    (("regr_intercept",), "regr_intercept", 2, "intercept of the regression line"),
    (("regr_r2",), "regr_r2", 2, "coefficient of determination"),
    (("regr_slope",), "regr_slope", 2, "slope of the regression line"),
    (("regr_sxx",), "regr_sxx", 2, "sum of squares of x"),
    (("regr_sxy",), "regr_sxy", 2, "sum of products"),
    (("regr_syy",), "regr_syy", 2, "sum of squares of y"),
    (("product",), "product", 1, "product of all values"),
):
    _moment(_names, _duck, _count, _about)


@function("regr_count", kind="aggregate")
def regr_count(call: FunctionCall) -> Typed:
    """regr_count(y, x) → long: rows where neither is NULL"""
    sql = aggregated("regr_count", call, *(_number(call, operand) for operand in call.take(2)))
    return Typed(cast(sql, "BIGINT"), LongType(), False)


@function("skewness", kind="aggregate")
def skewness(call: FunctionCall) -> Typed:
    """skewness(double) → double: of the population"""
    number = _number(call, call.take(1)[0])
    n = cast(aggregated("count", call, number), "DOUBLE")
    adjusted = exp.Div(this=subtract(n, 2), expression=duck("sqrt", multiply(n, subtract(n, 1))))
    spread = aggregated("var_pop", call, number)
    sql = case(
        (equal(spread, 0), None),
        (equal(n, 2), cast(0, "DOUBLE")),
        otherwise=multiply(aggregated("skewness", call, number), exp.Paren(this=adjusted)),
    )
    return Typed(sql, DoubleType(), True)


# ── booleans, bits, counts ──────────────────────────────────────────────────────────────────────────────────


@function("bool_and", "every", "all", kind="aggregate")
def bool_and(call: FunctionCall) -> Typed:
    """bool_and(boolean) → boolean: whether all are true"""
    return Typed(aggregated("bool_and", call, to_type(call, call.take(1)[0], BooleanType()).sql), BooleanType(), True)


@function("bool_or", "some", "any", kind="aggregate")
def bool_or(call: FunctionCall) -> Typed:
    """bool_or(boolean) → boolean: whether one is true"""
    return Typed(aggregated("bool_or", call, to_type(call, call.take(1)[0], BooleanType()).sql), BooleanType(), True)


def _bits(name: str) -> Callable[[FunctionCall], Typed]:
    def build(call: FunctionCall) -> Typed:
        (number,) = call.take(1)
        return Typed(aggregated(name, call, number.sql), number.type, True)

    build.__doc__ = f"{name}(integer) → the same type: all values combined bit by bit"
    build.__qualname__ = f"bits_{name}"
    return build


for _name in ("bit_and", "bit_or", "bit_xor"):
    function(_name, kind="aggregate")(_bits(_name))


@function("count_if", kind="aggregate")
def count_if(call: FunctionCall) -> Typed:
    """count_if(boolean) → long: rows where it is true"""
    condition = to_type(call, call.take(1)[0], BooleanType()).sql
    return Typed(aggregated("count", call, case((condition, 1))), LongType(), False)


@function("approx_count_distinct", kind="aggregate")
def approx_count_distinct(call: FunctionCall) -> Typed:
    """approx_count_distinct(value[, rsd]) → long: about how many different values"""
    operand = call.take(1, 2)[0]
    sql = aggregated("approx_count_distinct", call, operand.sql)
    return Typed(cast(sql, "BIGINT"), LongType(), False, name=titled(call, operand.name))


@function("sum_distinct", kind="aggregate")
def sum_distinct(call: FunctionCall) -> Typed:
    """sum_distinct(number) → sum of the different values"""
    from dataclasses import replace

    entry = functions.get("sum")
    assert entry is not None
    made = entry.build(replace(call, name="sum", distinct=True))
    return replace(made, name=f"sum(DISTINCT {call.operands[0].name})")


@function("try_sum", kind="aggregate")
def try_sum(call: FunctionCall) -> Typed:
    """try_sum(number) → sum, NULL on overflow"""
    (number,) = call.take(1)
    if isinstance(number.type, IntegralType):
        total = aggregated("sum", call, cast(number.sql, "HUGEINT"))
        return Typed(try_cast(total, "BIGINT"), LongType(), True)
    if isinstance(number.type, DecimalType):
        kind = DecimalType(min(number.type.precision + 10, 38), number.type.scale)
        return Typed(try_cast(aggregated("sum", call, number.sql), duck_name(kind)), kind, True)
    if isinstance(number.type, NullType):
        return Typed(aggregated("sum", call, cast(number.sql, "DOUBLE")), DoubleType(), True)
    return Typed(aggregated("sum", call, number.sql), number.type, True)


@function("try_avg", kind="aggregate")
def try_avg(call: FunctionCall) -> Typed:
    """try_avg(number) → average, NULL on overflow"""
    from dataclasses import replace

    entry = functions.get("avg")
    assert entry is not None
    return replace(entry.build(replace(call, name="avg")), name=titled(call, *names(call.operands)))


# ── quantiles ───────────────────────────────────────────────────────────────────────────────────────────────


def _quantile(call: FunctionCall, value: exp.Expression, share: Typed, discrete: bool) -> exp.Expression:
    shares = cast(share.sql, "DOUBLE[]" if isinstance(share.type, ArrayType) else "DOUBLE")
    return aggregated("quantile_disc" if discrete else "quantile_cont", call, value, shares)


@function("percentile_approx", "approx_percentile", kind="aggregate")
def percentile_approx(call: FunctionCall) -> Typed:
    """percentile_approx(value, share | array of shares[, accuracy]) → a value (or array) of the column"""
    value, share, *rest = call.take(2, 3)
    kind: DataType | None = value.type
    if isinstance(share.type, ArrayType) and kind is not None:
        kind = ArrayType(kind, False)
    name = titled(call, value.name, share.name, rest[0].name if rest else "10000")
    return Typed(_quantile(call, value.sql, share, discrete=True), kind, True, name=name)


@function("percentile", kind="aggregate")
def percentile(call: FunctionCall) -> Typed:
    """percentile(number, share | array of shares[, frequency]) → double (or array), interpolated"""
    value, share, *rest = call.take(2, 3)
    kind: DataType = ArrayType(DoubleType(), False) if isinstance(share.type, ArrayType) else DoubleType()
    number = _number(call, value)
    if rest and rest[0].literal != 1:
        repeated = duck(
            "list", duck("list_resize", exp.Array(expressions=[number]), to_long(call, rest[0]).sql, number)
        )
        shares = share.sql if isinstance(share.type, ArrayType) else exp.Array(expressions=[share.sql.copy()])
        found = duck("hw_percentiles", duck("flatten", repeated), cast(shares, "DOUBLE[]"))
        sql = found if isinstance(share.type, ArrayType) else duck("list_extract", found, 1)
    else:
        sql = _quantile(call, number, share, discrete=False)
    return Typed(sql, kind, True, name=titled(call, value.name, share.name, rest[0].name if rest else "1"))


@kernel(["DOUBLE[]", "DOUBLE[]"], "DOUBLE[]")
def percentiles(values: list[float | None], shares: list[float]) -> list[float] | None:
    """Interpolated percentiles of the values that are not NULL."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    found = []
    for share in shares:
        at = share * (len(known) - 1)
        low = int(at)
        high = min(low + 1, len(known) - 1)
        found.append(known[low] + (known[high] - known[low]) * (at - low))
    return found


@function("median", kind="aggregate")
def median(call: FunctionCall) -> Typed:
    """median(number) → double"""
    return Typed(aggregated("median", call, _number(call, call.take(1)[0])), DoubleType(), True)


def _of_ordered(call: FunctionCall, discrete: bool) -> Typed:
    (share,) = call.take(1)
    key = _only_key(call)
    shares = share
    if not key.ascending:
        flipped = subtract(1, cast(share.sql, "DOUBLE"))
        shares = Typed(flipped, DoubleType(), False)
    kind: DataType = ArrayType(DoubleType(), False) if isinstance(share.type, ArrayType) else DoubleType()
    sql = _quantile(call, _number(call, key.value), shares, discrete)
    order = f"{key.value.name}{'' if key.ascending else ' DESC'}"
    return Typed(sql, kind, True, name=f"{titled(call, share.name)} WITHIN GROUP (ORDER BY {order})")


def _only_key(call: FunctionCall) -> OrderKey:
    from headwater.errors import AnalysisError

    if len(call.order) != 1:
        raise AnalysisError("INVALID_WITHIN_GROUP_EXPRESSION.WITHIN_GROUP_MISSING", funcName=f"`{call.name}`")
    return call.order[0]


@function("percentile_cont", kind="aggregate")
def percentile_cont(call: FunctionCall) -> Typed:
    """percentile_cont(share) WITHIN GROUP (ORDER BY number) → double, interpolated"""
    return _of_ordered(call, discrete=False)


@function("percentile_disc", kind="aggregate")
def percentile_disc(call: FunctionCall) -> Typed:
    """percentile_disc(share) WITHIN GROUP (ORDER BY number) → double of the column"""
    return _of_ordered(call, discrete=True)


@function("mode", kind="aggregate")
def mode(call: FunctionCall) -> Typed:
    """mode(value[, deterministic]) → the most frequent value"""
    operands = call.take(0, 2)
    value = operands[0] if operands else _only_key(call).value
    name = titled(call, *(operands[:1] and [value.name]))
    if len(operands) == 2:
        name = (
            titled(call, value.name)
            if operands[1].literal is False
            else f"mode() WITHIN GROUP (ORDER BY {value.name} DESC)"
        )
    if not operands:
        name = f"mode() WITHIN GROUP (ORDER BY {value.name}{' DESC' if call.order[0].ascending else ''})"
    inner = exp.Order(
        this=value.sql.copy(),
        expressions=[exp.Ordered(this=value.sql.copy(), desc=bool(not operands and not call.order[0].ascending))],
    )
    return Typed(exp.Anonymous(this="mode", expressions=[inner]), value.type, True, name=name)


# ── by another value; texts ─────────────────────────────────────────────────────────────────────────────────


def _by(call: FunctionCall, name: str) -> Typed:
    value, key, *rest = call.take(2, 3)
    if rest:
        kind = ArrayType(value.type, True) if value.type else None
        return Typed(aggregated(name, call, value.sql, key.sql, rest[0].sql), kind, True)
    return Typed(aggregated(f"{name}_null", call, value.sql, key.sql), value.type, True)


@function("max_by", kind="aggregate")
def max_by(call: FunctionCall) -> Typed:
    """max_by(value, key[, n]) → the value (or n values) of the largest key"""
    return _by(call, "arg_max")


@function("min_by", kind="aggregate")
def min_by(call: FunctionCall) -> Typed:
    """min_by(value, key[, n]) → the value (or n values) of the smallest key"""
    return _by(call, "arg_min")


@function("listagg", "string_agg", kind="aggregate")
def listagg(call: FunctionCall) -> Typed:
    """listagg(string[, delimiter]) [WITHIN GROUP (ORDER BY …)] → the texts joined"""
    value, *rest = call.take(1, 2)
    if isinstance(value.type, BinaryType):
        return _bytes_joined(call, value, rest[0] if rest else None)
    delimiter = literal_text(call, rest[0], "delimiter") if rest else None
    text = to_text(call, value).sql
    ordered: exp.Expression = exp.Literal.string(delimiter or "")
    if call.order:
        keys = [
            exp.Ordered(this=key.value.sql.copy(), desc=not key.ascending, nulls_first=key.nulls_first)
            for key in call.order
        ]
        ordered = exp.Order(this=ordered, expressions=keys)
    inner: exp.Expression = text.copy()
    if call.distinct and not call.order:
        ordered = exp.Order(this=ordered, expressions=[exp.Ordered(this=text.copy(), nulls_first=False)])
    if call.distinct:
        inner = exp.Distinct(expressions=[inner])
    sql = exp.Anonymous(this="string_agg", expressions=[inner, ordered])
    mark = "DISTINCT " if call.distinct else ""
    name = f"{'listagg' if call.order else call.name}({mark}{value.name}, {rest[0].name if rest else 'NULL'})"
    if call.order:
        shown = ", ".join(
            f"{key.value.name} {'ASC' if key.ascending else 'DESC'} NULLS {'FIRST' if key.nulls_first else 'LAST'}"
            for key in call.order
        )
        name += f" WITHIN GROUP (ORDER BY {shown})"
    return Typed(sql, StringType(), True, name=name)


def _bytes_joined(call: FunctionCall, value: Typed, delimiter: Typed | None) -> Typed:
    mark = delimiter.sql if delimiter and delimiter.literal is not None else cast("", "BLOB")
    sql = duck("hw_join_bytes", aggregated("list", call, value.sql), cast(mark, "BLOB"))
    shown = "DISTINCT " if call.distinct else ""
    name = titled(call, f"{shown}{value.name}", delimiter.name if delimiter else "NULL")
    return Typed(sql, BinaryType(), True, name=name)


@kernel(["BLOB[]", "BLOB"], "BLOB", nulls=True)
def join_bytes(items: list[bytes | None] | None, mark: bytes | None) -> bytes | None:
    """The byte strings that are not NULL, joined."""
    known = [bytes(item) for item in items or [] if item is not None]
    return bytes(mark or b"").join(known) if known else None


# ── bitmaps ─────────────────────────────────────────────────────────────────────────────────────────────────

_BYTES = 4096


@kernel(["BIGINT[]"], "BLOB", nulls=True)
def bitmap_of(positions: list[int | None] | None) -> bytes:
    """A bitmap with the bits at the positions set."""
    bits = bytearray(_BYTES)
    for position in positions or []:
        if position is not None and 0 <= position < 8 * _BYTES:
            bits[position // 8] |= 1 << position % 8
    return bytes(bits)


@kernel(["BLOB[]", "BOOLEAN"], "BLOB", nulls=True)
def bitmap_join(bitmaps: list[bytes | None] | None, union: bool) -> bytes:
    """All bitmaps joined by OR (`union`) or AND."""
    joined: int | None = None
    for bitmap in bitmaps or []:
        if bitmap is not None:
            number = int.from_bytes(bytes(bitmap).ljust(_BYTES, b"\0"), "little")
            joined = number if joined is None else (joined | number if union else joined & number)
    start = 0 if union or bitmaps else (1 << 8 * _BYTES) - 1
    return (start if joined is None else joined).to_bytes(_BYTES, "little")


@function("bitmap_construct_agg", kind="aggregate")
def bitmap_construct_agg(call: FunctionCall) -> Typed:
    """bitmap_construct_agg(position) → binary bitmap of the positions"""
    position = to_long(call, call.take(1)[0]).sql
    return Typed(duck("hw_bitmap_of", aggregated("list", call, position)), BinaryType(), False)


@function("bitmap_or_agg", kind="aggregate")
def bitmap_or_agg(call: FunctionCall) -> Typed:
    """bitmap_or_agg(bitmap) → binary: the union"""
    return Typed(duck("hw_bitmap_join", aggregated("list", call, call.take(1)[0].sql), True), BinaryType(), False)


@function("bitmap_and_agg", kind="aggregate")
def bitmap_and_agg(call: FunctionCall) -> Typed:
    """bitmap_and_agg(bitmap) → binary: the intersection"""
    return Typed(duck("hw_bitmap_join", aggregated("list", call, call.take(1)[0].sql), False), BinaryType(), False)

"""Spark's bitwise functions beyond the operators.

Invariants: shifts are of the left operand's width, the distance taken modulo that width as in Java.
"""

from __future__ import annotations

from pyspark.sql.types import ByteType, DataType, IntegerType, LongType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import cast, done, duck, names, titled, to_int, to_long
from headwater.functions.conditional import unified
from headwater.functions.kernels import kernel
from headwater.types.duck import duck_name


@kernel(["BIGINT", "INTEGER", "INTEGER", "VARCHAR"], "BIGINT")
def shift(number: int, distance: int, bits: int, way: str) -> int:
    """Java's `<<`, `>>` or `>>>` on a number of `bits` bits."""
    count = distance % bits
    if way == ">>":
        return number >> count
    moved = (number << count) if way == "<<" else ((number & ((1 << bits) - 1)) >> count)
    moved &= (1 << bits) - 1
    return moved - (1 << bits) if moved >> (bits - 1) else moved


def _shifted(call: FunctionCall, way: str) -> Typed:
    number, distance = call.take(2)
    wide = isinstance(number.type, LongType)
    body = number if wide else to_int(call, number)
    kind: DataType = LongType() if wide else IntegerType()
    moved = duck("hw_shift", cast(body.sql, "BIGINT"), to_int(call, distance).sql, 64 if wide else 32, way)
    symbol = call.name in ("<<", ">>", ">>>")
    name = f"({number.name} {way} {distance.name})" if symbol else titled(call, number.name, distance.name)
    return done(cast(moved, duck_name(kind)), kind, call, name=name)


@function("shiftleft", "<<")
def shiftleft(call: FunctionCall) -> Typed:
    """shiftleft(int | long, n) → the same type"""
    return _shifted(call, "<<")


@function("shiftright", ">>")
def shiftright(call: FunctionCall) -> Typed:
    """shiftright(int | long, n) → the same type, keeping the sign"""
    return _shifted(call, ">>")


@function("shiftrightunsigned", ">>>")
def shiftrightunsigned(call: FunctionCall) -> Typed:
    """shiftrightunsigned(int | long, n) → the same type, filling with zeros"""
    return _shifted(call, ">>>")


def _combined(call: FunctionCall, node: type[exp.Binary]) -> Typed:
    (left, right), kind = unified(call, call.take(2))
    sql = node(this=left.sql, expression=right.sql)
    if node is exp.BitwiseXor:
        return done(duck("xor", left.sql, right.sql), kind, call)
    return done(exp.Paren(this=sql), kind, call)


@function("&")
def bit_and(call: FunctionCall) -> Typed:
    """a & b → the wider type"""
    return _combined(call, exp.BitwiseAnd)


@function("|")
def bit_or(call: FunctionCall) -> Typed:
    """a | b → the wider type"""
    return _combined(call, exp.BitwiseOr)


@function("^")
def bit_xor(call: FunctionCall) -> Typed:
    """a ^ b → the wider type"""
    return _combined(call, exp.BitwiseXor)


@function("~", "bitwise_not")
def bit_not(call: FunctionCall) -> Typed:
    """~a → the same type"""
    (number,) = call.take(1)
    return done(exp.BitwiseNot(this=exp.Paren(this=number.sql)), number.type, call, name=f"~{number.name}")


@function("bit_count")
def bit_count(call: FunctionCall) -> Typed:
    """bit_count(integer | boolean) → int: bits set (of 64 for a negative number)"""
    (number,) = call.take(1)
    return done(cast(duck("bit_count", cast(number.sql, "BIGINT")), "INTEGER"), IntegerType(), call)


@function("bit_get", "getbit")
def bit_get(call: FunctionCall) -> Typed:
    """bit_get(integer, position) → byte: the bit at a position from 0"""
    number, position = call.take(2)
    moved = exp.Paren(
        this=exp.BitwiseRightShift(this=cast(number.sql, "BIGINT"), expression=to_int(call, position).sql)
    )
    bit = exp.Paren(this=exp.BitwiseAnd(this=moved, expression=exp.convert(1)))
    return done(cast(bit, "TINYINT"), ByteType(), call, name=titled(call, *names(call.operands)))


@function("bitmap_bit_position")
def bitmap_bit_position(call: FunctionCall) -> Typed:
    """bitmap_bit_position(long) → long: position in its bitmap of 32768 bits"""
    (number,) = call.take(1)
    return done(duck("hw_bitmap_position", to_long(call, number).sql), LongType(), call)


@function("bitmap_bucket_number")
def bitmap_bucket_number(call: FunctionCall) -> Typed:
    """bitmap_bucket_number(long) → long: number of its bitmap"""
    (number,) = call.take(1)
    return done(duck("hw_bitmap_bucket", to_long(call, number).sql), LongType(), call)


@function("bitmap_count")
def bitmap_count(call: FunctionCall) -> Typed:
    """bitmap_count(binary) → long: bits set"""
    (bitmap,) = call.take(1)
    return done(duck("hw_bitmap_count_bits", bitmap.sql), LongType(), call)


_BITS = 8 * 4096


@kernel(["BIGINT"], "BIGINT")
def bitmap_position(number: int) -> int:
    """Position within a bitmap."""
    return (number - 1) % _BITS if number > 0 else -number % _BITS


@kernel(["BIGINT"], "BIGINT")
def bitmap_bucket(number: int) -> int:
    """Number of the bitmap."""
    return 1 + (number - 1) // _BITS if number > 0 else -(-number // _BITS)


@kernel(["BLOB"], "BIGINT")
def bitmap_count_bits(data: bytes) -> int:
    """Bits set in the bytes."""
    return bin(int.from_bytes(data, "big")).count("1")

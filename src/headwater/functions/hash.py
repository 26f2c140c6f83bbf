"""Spark's hash functions.

Invariants: `hash` is Murmur3 and `xxhash64` XXH64, both with seed 42 over the arguments in turn, bit for bit as Spark
computes them; a NULL leaves the running hash as it is.
"""

from __future__ import annotations

from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import cast, done, duck, names, struct_of, titled, to_int
from headwater.functions.encoding import as_bytes


@function("md5")
def md5(call: FunctionCall) -> Typed:
    """md5(binary) → string of hexadecimal digits"""
    return done(duck("md5", as_bytes(call, call.take(1)[0])), StringType(), call)


@function("sha", "sha1")
def sha1(call: FunctionCall) -> Typed:
    """sha1(binary) → string of hexadecimal digits"""
    return done(duck("sha1", as_bytes(call, call.take(1)[0])), StringType(), call)


@function("sha2")
def sha2(call: FunctionCall) -> Typed:
    """sha2(binary, 224 | 256 | 384 | 512 | 0) → string of hexadecimal digits, NULL for another length"""
    data, bits = call.take(2)
    body = as_bytes(call, data)
    if bits.literal in (0, 256):
        return Typed(duck("sha256", body), StringType(), True)
    return Typed(duck("hw_sha2_digits", body, to_int(call, bits).sql), StringType(), True)


@function("crc32")
def crc32(call: FunctionCall) -> Typed:
    """crc32(binary) → long"""
    return done(duck("hw_crc32_of", as_bytes(call, call.take(1)[0])), LongType(), call)


def _hashed(call: FunctionCall, kernel_name: str) -> exp.Expression:
    fields = [StructField(f"c{i}", operand.type or StringType(), True) for i, operand in enumerate(call.operands)]
    row = struct_of([(f"c{i}", operand.sql) for i, operand in enumerate(call.operands)])
    return duck(kernel_name, StructType(fields).json(), row)


@function("hash")
def hash_(call: FunctionCall) -> Typed:
    """hash(value, …) → int: Murmur3"""
    name = titled(call, *names(call.operands))
    return Typed(cast(_hashed(call, "hw_murmur3"), "INTEGER"), IntegerType(), False, name=name)


@function("xxhash64")
def xxhash64(call: FunctionCall) -> Typed:
    """xxhash64(value, …) → long: XXH64"""
    return Typed(_hashed(call, "hw_xxhash64"), LongType(), False, name=titled(call, *names(call.operands)))

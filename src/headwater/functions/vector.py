"""Spark's functions of vectors: arrays of floats.

Invariants: results are floats; vectors of different length are an error; a NULL element makes the result NULL.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from pyspark.sql.types import ArrayType, FloatType
from sqlglot import exp

from headwater.errors import RuntimeSparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import cast, duck, names, titled
from headwater.functions.kernels import kernel

_Vector = Sequence[float | None]


def _same_length(name: str, left: _Vector, right: _Vector) -> None:
    if len(left) != len(right):
        raise RuntimeSparkError(
            "VECTOR_DIMENSION_MISMATCH", functionName=f"`{name}`", leftDim=len(left), rightDim=len(right)
        )


@kernel(["FLOAT[]", "FLOAT[]", "VARCHAR"], "FLOAT", nulls=True)
def vector_measure(left: _Vector | None, right: _Vector | None, what: str) -> float | None:
    """Inner product, cosine similarity or Euclidean distance of two vectors."""
    if left is None or right is None:
        return None
    _same_length(what, left, right)
    if any(x is None for x in (*left, *right)):
        return None
    pairs = [(float(a or 0), float(b or 0)) for a, b in zip(left, right, strict=True)]
    if what == "vector_l2_distance":
        return math.sqrt(sum((a - b) ** 2 for a, b in pairs))
    product = sum(a * b for a, b in pairs)
    if what == "vector_inner_product":
        return product
    size = math.sqrt(sum(a * a for a, _ in pairs)) * math.sqrt(sum(b * b for _, b in pairs))
    return product / size if size else None


def _norm(vector: Sequence[float], degree: float) -> float:
    if math.isinf(degree):
        return max((abs(x) for x in vector), default=0.0)
    if degree == 1:
        return sum(abs(x) for x in vector)
    return math.sqrt(sum(x * x for x in vector))


@kernel(["FLOAT[]", "FLOAT"], "FLOAT", nulls=True)
def vector_norm_of(vector: _Vector | None, degree: float | None) -> float | None:
    """The 1-, 2- or infinity-norm."""
    if vector is None or degree is None or any(x is None for x in vector):
        return None
    _check_degree("vector_norm", degree)
    return _norm([float(x or 0) for x in vector], degree)


@kernel(["FLOAT[]", "FLOAT"], "FLOAT[]", nulls=True)
def vector_scaled(vector: _Vector | None, degree: float | None) -> list[float] | None:
    """The vector divided by its norm, NULL for a zero vector."""
    if vector is None or degree is None or any(x is None for x in vector):
        return None
    _check_degree("vector_normalize", degree)
    known = [float(x or 0) for x in vector]
    size = struct.unpack("f", struct.pack("f", _norm(known, degree)))[0]
    return [x / size for x in known] if size else None


def _check_degree(name: str, degree: float) -> None:
    if degree not in (1.0, 2.0) and not math.isinf(degree):
        raise RuntimeSparkError("INVALID_VECTOR_NORM_DEGREE", functionName=f"`{name}`", degree=degree)


def _pair(call: FunctionCall) -> Typed:
    """two vectors of floats → float"""
    left, right = (cast(operand.sql, "FLOAT[]") for operand in call.take(2))
    return Typed(duck("hw_vector_measure", left, right, call.name.lower()), FloatType(), True)


for _name in ("vector_inner_product", "vector_cosine_similarity", "vector_l2_distance"):
    function(_name)(_pair)


def _with_degree(call: FunctionCall) -> tuple[exp.Expression, exp.Expression, str]:
    vector, *rest = call.take(1, 2)
    degree = cast(rest[0].sql if rest else 2.0, "FLOAT")
    name = titled(call, *names(call.operands), *([] if rest else ["2.0"]))
    return cast(vector.sql, "FLOAT[]"), degree, name


@function("vector_norm")
def vector_norm(call: FunctionCall) -> Typed:
    """vector_norm(array<float>[, 1 | 2 | infinity]) → float"""
    vector, degree, name = _with_degree(call)
    return Typed(duck("hw_vector_norm_of", vector, degree), FloatType(), True, name=name)


@function("vector_normalize")
def vector_normalize(call: FunctionCall) -> Typed:
    """vector_normalize(array<float>[, 1 | 2 | infinity]) → array<float> of length 1"""
    vector, degree, name = _with_degree(call)
    return Typed(duck("hw_vector_scaled", vector, degree), ArrayType(FloatType(), True), True, name=name)


@kernel(["FLOAT[][]", "BOOLEAN"], "FLOAT[]", nulls=True)
def vector_together(vectors: list[_Vector | None] | None, mean: bool) -> list[float] | None:
    """The sum or mean of vectors, element by element."""
    known = [vector for vector in vectors or [] if vector is not None and all(x is not None for x in vector)]
    if not known:
        return None
    for vector in known[1:]:
        _same_length("vector_avg" if mean else "vector_sum", known[0], vector)
    return [sum(float(x or 0) for x in column) / (len(known) if mean else 1) for column in zip(*known, strict=True)]


def _together(call: FunctionCall) -> Typed:
    """vectors of a group → array<float>"""
    (vector,) = call.take(1)
    listed = exp.Anonymous(this="list", expressions=[cast(vector.sql, "FLOAT[]")])
    sql = duck("hw_vector_together", listed, call.name.lower() == "vector_avg")
    return Typed(sql, ArrayType(FloatType(), False), True)


function("vector_avg", kind="aggregate")(_together)
function("vector_sum", kind="aggregate")(_together)

"""Spark's struct functions.

Invariants: field names come from columns and aliases, else they are col1, col2, …; fields keep their nullability.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql.types import DataType, StructField, StructType
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import names, struct_of, titled

_ALIAS = re.compile(r" AS ([^()]*)$")


def field_name(operand: Typed, position: int) -> str:
    """The field's name in `struct(…)`: of a column or an alias, else `col<position>`."""
    alias = _ALIAS.search(operand.name)
    if alias:
        return alias[1].strip("`")
    column = isinstance(operand.sql, exp.Column) or str(getattr(operand.sql, "this", "")) == "struct_extract"
    return operand.name if column and operand.name else f"col{position}"


def built(labels: Sequence[str], operands: Sequence[Typed], **changes: str) -> Typed:
    """A struct of the operands under the labels."""
    fields = [
        StructField(label, operand.type or _unknown(operand), operand.nullable)
        for label, operand in zip(labels, operands, strict=True)
    ]
    sql = struct_of([(label, operand.sql) for label, operand in zip(labels, operands, strict=True)])
    return Typed(sql, StructType(fields), False, **changes)


def _unknown(operand: Typed) -> DataType:
    raise AnalysisError("INTERNAL_ERROR", message=f"the type of {operand.name} is not known")


@function("struct")
def struct_(call: FunctionCall) -> Typed:
    """struct(value, …) → struct"""
    labels = [field_name(operand, i) for i, operand in enumerate(call.operands, 1)]
    return built(labels, call.operands, name=titled(call, *names(call.operands)))


@function("named_struct")
def named_struct(call: FunctionCall) -> Typed:
    """named_struct(name, value, …) → struct"""
    labels, values = call.operands[::2], call.operands[1::2]
    if len(labels) != len(values) or any(not isinstance(label.literal, str) for label in labels):
        raise AnalysisError(
            "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            functionName="`named_struct`",
            expectedNum="2n (n > 0)",
            actualNum=len(call.operands),
            docroot="https://spark.apache.org/docs/latest",
        )
    return built([str(label.literal) for label in labels], values)

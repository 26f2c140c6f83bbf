"""Generators: functions of one row that give several, in a select list, LATERAL VIEW or FROM.

A generator's value is a DuckDB list of structs, one struct a row; its Spark type is the array of that struct.

Invariants: a NULL or empty collection gives no rows; with `_outer` it gives one row of NULLs.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql.types import ArrayType, DataType, IntegerType, MapType, NullType, StringType, StructField, StructType
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions.base import MISSING, FunctionCall, Typed, function
from headwater.functions.building import case, duck, either, equal, is_null, lambda_, let, struct_of, subtract
from headwater.functions.operators import to_common
from headwater.types.ddl import type_sql
from headwater.types.duck import to_duck


def _rows(sql: exp.Expression, fields: list[StructField], outer: bool) -> Typed:
    if outer:
        fields = [StructField(f.name, f.dataType, True) for f in fields]
        struct = ArrayType(StructType(fields), True)
        nothing = exp.Cast(this=exp.Array(expressions=[exp.Null()]), to=to_duck(struct))
        sql = let(
            [sql], lambda rows: case((either(is_null(rows), equal(duck("len", rows), 0)), nothing), otherwise=rows)
        )
    return Typed(sql, ArrayType(StructType(fields), outer), True)


def _collection(call: FunctionCall, operand: Typed, wanted: str) -> AnalysisError:
    return AnalysisError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        sqlExpr=f'"{call.name}({operand.name})"',
        paramIndex="first",
        requiredType=wanted,
        inputSql=f'"{operand.name}"',
        inputType=f'"{type_sql(operand.type)}"' if operand.type else "unknown",
    )


def _explode(call: FunctionCall) -> Typed:
    """one row per array element (`col`) or map entry (`key`, `value`)"""
    (operand,) = call.take(1)
    outer = call.name.lower().endswith("_outer")
    data_type = operand.type
    if isinstance(data_type, NullType):
        data_type = ArrayType(NullType(), True)
    if isinstance(data_type, ArrayType):
        rows = duck("list_transform", operand.sql, lambda_(lambda item: struct_of([("col", item)])))
        return _rows(rows, [StructField("col", data_type.elementType, data_type.containsNull)], outer)
    if isinstance(data_type, MapType):
        return _rows(duck("map_entries", operand.sql), _entry(data_type), outer)
    raise _collection(call, operand, '("ARRAY" or "MAP")')


def _entry(data_type: MapType) -> list[StructField]:
    return [
        StructField("key", data_type.keyType, False),
        StructField("value", data_type.valueType, data_type.valueContainsNull),
    ]


function("explode", "explode_outer", kind="generator")(_explode)


def _posexplode(call: FunctionCall) -> Typed:
    """as explode, with the 0-based position (`pos`) first"""
    (operand,) = call.take(1)
    data_type = operand.type
    if isinstance(data_type, ArrayType):
        items = operand.sql
        rest = [StructField("col", data_type.elementType, data_type.containsNull)]
        values: Callable[[exp.Expression], list[tuple[str, exp.Expression]]] = lambda item: [("col", item)]  # noqa: E731
    elif isinstance(data_type, MapType):
        items = duck("map_entries", operand.sql)
        rest = _entry(data_type)
        values = lambda item: [(f.name, duck("struct_extract", item, f.name)) for f in rest]  # noqa: E731
    else:
        raise _collection(call, operand, '("ARRAY" or "MAP")')
    row = lambda_(lambda item, at: struct_of([("pos", _position(at)), *values(item)]), 2)
    fields = [StructField("pos", IntegerType(), False), *rest]
    return _rows(duck("list_transform", items, row), fields, call.name.lower().endswith("_outer"))


def _position(at: exp.Expression) -> exp.Expression:
    return exp.Cast(this=subtract(at, 1), to=to_duck(IntegerType()))


function("posexplode", "posexplode_outer", kind="generator")(_posexplode)


def _inline(call: FunctionCall) -> Typed:
    """one row per struct of an array, one column per field"""
    (operand,) = call.take(1)
    data_type = operand.type
    if not (isinstance(data_type, ArrayType) and isinstance(data_type.elementType, StructType)):
        raise _collection(call, operand, '"ARRAY<STRUCT>"')
    nullable = data_type.containsNull
    fields = [StructField(f.name, f.dataType, f.nullable or nullable) for f in data_type.elementType.fields]
    return _rows(operand.sql, fields, call.name.lower().endswith("_outer"))


function("inline", "inline_outer", kind="generator")(_inline)


@function("stack", kind="generator")
def stack(call: FunctionCall) -> Typed:
    """stack(n, expr, …): the expressions in n rows of columns `col0`, `col1`, …"""
    count, *values = call.operands
    if not isinstance(count.literal, int) or count.literal < 1:
        raise _collection(call, count, "a positive integer constant")
    width = -(-len(values) // count.literal)
    columns = [_column(call, values[i::width], count.literal) for i in range(width)]
    rows = [struct_of([(f"col{i}", column[r].sql) for i, column in enumerate(columns)]) for r in range(count.literal)]
    types = [column[0].type or NullType() for column in columns]
    fields = [
        StructField(f"col{i}", data_type, any(cell.nullable for cell in columns[i]))
        for i, data_type in enumerate(types)
    ]
    made = _rows(exp.Array(expressions=rows), fields, False)
    return Typed(exp.Cast(this=made.sql, to=to_duck(made.type)), made.type, False)


def _column(call: FunctionCall, cells: list[Typed], count: int) -> tuple[Typed, ...]:
    missing = Typed(exp.Null(), NullType(), True, None, "NULL")
    return to_common(call, (*cells, *[missing] * (count - len(cells))))


@function("json_tuple", kind="generator")
def json_tuple(call: FunctionCall) -> Typed:
    """json_tuple(json, field, …): one row, the fields as strings in columns `c0`, `c1`, …"""
    text, *names = call.operands
    fields: list[StructField] = []
    values: list[tuple[str, exp.Expression]] = []
    for i, name in enumerate(names):
        path = f'$."{name.literal}"' if name.literal is not MISSING else None
        key = exp.Literal.string(path) if path else duck("concat", '$."', name.sql, '"')
        fields.append(StructField(f"c{i}", StringType(), True))
        values.append((f"c{i}", exp.Try(this=duck("json_extract_string", text.sql, key))))
    return _rows(exp.Array(expressions=[struct_of(values)]), fields, False)


def row_type(typed: Typed) -> StructType:
    """The columns a generator gives."""
    data_type: DataType | None = typed.type
    assert isinstance(data_type, ArrayType)
    assert isinstance(data_type.elementType, StructType)
    return data_type.elementType

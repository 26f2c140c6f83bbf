"""Struct updates: `withField`, `dropFields`.

Invariants: fields keep their order; a NULL struct stays NULL; a dotted field reaches into nested structs.
"""

from __future__ import annotations

from pyspark.sql.types import StructField, StructType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.expressions import compile_node
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.functions.building import case, duck, is_null, let, struct_of
from headwater.plan import expressions as plan
from headwater.types.ddl import type_sql

Entry = tuple[StructField, exp.Expression]


@compile_node.register
def _update_fields(node: plan.UpdateFields, scope: Scope, compiler: Compiler) -> Typed:
    struct = compiler.expression(node.struct, scope)
    value = compiler.expression(node.value, scope) if node.value is not None else None
    made = _updated(struct, node.field.split("."), value, compiler)
    return Typed(made.sql, made.type, struct.nullable, name=f"update_fields({struct.name})")


def _updated(struct: Typed, path: list[str], value: Typed | None, compiler: Compiler) -> Typed:
    if not isinstance(struct.type, StructType):
        raise AnalysisError(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            sqlExpr=f'"update_fields({struct.name})"',
            paramIndex="first",
            requiredType='"STRUCT"',
            inputSql=f'"{struct.name}"',
            inputType=f'"{type_sql(struct.type)}"' if struct.type else "unknown",
        )
    data_type = struct.type
    fields: list[StructField] = []

    def rebuilt(item: exp.Expression) -> exp.Expression:
        entries = _entries(item, data_type, path, value, compiler)
        fields[:] = [field for field, _ in entries]
        body = struct_of([(field.name, sql) for field, sql in entries])
        return case((is_null(item), exp.Null()), otherwise=body) if struct.nullable else body

    sql = let([struct.sql], rebuilt)
    if not fields:
        raise AnalysisError("DATATYPE_MISMATCH.CANNOT_DROP_ALL_FIELDS", sqlExpr=f'"update_fields({struct.name})"')
    return Typed(sql, StructType(fields), struct.nullable)


def _entries(
    item: exp.Expression, data_type: StructType, path: list[str], value: Typed | None, compiler: Compiler
) -> list[Entry]:
    key = compiler.key(path[0])
    entries: list[Entry] = []
    found = False
    for field in data_type.fields:
        inner = duck("struct_extract", item, field.name)
        if compiler.key(field.name) != key:
            entries.append((field, inner))
            continue
        found = True
        if len(path) > 1:
            nested = _updated(Typed(inner, field.dataType, field.nullable), path[1:], value, compiler)
            entries.append((StructField(field.name, nested.type, field.nullable), nested.sql))
        elif value is not None:
            entries.append((StructField(path[0], value.type, value.nullable), value.sql))
    if not found and value is not None and len(path) == 1:
        entries.append((StructField(path[0], value.type, value.nullable), value.sql))
    return entries

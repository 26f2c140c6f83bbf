"""MERGE WITH SCHEMA EVOLUTION: what the table's columns become, and how the source's values fit them.

Invariants: only what a clause assigns makes columns or fields; fields of structs go by name, at any depth of structs
and arrays; of a row that is updated by `*` a struct keeps the fields that the source does not have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pyspark.sql.types import ArrayType, DataType, NullType, StringType, StructField, StructType

from headwater.lake.schema import merge
from headwater.lake.widening import widens
from headwater.plan.commands import MergeClause
from headwater.plan.expressions import (
    Call,
    Cast,
    Column,
    Expression,
    ExtractValue,
    Lambda,
    LambdaVariable,
    Literal,
    StoredValue,
)


def evolved(
    table: StructType, source: StructType, clauses: Iterable[MergeClause], *, widen: bool = False
) -> StructType:
    """The table's columns with what the clauses bring; `widen`: as wide as they bring them.

    Raises DELTA_FAILED_TO_MERGE_FIELDS.
    """
    known = {field.name.lower(): field for field in table.fields}
    stars = [clause for clause in clauses if clause.star]
    keys = [key.parts for clause in clauses for key in clause.columns if isinstance(key, Column) and key.parts]
    assigned = {path[0].lower() for path in (_way(key, known) for key in keys) if len(path) == 1}
    brought = [
        field
        for field in source.fields
        if any(field.name.lower() not in _left_out(clause) for clause in stars)
        or (field.name.lower() in assigned and _is_new(field, known.get(field.name.lower())))
    ]
    made = merge(table, StructType(brought), grow=True, widen=widen)
    for path in (_way(key, known) for key in keys):
        field = _branch(source, path)
        if len(path) > 1 and field is not None:
            made = merge(made, StructType([field]), grow=True, widen=widen)
    return made


def _way(key: tuple[str, ...], known: Mapping[str, StructField]) -> tuple[str, ...]:
    """The column that an assignment names and the way into it; without a qualifier, as only then it may be new."""
    if len(key) == 1 or (key[0].lower() in known and key[1].lower() not in known):
        return key
    place = next((at for at, part in enumerate(key) if at and part.lower() in known), None)
    return () if place is None else key[place:]


def _branch(source: StructType, path: tuple[str, ...]) -> StructField | None:
    """The source's field at the path, with nothing else of the structs around it; None if it has none."""
    found = next((one for one in source.fields if path and one.name.lower() == path[0].lower()), None)
    if found is None or len(path) == 1:
        return found
    inner = _branch(found.dataType, path[1:]) if isinstance(found.dataType, StructType) else None
    return None if inner is None else StructField(found.name, StructType([inner]), found.nullable)


def _left_out(clause: MergeClause) -> set[str]:
    return {name.lower() for name in clause.except_}


def _is_new(field: StructField, old: StructField | None) -> bool:
    """Whether an assignment of its own may change the table for the column: a new one, or nested ones on both sides."""
    nested = (StructType, ArrayType)
    return old is None or (isinstance(field.dataType, nested) and isinstance(old.dataType, nested))


def with_brought(
    table: StructType, data: StructType, *, by_name: bool, skipped: Collection[str], widen: bool
) -> StructType:
    """The table's columns with those that an INSERT's rows bring besides; `skipped`: columns it gives values for.

    By position the rows' last columns are new ones. A nested column, or with `widen` a wider one, is as the rows have
    it: what the table lacks is added when they are saved.
    """
    free = [field for field in table.fields if field.name.lower() not in skipped]
    places = {(field.name if by_name else str(at)).lower(): field for at, field in enumerate(data.fields)}
    fields = {field.name: field for field in table.fields}
    for at, field in enumerate(free):
        given = places.pop((field.name if by_name else str(at)).lower(), None)
        if given is not None and _grows(field.dataType, given.dataType, widen):
            fields[field.name] = StructField(field.name, given.dataType, field.nullable, field.metadata)
    return StructType([*fields.values(), *places.values()])


def _grows(old: DataType, new: DataType, widen: bool) -> bool:
    return (is_nested(old) and is_nested(new)) or (widen and widens(old, new))


def is_nested(kind: DataType) -> bool:
    """Whether values of the type have fields that go by name."""
    return isinstance(kind, StructType) or (isinstance(kind, ArrayType) and is_nested(kind.elementType))


OVERFLOW = "DELTA_CAST_OVERFLOW_IN_TABLE_WRITE"
"""What a number raises that is too large for the column that UPDATE or MERGE puts it into."""


def reshaped(value: Expression, given: DataType, wanted: StructField, before: Expression | None = None) -> Expression:
    """The value as the column `wanted` has it: fields that it lacks are those of `before`, or null."""
    kind = wanted.dataType
    if given == kind:
        return value
    if isinstance(given, StructType) and isinstance(kind, StructType):
        return _reshaped_struct(value, given, kind, before)
    if isinstance(given, ArrayType) and isinstance(kind, ArrayType):
        item, element = LambdaVariable("item"), StructField(wanted.name, kind.elementType)
        return Call("transform", (value, Lambda(reshaped(item, given.elementType, element), ("item",))))
    return StoredValue(value, kind, wanted.name, OVERFLOW)


def _reshaped_struct(value: Expression, given: StructType, wanted: StructType, before: Expression | None) -> Expression:
    names = {field.name.lower(): field for field in given.fields}
    parts: list[Expression] = []
    for field in wanted.fields:
        old = None if before is None else _field(before, field.name)
        found = names.get(field.name.lower())
        if found is not None:
            part = reshaped(_field(value, found.name), found.dataType, field, old)
        else:
            part = Literal(None, NullType()) if old is None else old
        parts += [Literal(field.name, StringType()), Cast(part, field.dataType, "ansi")]
    nothing = Cast(Literal(None, NullType()), wanted, "ansi")
    return Call("if", (Call("isnull", (value,)), nothing, Call("named_struct", tuple(parts))))


def _field(value: Expression, name: str) -> Expression:
    return ExtractValue(value, Literal(name, StringType()))

"""Changes of a Delta table's definition: columns, properties, constraints. No row is written.

Invariants: a change is one commit, or nothing; it is committed only on the definition it was made from; what was
checked on the table's rows holds for every row that the commit follows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType, VarcharType
from sqlglot import exp

from headwater.crash import crash_point
from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError
from headwater.lake.actions import Metadata
from headwater.lake.column_ids import assigned
from headwater.lake.conflicts import NOTHING, whole
from headwater.lake.features import check_writable, raised
from headwater.lake.log import LogState
from headwater.lake.mapping import mode_of, user_schema
from headwater.lake.properties import CONSTRAINT, checked, kept
from headwater.lake.rules import Check, constraints, row_column
from headwater.lake.schema import CHAR_VARCHAR, check_storable
from headwater.lake.snapshot import read_files
from headwater.lake.transaction import Draft, Operation, WriteResult
from headwater.lake.widening import NO_WIDENING, Widening, enabled, retyped, type_at
from headwater.types.ddl import parse_type, type_sql

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

Path = tuple[str, ...]
"""A column by its names from the top; `element`, `key` and `value` lead into arrays and maps."""


@dataclass(frozen=True)
class NewColumn:
    """A column to add. `position`: `FIRST`, `AFTER name`, None for last."""

    path: Path
    field: StructField
    position: str | None = None


@dataclass(frozen=True)
class Changes:
    """What becomes of a column; None: as it is."""

    comment: str | None = None
    nullable: bool | None = None
    position: str | None = None
    type: DataType | None = None


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────


def with_columns(schema: StructType, columns: Sequence[NewColumn], *, mapped: bool = False) -> StructType:
    """The schema with columns added; `mapped`: the table maps its columns, so that any name will do.

    Raises FIELD_ALREADY_EXISTS, FIELD_NOT_FOUND, UNRESOLVED_COLUMN, DELTA_OPERATION_NOT_ALLOWED for NOT NULL, and what
    Delta cannot store.
    """
    for column in columns:
        if not column.field.nullable:
            raise AnalysisError("DELTA_OPERATION_NOT_ALLOWED", operation="NOT NULL in ALTER TABLE ADD COLUMNS")
        schema = _with_column(schema, column)
    check_storable(schema, mapped=mapped)
    return schema


def _with_column(schema: StructType, column: NewColumn) -> StructType:
    return edited(schema, column.path, lambda struct: _inserted(struct, column, schema))


def changed(
    schema: StructType, path: Path, changes: Changes, rule: Widening = NO_WIDENING
) -> tuple[StructType, StructField]:
    """The schema with a column changed, and the column. Raises Spark's and Delta's errors of ALTER COLUMN."""
    found: list[StructField] = []
    text = _text_type(schema, path, changes.type)
    if changes.type is not None and text is None:
        schema, kind = retyped(schema, path, changes.type, rule)
        if not isinstance(type_at(schema, path[:-1]), StructType):
            return schema, StructField(path[-1], kind)

    def change(struct: StructType) -> StructType:
        index = place(struct, path[-1], path)
        old = struct.fields[index]
        metadata = {**(old.metadata or {})}
        if changes.comment is not None:
            metadata["comment"] = changes.comment
        if text is not None:
            metadata = {key: value for key, value in metadata.items() if key != CHAR_VARCHAR} | text
        nullable = old.nullable if changes.nullable is None else changes.nullable
        found.append(StructField(old.name, old.dataType, nullable, metadata))
        fields = [*struct.fields[:index], found[0], *struct.fields[index + 1 :]]
        return _moved(fields, index, changes.position)

    return edited(schema, path, change), found[0]


def _text_type(schema: StructType, path: Path, new: DataType | None) -> dict[str, str] | None:
    """What a text column that may become longer remembers of its length then; None if that is not asked for."""
    around = type_at(schema, path[:-1])
    if not isinstance(new, StringType | VarcharType) or not isinstance(around, StructType):
        return None
    found = [field for field in around.fields if field.name.lower() == path[-1].lower()]
    written = (found[0].metadata or {}).get(CHAR_VARCHAR) if found else None
    if written is None:
        return None
    if isinstance(new, StringType):
        return {}
    old = parse_type(written)
    if isinstance(old, VarcharType) and old.length <= new.length:
        return {CHAR_VARCHAR: new.simpleString()}
    return None


def place(struct: StructType, name: str, path: Path) -> int:
    """Where a struct has a field. Raises UNRESOLVED_COLUMN."""
    for index, field in enumerate(struct.fields):
        if field.name.lower() == name.lower():
            return index
    proposal = ", ".join(f"`{field.name}`" for field in struct.fields)
    wanted = ".".join(f"`{part}`" for part in path)
    raise AnalysisError("UNRESOLVED_COLUMN.WITH_SUGGESTION", objectName=wanted, proposal=proposal)


def edited(schema: StructType, path: Path, edit: Callable[[StructType], StructType]) -> StructType:
    """The schema with the struct around a column edited. Raises DELTA_ADD_COLUMN_PARENT_NOT_STRUCT if there is none."""
    made = _inside(schema, path[:-1], path, edit)
    assert isinstance(made, StructType)
    return made


def _inside(kind: DataType, way: Path, path: Path, edit: Callable[[StructType], StructType]) -> DataType:
    if isinstance(kind, StructType):
        if not way:
            return edit(kind)
        index = place(kind, way[0], path[: len(path) - len(way)])
        old = kind.fields[index]
        new = StructField(old.name, _inside(old.dataType, way[1:], path, edit), old.nullable, old.metadata)
        return StructType([*kind.fields[:index], new, *kind.fields[index + 1 :]])
    if isinstance(kind, ArrayType) and way and way[0].lower() == "element":
        return ArrayType(_inside(kind.elementType, way[1:], path, edit), kind.containsNull)
    if isinstance(kind, MapType) and way and way[0].lower() == "key":
        return MapType(_inside(kind.keyType, way[1:], path, edit), kind.valueType, kind.valueContainsNull)
    if isinstance(kind, MapType) and way and way[0].lower() == "value":
        return MapType(kind.keyType, _inside(kind.valueType, way[1:], path, edit), kind.valueContainsNull)
    raise AnalysisError("DELTA_ADD_COLUMN_PARENT_NOT_STRUCT", columnName=path[-1], other=type_sql(kind))


def _inserted(struct: StructType, column: NewColumn, schema: StructType) -> StructType:
    names = {field.name.lower() for field in struct.fields}
    if column.field.name.lower() in names:
        name = ".".join(f"`{part}`" for part in column.path)
        raise AnalysisError("FIELD_ALREADY_EXISTS", op="add", fieldNames=name, struct=f'"{type_sql(schema)}"')
    fields = [*struct.fields, StructField(column.field.name, column.field.dataType, True, column.field.metadata)]
    return _moved(fields, len(fields) - 1, column.position)


def _moved(fields: list[StructField], index: int, position: str | None) -> StructType:
    """The fields with the one at `index` at its position."""
    if position is None:
        return StructType(fields)
    field = fields.pop(index)
    target = 0
    if position != "FIRST":
        before = position.removeprefix("AFTER ")
        places = [at for at, other in enumerate(fields) if other.name.lower() == before.lower()]
        if not places:
            known = ", ".join(other.name for other in fields)
            raise AnalysisError("FIELD_NOT_FOUND", fieldName=f"`{field.name}`", fields=known)
        target = places[0] + 1
    return StructType([*fields[:target], field, *fields[target:]])


# ── one commit each ─────────────────────────────────────────────────────────────────────────────────────────


def add_columns(table: LakeTable, columns: Sequence[NewColumn]) -> WriteResult:
    """ADD COLUMNS: nullable, at the end unless they say where."""
    state = table.newest()
    metadata = metadata_of(state, table)
    told = []
    for column in columns:
        field = {**column.field.jsonValue(), "name": ".".join(column.path)}
        told.append({"column": field} | ({"position": column.position} if column.position else {}))
    operation = Operation("ADD COLUMNS", {"columns": _json(told)})
    schema = with_columns(metadata.schema, columns, mapped=mode_of(metadata) != "none")
    return commit_definition(table, state, operation, replace(metadata, schema_text=schema.json()))


def change_column(
    table: LakeTable,
    path: Path,
    changes: Changes,
    connection: Connection,
    check: Callable[[Metadata, Path], None] | None = None,
) -> WriteResult:
    """ALTER COLUMN. Raises DELTA_NEW_NOT_NULL_VIOLATION if the column is to hold no null and does.

    `check` is asked before a column's type changes and raises if an expression of the table names it.
    """
    state = table.newest()
    metadata = metadata_of(state, table)
    rule = Widening(enabled(metadata), f"delta.`{table.path}`")
    schema, field = changed(metadata.schema, path, changes, rule)
    if check is not None and type_at(schema, path) != type_at(metadata.schema, path):
        check(metadata, path)
    strict = changes.nullable is False
    if strict:
        _check_nulls(table, state, path, connection)
    (shown,) = user_schema(StructType([field])).fields
    facts: dict[str, Any] = {"column": _json({**shown.jsonValue(), "name": ".".join(path)})}
    if changes.position is not None:
        facts["position"] = changes.position
    operation = Operation("CHANGE COLUMN", facts)
    return commit_definition(table, state, operation, replace(metadata, schema_text=schema.json()), reads_rows=strict)


def set_properties(table: LakeTable, properties: Mapping[str, str]) -> WriteResult:
    """SET TBLPROPERTIES; `comment` is the table's description. Raises DELTA_ADD_CONSTRAINTS for a constraint."""
    state = table.newest()
    metadata = metadata_of(state, table)
    given = checked(properties)
    if any(key.lower().startswith(CONSTRAINT) for key in given):
        raise AnalysisError("DELTA_ADD_CONSTRAINTS")
    operation = Operation("SET TBLPROPERTIES", {"properties": _json(given)})
    description = given.pop("comment", metadata.description)
    configuration = {**metadata.configuration, **kept(given)}
    made = replace(metadata, configuration=configuration, description=description)
    return commit_definition(table, state, operation, made, given)


def unset_properties(table: LakeTable, keys: Iterable[str]) -> WriteResult:
    """UNSET TBLPROPERTIES; a property that is not set is no error, as in Delta."""
    state = table.newest()
    metadata = metadata_of(state, table)
    gone = list(keys)
    operation = Operation("UNSET TBLPROPERTIES", {"properties": _json(gone), "ifExists": True})
    folded = {key.lower() for key in gone}
    configuration = {key: value for key, value in metadata.configuration.items() if key.lower() not in folded}
    description = None if "comment" in folded else metadata.description
    return commit_definition(
        table, state, operation, replace(metadata, configuration=configuration, description=description)
    )


def add_constraint(table: LakeTable, check: Check, text: str, connection: Connection) -> WriteResult:
    """ADD CONSTRAINT … CHECK. Raises DELTA_CONSTRAINT_ALREADY_EXISTS, DELTA_NEW_CHECK_CONSTRAINT_VIOLATION."""
    state = table.newest()
    metadata = metadata_of(state, table)
    for name, old in constraints(metadata).items():
        if name.lower() == check.name.lower():
            raise AnalysisError("DELTA_CONSTRAINT_ALREADY_EXISTS", constraintName=check.name, oldConstraint=old)
    met = exp.Coalesce(this=check.condition.copy(), expressions=[exp.false()])
    broken = count(table, state, exp.Not(this=exp.paren(met)), connection)
    if broken:
        name = f"delta.`{table.path}`"
        raise AnalysisError(
            "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION", numRows=broken, tableName=name, checkConstraint=text
        )
    configuration = {**metadata.configuration, CONSTRAINT + check.name.lower(): text}
    operation = Operation("ADD CONSTRAINT", {"name": check.name, "expr": text})
    made = replace(metadata, configuration=configuration)
    return commit_definition(table, state, operation, made, reads_rows=True)


def drop_constraint(table: LakeTable, name: str, *, if_exists: bool) -> WriteResult:
    """DROP CONSTRAINT. Raises DELTA_CONSTRAINT_DOES_NOT_EXIST."""
    state = table.newest()
    metadata = metadata_of(state, table)
    found = [text for key, text in constraints(metadata).items() if key.lower() == name.lower()]
    if not found and not if_exists:
        raise AnalysisError(
            "DELTA_CONSTRAINT_DOES_NOT_EXIST",
            constraintName=name,
            tableName=f"delta.`{table.path}`",
            config="spark.databricks.delta.constraints.assumesDropIfExists.enabled",
            confValue="true",
        )
    gone = (CONSTRAINT + name).lower()
    configuration = {key: value for key, value in metadata.configuration.items() if key.lower() != gone}
    facts = {"name": name, **({"expr": found[0]} if found else {}), "existed": str(bool(found)).lower()}
    operation = Operation("DROP CONSTRAINT", facts)
    return commit_definition(table, state, operation, replace(metadata, configuration=configuration))


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def metadata_of(state: LogState, table: LakeTable) -> Metadata:
    """The definition. Raises DELTA_TABLE_NOT_FOUND."""
    if state.metadata is None:
        raise AnalysisError("DELTA_TABLE_NOT_FOUND", tableName=f"delta.`{table.path}`")
    return state.metadata


def _check_nulls(table: LakeTable, state: LogState, path: Path, connection: Connection) -> None:
    assert state.metadata is not None
    column = exp.column(row_column(place(state.metadata.schema, path[0], path)))
    rows = count(table, state, exp.Is(this=column, expression=exp.Null()), connection)
    if rows:
        name = f"delta.`{table.path}`"
        raise AnalysisError("DELTA_NEW_NOT_NULL_VIOLATION", numRows=rows, tableName=name, colName=".".join(path))


def count(table: LakeTable, state: LogState, condition: exp.Expr, connection: Connection) -> int:
    """How many rows of the table meet a DuckDB predicate over columns named `row_column(i)`."""
    assert state.metadata is not None
    rows = read_files(table.path, state.metadata, tuple(state.files.values()))
    names = [exp.to_identifier(row_column(index)) for index in range(len(state.metadata.schema.fields))]
    source = exp.Subquery(this=rows, alias=exp.TableAlias(this=exp.to_identifier("rows_"), columns=names))
    counted = exp.select(exp.Count(this=exp.Star())).from_(source).where(condition)
    row = connection.execute(sql_text(counted)).fetchone()
    return int(row[0]) if row else 0


def commit_definition(
    table: LakeTable,
    state: LogState,
    operation: Operation,
    metadata: Metadata,
    properties: Mapping[str, str] | None = None,
    *,
    reads_rows: bool = False,
) -> WriteResult:
    """Commit a new definition in the place of the one of `state`.

    `properties`: given ones that may ask for features without being kept; `reads_rows`: the change was checked on the
    rows. Raises Delta's conflict errors and, by their names, features that are not here.
    """
    assert state.protocol is not None
    metadata = assigned(metadata, state.metadata)
    protocol = raised(state.protocol, metadata.schema, {**metadata.configuration, **(properties or {})})
    check_writable(protocol, metadata, table.path)
    crash_point("lake.altered")
    live = tuple(state.files.values())
    read = whole(live) if reads_rows else NOTHING
    return table.commit(Draft(operation, state.version, reads=read, metadata=metadata, protocol=protocol))

"""Fields that are new inside structs: the columns that take them in.

Invariants: a struct only grows: its fields stay in their order and keep their types, new ones come last; a field whose
name differs in case only is not new. Arrays and maps grow by what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.io.formats import Format, formats
from headwater.io.formats.json_careful import records
from headwater.io.formats.scan import FILE, LINE, aliased, call, name, subquery, value_of
from headwater.io.storage import FileStatus
from headwater.sources.cloud_files.hints import with_hints
from headwater.sources.cloud_files.options import CloudOptions
from headwater.sources.cloud_files.schema import stored_columns


class Growth(NamedTuple):
    """A column that grows.

    Attributes:
        field: the column with the type it needs.
        names: the new fields' paths (`a.b`).
        path: a file they were met in.
    """

    field: StructField
    names: tuple[str, ...]
    path: str


def new_inside(
    connection: Connection, files: Sequence[FileStatus], schema: StructType, options: CloudOptions
) -> list[Growth]:
    """The columns of `schema` whose structs lack fields that `files` have."""
    nested = StructType([field for field in schema.fields if _holds_struct(field.dataType)])
    if not nested.fields or options.format == "csv":
        return []
    grown: dict[str, Growth] = {}
    for file, found in _columns(connection, files, nested, options):
        for field in nested.fields:
            match = next((one for one in found.fields if one.name == field.name), None)
            known = grown.get(field.name)
            now = known.field.dataType if known else field.dataType
            if match is None or not (names := tuple(_new(now, match.dataType, field.name))):
                continue
            wider = StructField(field.name, _grown(now, match.dataType), True, field.metadata)
            before = known.names if known else ()
            grown[field.name] = Growth(_hinted(wider, options), (*before, *names), known.path if known else file.path)
    return [grown[field.name] for field in nested.fields if field.name in grown]


def _hinted(wider: StructField, options: CloudOptions) -> StructField:
    """The column with the hinted types of its new fields; a hint of the whole column does not keep it from growing."""
    fields = with_hints(StructType([wider]), options.hints).fields
    hinted = next(field for field in fields if field.name == wider.name)
    return wider if any(_new(hinted.dataType, wider.dataType, "")) else hinted


def _columns(
    connection: Connection, files: Sequence[FileStatus], nested: StructType, options: CloudOptions
) -> Iterator[tuple[FileStatus, StructType]]:
    """The columns of the files that may have more than `nested`."""
    if options.format != "json":
        for file in files:
            yield file, stored_columns(connection, file, options)
        return
    by_path = {file.path: file for file in files}
    reader = type(options.reader)({**options.reader, "primitivesasstring": str(not options.infer_types).lower()})
    for path in _odd_files(connection, files, nested, options):
        yield by_path[path], cast(Format, formats.get("json")).infer(connection, [by_path[path]], reader)


def _odd_files(
    connection: Connection, files: Sequence[FileStatus], nested: StructType, options: CloudOptions
) -> list[str]:
    """The files with a record that has a key inside a struct that the struct has not, sorted."""
    structs = [step for field in nested.fields for step in _structs(field.dataType, f"$.{_quoted(field.name)}")]
    valid = exp.and_(call("starts_with", name(LINE), "{"), call("json_valid", name(LINE)))
    tests = [_odd(path, names) for path, names in structs]
    odd = exp.Case(ifs=[exp.If(this=valid, true=exp.or_(*tests))], default=exp.false())
    rows = exp.select(aliased(odd, "odd"), name(FILE)).from_(subquery(records(files, options.reader), "records"))
    query = exp.select(name(FILE)).distinct().from_(subquery(rows, "tested")).where(name("odd")).order_by(name(FILE))
    return [path for (path,) in connection.execute(sql_text(query)).fetchall()]


def _odd(path: str, known: Sequence[str]) -> exp.Expr:
    keys = call("json_keys", name(LINE), path)
    if path.endswith(("[*]", ".*")) or "[*]." in path or ".*." in path:
        keys = call("flatten", keys)
    lower = exp.Lambda(this=call("lower", exp.column("key")), expressions=[exp.to_identifier("key")])
    every = call("list_has_all", value_of([one.lower() for one in known]), call("list_transform", keys, lower))
    return exp.Not(this=call("coalesce", every, exp.true()))


def _structs(kind: DataType, path: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Where structs lie in a column's JSON, and the names of their fields."""
    if isinstance(kind, StructType):
        if path.isprintable():
            yield path, kind.names
        for field in kind.fields:
            yield from _structs(field.dataType, f"{path}.{_quoted(field.name)}")
    elif isinstance(kind, ArrayType):
        yield from _structs(kind.elementType, f"{path}[*]")
    elif isinstance(kind, MapType):
        yield from _structs(kind.valueType, f"{path}.*")


def _holds_struct(kind: DataType) -> bool:
    return next(_structs(kind, "$"), None) is not None


def _new(known: DataType, found: DataType, path: str) -> Iterator[str]:
    """The paths of the fields of `found` that `known` lacks."""
    if isinstance(known, StructType) and isinstance(found, StructType):
        fields = {field.name.lower(): field for field in known.fields}
        for field in found.fields:
            match = fields.get(field.name.lower())
            if match is None:
                yield f"{path}.{field.name}"
            elif match.name == field.name:
                yield from _new(match.dataType, field.dataType, f"{path}.{field.name}")
    elif isinstance(known, ArrayType) and isinstance(found, ArrayType):
        yield from _new(known.elementType, found.elementType, f"{path}.element")
    elif isinstance(known, MapType):
        values = _values(found)
        for value in values:
            yield from _new(known.valueType, value, f"{path}.value")


def _grown(known: DataType, found: DataType) -> DataType:
    """`known` with the fields of `found` that it lacks."""
    if isinstance(known, StructType) and isinstance(found, StructType):
        matches = {field.name: field for field in found.fields}
        names = {field.name.lower() for field in known.fields}
        kept = [
            StructField(field.name, _grown(field.dataType, matches[field.name].dataType), True, field.metadata)
            if field.name in matches
            else field
            for field in known.fields
        ]
        new = [StructField(one.name, one.dataType, True) for one in found.fields if one.name.lower() not in names]
        return StructType([*kept, *new])
    if isinstance(known, ArrayType) and isinstance(found, ArrayType):
        return ArrayType(_grown(known.elementType, found.elementType), known.containsNull)
    if isinstance(known, MapType):
        value = known.valueType
        for one in _values(found):
            value = _grown(value, one)
        return MapType(known.keyType, value, known.valueContainsNull)
    return known


def _values(found: DataType) -> Sequence[DataType]:
    """What a map holds: of JSON, where maps are inferred as structs, every field."""
    if isinstance(found, MapType):
        return [found.valueType]
    return [field.dataType for field in found.fields] if isinstance(found, StructType) else []


def _quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

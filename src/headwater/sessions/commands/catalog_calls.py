"""`spark.catalog`: each call of the protocol, with the result columns the Connect client reads by position.

Invariants: a call that Spark answers with nothing gives an empty table; each call is one function in `_CALLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import ArrayType, BooleanType, StringType, StructField, StructType

from headwater.catalog import CATALOG, GLOBAL_TEMP, Database, PathTable, Table, View, quoted
from headwater.catalog.catalog import not_found
from headwater.errors import AnalysisError, unsupported
from headwater.functions.base import Function, functions
from headwater.plan.commands import CacheTable, CatalogCall, CreateSchema, CreateTable, DropObject
from headwater.plan.identifiers import parse_name
from headwater.plan.relations import LocalData, ReadTable, Relation
from headwater.sessions import stored
from headwater.sessions.commands.base import command, run_command
from headwater.sessions.commands.showing import create_statement, partitions
from headwater.sessions.commands.tables import drop_schema
from headwater.sessions.leaves import rows, text_schema
from headwater.sessions.names import functions_named, matching, tables_in, usage
from headwater.sessions.saving import save

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_TEXT = StringType()
_TABLES = StructType(
    [
        StructField("name", _TEXT, False),
        StructField("catalog", _TEXT),
        StructField("namespace", ArrayType(_TEXT)),
        StructField("description", _TEXT),
        StructField("tableType", _TEXT, False),
        StructField("isTemporary", BooleanType(), False),
    ]
)
_FUNCTIONS = StructType([*_TABLES.fields[:4], StructField("className", _TEXT, False), _TABLES.fields[5]])
_DATABASES = text_schema("name", "catalog", "description", "locationUri", optional=("catalog", "description"))
_COLUMNS = StructType(
    [
        StructField("name", _TEXT, False),
        StructField("description", _TEXT),
        StructField("dataType", _TEXT, False),
        *(StructField(name, BooleanType(), False) for name in ("nullable", "isPartition", "isBucket", "isCluster")),
    ]
)
_NOTHING = StructType([])
_PATH = "[`system`.`builtin`, `system`.`session`, `spark_catalog`.`default`]"


@dataclass(frozen=True)
class Arguments:
    """A call's arguments by field name; those not given are None."""

    values: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.values.get(name)

    def name(self, field: str, database: str = "db_name") -> tuple[str, ...]:
        """A (multi-part) name, in the database of the deprecated argument if that is given."""
        parts = parse_name(self.values[field])
        given = self.values.get(database)
        return (*parse_name(given), *parts) if given else parts


Call = Callable[[Arguments, "Session"], "Relation | None"]
_CALLS: dict[str, Call] = {}


def _call(function: Call) -> Call:
    _CALLS[getattr(function, "__name__", "").lstrip("_")] = function
    return function


@command(CatalogCall)
def catalog_call(node: CatalogCall, session: Session) -> Relation:
    """Answer the call."""
    function = _CALLS.get(node.call)
    if function is None:
        raise unsupported(f"spark.catalog's {node.call}")
    result = function(Arguments(dict(node.arguments)), session)
    return rows(_NOTHING, []) if result is None else result


def _value(value: object) -> LocalData:
    kind = BooleanType() if isinstance(value, bool) else _TEXT
    return rows(StructType([StructField("value", kind, False)]), [(value,)])


# ── where we are ────────────────────────────────────────────────────────────────────────────────────────────


@_call
def _current_catalog(_: Arguments, session: Session) -> Relation:
    return _value(session.catalog.current_catalog)


@_call
def _set_current_catalog(given: Arguments, session: Session) -> None:
    session.catalog.check_catalog(given.catalog_name)


@_call
def _list_catalogs(given: Arguments, _: Session) -> Relation:
    names = matching([CATALOG], given.pattern, str)
    return rows(text_schema("name", "description", optional=("description",)), [(name, None) for name in names])


@_call
def _current_database(_: Arguments, session: Session) -> Relation:
    return _value(session.catalog.current_database)


@_call
def _set_current_database(given: Arguments, session: Session) -> None:
    session.catalog.use(given.name("db_name", ""))


# ── databases ───────────────────────────────────────────────────────────────────────────────────────────────


def _database_row(database: Database, session: Session) -> tuple[object, ...]:
    return (database.name, CATALOG, database.comment or "", session.runtime.mounts.uri(database.location))


@_call
def _list_databases(given: Arguments, session: Session) -> Relation:
    found = matching(session.catalog.metastore.databases(), given.pattern, lambda database: database.name)
    return rows(_DATABASES, [_database_row(database, session) for database in found])


@_call
def _get_database(given: Arguments, session: Session) -> Relation:
    return rows(_DATABASES, [_database_row(session.catalog.database(given.name("db_name", "")), session)])


@_call
def _database_exists(given: Arguments, session: Session) -> Relation:
    parts = given.name("db_name", "")
    known = len(parts) == 1 or parts[0].lower() == CATALOG
    return _value(known and session.catalog.metastore.database(parts[-1].lower()) is not None)


@_call
def _create_database(given: Arguments, session: Session) -> None:
    properties = tuple(dict(given.properties or {}).items())
    node = CreateSchema(given.name("db_name", ""), bool(given.if_not_exists), properties=properties)
    run_command(node, session)


@_call
def _drop_database(given: Arguments, session: Session) -> None:
    drop_schema(given.name("db_name", ""), session, if_exists=bool(given.if_exists), cascade=bool(given.cascade))


# ── tables and views ────────────────────────────────────────────────────────────────────────────────────────


def _table_row(item: Table | View) -> tuple[object, ...]:
    if isinstance(item, View):
        return (item.name, None, [GLOBAL_TEMP] if item.is_global else [], None, "TEMPORARY", True)
    return (item.name, CATALOG, [item.database], item.comment, item.kind, False)


def _database_of(given: Arguments) -> tuple[str, ...]:
    return parse_name(given.db_name) if given.db_name else ()


@_call
def _list_tables(given: Arguments, session: Session) -> Relation:
    return rows(_TABLES, map(_table_row, tables_in(_database_of(given), given.pattern, session)))


@_call
def _list_views(given: Arguments, session: Session) -> Relation:
    found = tables_in(_database_of(given), given.pattern, session)
    return rows(_TABLES, [_table_row(item) for item in found if isinstance(item, View) or item.is_view])


@_call
def _get_table(given: Arguments, session: Session) -> Relation:
    parts = given.name("table_name")
    found = session.catalog.get(parts)
    if isinstance(found, PathTable):
        raise not_found(parts)
    return rows(_TABLES, [_table_row(found)])


@_call
def _table_exists(given: Arguments, session: Session) -> Relation:
    found = session.catalog.find(given.name("table_name"))
    return _value(found is not None and not isinstance(found, PathTable))


@_call
def _list_columns(given: Arguments, session: Session) -> Relation:
    parts = given.name("table_name")
    found = session.catalog.get(parts)
    is_table = isinstance(found, Table) and not found.is_view
    by = {name.lower() for name in stored.partitions_of(found, session)} if is_table else set()  # type: ignore[arg-type]
    fields = session.resolve(ReadTable(parts)).schema.fields
    lines = [
        (
            f.name,
            (f.metadata or {}).get("comment"),
            f.dataType.simpleString(),
            f.nullable,
            f.name.lower() in by,
            False,
            False,
        )
        for f in fields
    ]
    return rows(_COLUMNS, lines)


@_call
def _create_table(given: Arguments, session: Session) -> Relation:
    parts = given.name("table_name", "")
    options = tuple(dict(given.options or {}).items())
    node = CreateTable(
        parts, given.schema, given.source, location=given.path, options=options, comment=given.description or None
    )
    run_command(node, session)
    return ReadTable(parts)


@_call
def _create_external_table(given: Arguments, session: Session) -> Relation | None:
    return _create_table(given, session)


@_call
def _drop_table(given: Arguments, session: Session) -> None:
    run_command(DropObject("table", given.name("table_name", ""), bool(given.if_exists)), session)


@_call
def _drop_view(given: Arguments, session: Session) -> None:
    run_command(DropObject("view", given.name("view_name", ""), bool(given.if_exists)), session)


@_call
def _drop_temp_view(given: Arguments, session: Session) -> Relation:
    return _value(session.catalog.drop_view(given.view_name))


@_call
def _drop_global_temp_view(given: Arguments, session: Session) -> Relation:
    return _value(session.catalog.drop_view(given.view_name, is_global=True))


@_call
def _get_table_properties(given: Arguments, session: Session) -> Relation:
    properties = stored.properties_of(stored.existing(given.name("table_name"), session), session)
    return rows(text_schema("key", "value"), sorted(properties.items()))


@_call
def _get_create_table_string(given: Arguments, session: Session) -> Relation:
    table = session.catalog.stored(given.name("table_name"))
    if table is None:
        raise not_found(given.name("table_name"))
    return rows(text_schema("createtab_stmt"), [(create_statement(table, session),)])


@_call
def _list_partitions(given: Arguments, session: Session) -> Relation:
    found = partitions(stored.existing(given.name("table_name"), session), session)
    return rows(text_schema("partition"), [(name,) for name in found])


@_call
def _truncate_table(given: Arguments, session: Session) -> None:
    table = stored.existing(given.name("table_name"), session)
    target = stored.target_of(table, session, overwrite=True)
    save(rows(stored.schema_of(table, session), []), target, session)


@_call
def _analyze_table(given: Arguments, session: Session) -> None:
    stored.existing(given.name("table_name"), session)


@_call
def _recover_partitions(given: Arguments, session: Session) -> None:
    partitions(stored.existing(given.name("table_name"), session), session)


# ── caching: accepted, no effect ────────────────────────────────────────────────────────────────────────────


@_call
def _is_cached(given: Arguments, session: Session) -> Relation:
    session.catalog.get(given.name("table_name"))
    return _value(False)


@_call
def _cache_table(given: Arguments, session: Session) -> None:
    run_command(CacheTable("cache", given.name("table_name")), session)


@_call
def _uncache_table(given: Arguments, session: Session) -> None:
    run_command(CacheTable("uncache", given.name("table_name")), session)


@_call
def _refresh_table(given: Arguments, session: Session) -> None:
    run_command(CacheTable("refresh", given.name("table_name")), session)


@_call
def _clear_cache(_: Arguments, __: Session) -> None:
    return None


@_call
def _refresh_by_path(_: Arguments, __: Session) -> None:
    return None


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────


def _function_row(name: str, function: Function) -> tuple[object, ...]:
    return (name, None, None, usage(name, function), f"{function.build.__module__}.{function.build.__name__}", True)


@_call
def _list_functions(given: Arguments, session: Session) -> Relation:
    if given.db_name:
        session.catalog.database(_database_of(given))
    return rows(_FUNCTIONS, [_function_row(*item) for item in functions_named(given.pattern)])


@_call
def _get_function(given: Arguments, _: Session) -> Relation:
    parts = given.name("function_name")
    found = functions.get(parts[-1])
    if found is None:
        raise AnalysisError("UNRESOLVED_ROUTINE", routineName=quoted(parts), searchPath=_PATH)
    return rows(_FUNCTIONS, [_function_row(parts[-1], found)])


@_call
def _function_exists(given: Arguments, _: Session) -> Relation:
    return _value(functions.get(given.name("function_name")[-1]) is not None)

"""CREATE SCHEMA, TABLE and VIEW.

Invariants: a stored view keeps its query's text as written; columns are Spark DDL, read by `types.ddl`; clauses may
come in any order, each once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql.types import StructField, StructType

from headwater.errors import ParseError, unsupported
from headwater.plan.commands import CloneTable, Command, CreateSchema, CreateTable, CreateView, Options
from headwater.plan.relations import ReadSource
from headwater.sql.columns import column
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement
from headwater.sql.statements.clone import clone
from headwater.types.ddl import parse_schema

_COLUMN_EXTRAS = ("DEFAULT", "GENERATED", "CHECK", "PRIMARY KEY", "FOREIGN KEY", "CONSTRAINT", "UNIQUE")


@statement("CREATE")
def create(reader: Reader) -> Command:
    """CREATE [OR REPLACE] [GLOBAL] [TEMPORARY] [EXTERNAL] SCHEMA | TABLE | VIEW …"""
    replaces = reader.accept("OR", "REPLACE")
    is_global = reader.accept("GLOBAL")
    temporary = bool(reader.accept_any("TEMP", "TEMPORARY"))
    reader.accept("EXTERNAL")
    word = reader.accept_any("VIEW", "TABLE", "SCHEMA", "DATABASE", "NAMESPACE")
    if word == "VIEW":
        return _view(reader, "global" if is_global else "temporary" if temporary else "stored", replaces)
    if not word or is_global or temporary:
        raise unsupported(f"CREATE {'TEMPORARY ' if temporary else ''}{word or reader.peek()}")
    return _table(reader, replaces) if word == "TABLE" else _schema(reader)


# ── schema ──────────────────────────────────────────────────────────────────────────────────────────────────


def _schema(reader: Reader) -> Command:
    if_not_exists = reader.exists(negated=True)
    schema = CreateSchema(reader.names(), if_not_exists)
    while not reader.done():
        if reader.accept("COMMENT"):
            schema = replace(schema, comment=reader.string())
        elif reader.accept("LOCATION") or reader.accept("MANAGED", "LOCATION"):
            schema = replace(schema, location=reader.string())
        elif reader.accept("WITH", "DBPROPERTIES") or reader.accept("WITH", "PROPERTIES"):
            schema = replace(schema, properties=reader.properties())
        else:
            reader.fail()
    return schema


# ── view ────────────────────────────────────────────────────────────────────────────────────────────────────


def _view(reader: Reader, scope: Any, replaces: bool) -> Command:
    if_not_exists = reader.exists(negated=True)
    name = reader.names()
    if reader.peek() == "USING" or (scope != "stored" and _using_follows_columns(reader)):
        return _view_of_source(reader, name, scope, replaces)
    columns = _view_columns(reader) if reader.peek() == "(" else ()
    comment = None
    while not reader.accept("AS"):
        if reader.accept("COMMENT"):
            comment = reader.string()
        elif reader.accept("TBLPROPERTIES"):
            reader.properties()
        elif reader.peek() in ("SCHEMA", "DEFAULT"):
            raise unsupported(f"CREATE VIEW … {reader.peek()}")
        else:
            reader.fail()
    text = reader.text[reader.position() :].rstrip().rstrip(";").rstrip()
    query = reader.query()
    return CreateView(query, name, scope, replaces, if_not_exists, text, columns, comment)


def _view_columns(reader: Reader) -> tuple[str, ...]:
    def column() -> str:
        name = reader.name()
        if reader.accept("COMMENT"):
            reader.string()
        return name

    return reader.listed(column)


def _using_follows_columns(reader: Reader) -> bool:
    if reader.peek() != "(":
        return False
    depth, ahead = 0, 0
    while reader.ahead(ahead):
        depth += {"(": 1, ")": -1}.get(reader.peek(ahead), 0)
        ahead += 1
        if depth == 0:
            return reader.peek(ahead) == "USING"
    return False


def _view_of_source(reader: Reader, name: tuple[str, ...], scope: Any, replaces: bool) -> Command:
    if scope == "stored":
        reader.fail()
    schema = parse_schema(reader.enclosed()) if reader.peek() == "(" else None
    reader.expect("USING")
    provider = ".".join(reader.names())
    options = reader.properties() if reader.accept("OPTIONS") else ()
    paths = tuple(value for key, value in options if key.lower() == "path")
    others = tuple((key, value) for key, value in options if key.lower() != "path")
    return CreateView(ReadSource(provider, schema, others, paths), name, scope, replaces)


# ── table ───────────────────────────────────────────────────────────────────────────────────────────────────


@statement("REPLACE")
def replace_table(reader: Reader) -> Command:
    """REPLACE TABLE …: as CREATE OR REPLACE TABLE, of a table that is there."""
    reader.expect("TABLE")
    made = _table(reader, True)
    if not isinstance(made, CreateTable):
        raise unsupported("REPLACE TABLE … CLONE", "Use CREATE OR REPLACE TABLE … SHALLOW CLONE.")
    return replace(made, must_exist=True)


@dataclass(frozen=True)
class _Clauses:
    provider: str | None = None
    partition_by: tuple[str, ...] = ()
    partition_columns: StructType | None = None
    cluster_by: tuple[str, ...] = ()
    location: str | None = None
    options: Options = ()
    properties: Options = ()
    comment: str | None = None


def _table(reader: Reader, replaces: bool) -> Command:
    if_not_exists = reader.exists(negated=True)
    name = reader.names()
    if reader.peek() in ("CLONE", "SHALLOW", "DEEP"):
        return clone(reader, CloneTable(name, (), replace=replaces, if_not_exists=if_not_exists))
    like = reader.names() if reader.accept("LIKE") else ()
    schema = _columns(reader) if reader.peek() == "(" and not _is_parenthesized_query(reader) else None
    clauses = _Clauses()
    while not reader.done() and reader.peek() != "AS" and not reader.at_query():
        clauses = _clause(reader, clauses)
    reader.accept("AS")
    query = None if reader.done() else reader.query()
    if clauses.partition_columns is not None:
        schema = StructType([*(schema.fields if schema else ()), *clauses.partition_columns.fields])
    return CreateTable(
        name,
        schema,
        clauses.provider,
        query,
        clauses.location,
        clauses.partition_by,
        clauses.options,
        clauses.properties,
        clauses.comment,
        replaces,
        if_not_exists,
        clauses.cluster_by,
        like=like,
    )


def _is_parenthesized_query(reader: Reader) -> bool:
    return reader.peek(1) in ("SELECT", "WITH", "VALUES", "(")


def _columns(reader: Reader) -> StructType:
    ahead, depth, start = 0, 0, True
    while reader.ahead(ahead):
        word = reader.peek(ahead)
        depth += {"(": 1, ")": -1, "<": 1, ">": -1}.get(word, 0)
        if depth == 0:
            break
        if depth == 1 and word in _COLUMN_EXTRAS and (not start or word.endswith(" KEY")):
            return StructType(list(reader.listed(lambda: _column(reader))))
        start = word in ("(", ",")
        ahead += 1
    return parse_schema(reader.enclosed())


def _column(reader: Reader) -> StructField:
    if reader.peek() in ("CONSTRAINT", "PRIMARY KEY", "FOREIGN KEY") or reader.peek(1) == "(":
        raise unsupported(f"{reader.peek()} in a table definition", "Use ALTER TABLE … ADD CONSTRAINT … CHECK.")
    return column(reader)[1]


def _clause(reader: Reader, found: _Clauses) -> _Clauses:
    if reader.accept("USING") or reader.accept("STORED", "AS"):
        return replace(found, provider=".".join(reader.names()).lower())
    if reader.accept("PARTITIONED BY"):
        return _partitioned(reader, found)
    if reader.accept("CLUSTER BY"):
        if reader.accept("AUTO"):
            raise unsupported("CLUSTER BY AUTO", "Name the columns.")
        return found if reader.accept("NONE") else replace(found, cluster_by=reader.listed(reader.quoted_names))
    if reader.accept("LOCATION"):
        return replace(found, location=reader.string())
    if reader.accept("OPTIONS"):
        return replace(found, options=reader.properties())
    if reader.accept("TBLPROPERTIES"):
        return replace(found, properties=reader.properties())
    if reader.accept("COMMENT"):
        return replace(found, comment=reader.string())
    if reader.peek() in ("CLUSTERED", "ROW", "SKEWED", "STORED", "DEFAULT", "WITH"):
        raise unsupported(f"CREATE TABLE … {reader.peek()}")
    return reader.fail()


def _partitioned(reader: Reader, found: _Clauses) -> _Clauses:
    text = reader.enclosed()
    names = [part.strip() for part in text.split(",")]
    if any("(" in name and " " not in name for name in names):
        raise unsupported("partition transforms", "Add a column and partition by it.")
    if all(len(name.split()) == 1 for name in names):
        return replace(found, partition_by=tuple(name.strip("`") for name in names))
    try:
        columns = parse_schema(text)
    except ParseError:
        raise unsupported("partition transforms", "Add a column and partition by it.") from None
    return replace(found, partition_by=tuple(columns.names), partition_columns=columns)

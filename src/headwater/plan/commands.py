"""Commands in Spark's terms: what changes something (a table, a view, a setting, a stream).

Built by `connect.decode` (protocol commands) and `sql` (statements); executed by `sessions.commands`.

Invariants: as for relations; a command's result, where it has one, is a relation or an Arrow table.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal as OneOf

from pyspark.sql.types import StructType

from headwater.plan.expressions import Expression
from headwater.plan.node import Node, node
from headwater.plan.relations import Relation

Options = tuple[tuple[str, str], ...]
SaveMode = OneOf["append", "overwrite", "errorifexists", "ignore"]


@node
class Command(Node):
    """Base of all commands."""


@node
class Write(Command):
    """`df.write…save(path)`, `saveAsTable`, `insertInto`: exactly one of `path` and `table` (or neither: noop)."""

    input: Relation
    format: str | None
    mode: SaveMode
    path: str | None = None
    table: tuple[str, ...] = ()
    insert: bool = False
    """True for `insertInto` (columns by position)."""
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    options: Options = ()


@node
class WriteTo(Command):
    """`df.writeTo(table).create()/append()/…`."""

    input: Relation
    table: tuple[str, ...]
    mode: OneOf["create", "overwrite", "overwrite_partitions", "append", "replace", "create_or_replace"]
    provider: str | None = None
    partition_by: tuple[Expression, ...] = ()
    cluster_by: tuple[str, ...] = ()
    options: Options = ()
    properties: Options = ()
    condition: Expression | None = None


@node
class CreateView(Command):
    """`createOrReplaceTempView` and SQL's CREATE VIEW; `text` is the SQL of a stored view."""

    input: Relation
    name: tuple[str, ...]
    scope: OneOf["temporary", "global", "stored"]
    replace: bool = False
    if_not_exists: bool = False
    text: str | None = None
    columns: tuple[str, ...] = ()
    comment: str | None = None


@node
class CreateTable(Command):
    """CREATE [OR REPLACE] TABLE [IF NOT EXISTS] … [AS query]."""

    name: tuple[str, ...]
    schema: StructType | None
    provider: str | None = None
    query: Relation | None = None
    location: str | None = None
    partition_by: tuple[str, ...] = ()
    options: Options = ()
    properties: Options = ()
    comment: str | None = None
    replace: bool = False
    if_not_exists: bool = False
    cluster_by: tuple[str, ...] = ()
    must_exist: bool = False
    """REPLACE TABLE: with `replace`, there must be one."""
    like: tuple[str, ...] = ()
    """The table whose columns and partitioning it takes."""


@node
class Insert(Command):
    """INSERT INTO | OVERWRITE table [PARTITION (…)] [(columns) | BY NAME] [REPLACE WHERE | USING | ON …] query.

    `partition`: partition columns with their values; None for one that the query gives. `alias`: how `replace_on` names
    the table. `evolve`: the query may bring new columns.
    """

    table: tuple[str, ...]
    query: Relation
    columns: tuple[str, ...] = ()
    overwrite: bool = False
    by_name: bool = False
    partition: tuple[tuple[str, Expression | None], ...] = ()
    replace_where: Expression | None = None
    replace_using: tuple[str, ...] = ()
    replace_on: Expression | None = None
    alias: str | None = None
    evolve: bool = False


@node
class MergeClause(Expression):
    """`WHEN [NOT] MATCHED [BY SOURCE] [AND condition] THEN kind`; the protocol counts it among expressions.

    `star` is `UPDATE SET *` and `INSERT *`, `except_` what it leaves out; else `values` go to the target's `columns`.
    """

    when: OneOf["matched", "not_matched", "not_matched_by_source"]
    kind: OneOf["update", "delete", "insert"]
    condition: Expression | None = None
    columns: tuple[Expression, ...] = ()
    values: tuple[Expression, ...] = ()
    star: bool = False
    except_: tuple[str, ...] = ()


@node
class Merge(Command):
    """MERGE INTO table [AS alias] USING source ON condition WHEN …; `evolve`: the source may bring new columns."""

    table: tuple[str, ...]
    source: Relation
    on: Expression
    clauses: tuple[MergeClause, ...]
    alias: str | None = None
    evolve: bool = False


@node
class Update(Command):
    """UPDATE table [AS alias] SET columns = values [WHERE condition]."""

    table: tuple[str, ...]
    columns: tuple[Expression, ...]
    values: tuple[Expression, ...]
    condition: Expression | None = None
    alias: str | None = None


@node
class Delete(Command):
    """DELETE FROM table [AS alias] [WHERE condition]."""

    table: tuple[str, ...]
    condition: Expression | None = None
    alias: str | None = None


@node
class Optimize(Command):
    """OPTIMIZE table [FULL] [WHERE condition] [ZORDER BY (columns)]; result: `path`, `metrics`.

    `purge`: REORG TABLE … APPLY (PURGE) instead.
    """

    table: tuple[str, ...]
    condition: Expression | None = None
    zorder_by: tuple[str, ...] = ()
    full: bool = False
    purge: bool = False


@node
class Vacuum(Command):
    """VACUUM table [FULL | LITE] [RETAIN n HOURS] [DRY RUN]; result: `path`."""

    table: tuple[str, ...]
    retain_hours: float | None = None
    dry_run: bool = False
    lite: bool = False


@node
class Restore(Command):
    """RESTORE [TABLE] table TO VERSION | TIMESTAMP AS OF …; result: six metrics. One of the two is given."""

    table: tuple[str, ...]
    version: int | None = None
    timestamp: str | None = None


@node
class CloneTable(Command):
    """CREATE [OR REPLACE] TABLE [IF NOT EXISTS] table SHALLOW | DEEP CLONE source [VERSION | TIMESTAMP AS OF …]."""

    table: tuple[str, ...]
    source: tuple[str, ...]
    shallow: bool = True
    replace: bool = False
    if_not_exists: bool = False
    version: int | None = None
    timestamp: str | None = None
    location: str | None = None
    properties: Options = ()


@node
class ConvertToDelta(Command):
    """CONVERT TO DELTA parquet.`path` [NO STATISTICS] [PARTITIONED BY (columns)]."""

    table: tuple[str, ...]
    partition_schema: StructType | None = None
    statistics: bool = True


@node
class AlterTable(Command):
    """ALTER TABLE table: one change by its kind, with its arguments by name (see `sql.statements.alter`)."""

    table: tuple[str, ...]
    change: str
    arguments: tuple[tuple[str, object], ...] = ()


@node
class CommentOn(Command):
    """COMMENT ON TABLE | SCHEMA name IS text; None takes the comment away."""

    kind: OneOf["table", "schema"]
    name: tuple[str, ...]
    comment: str | None


@node
class DropObject(Command):
    """DROP TABLE | VIEW | SCHEMA."""

    kind: OneOf["table", "view", "schema"]
    name: tuple[str, ...]
    if_exists: bool = False
    cascade: bool = False


@node
class CreateSchema(Command):
    """CREATE SCHEMA | DATABASE [IF NOT EXISTS] name [COMMENT …] [LOCATION …]."""

    name: tuple[str, ...]
    if_not_exists: bool = False
    comment: str | None = None
    location: str | None = None
    properties: Options = ()


@node
class Use(Command):
    """USE [CATALOG | SCHEMA] name."""

    name: tuple[str, ...]
    kind: OneOf["catalog", "schema"] = "schema"


@node
class SetConf(Command):
    """SET key = value; SET key (value None); SET (key None) lists all."""

    key: str | None = None
    value: str | None = None


@node
class ResetConf(Command):
    """RESET [key]."""

    key: str | None = None


@node
class Show(Command):
    """SHOW TABLES | SCHEMAS | COLUMNS | TBLPROPERTIES | VIEWS | FUNCTIONS | CATALOGS …; result is a table."""

    kind: str
    name: tuple[str, ...] = ()
    pattern: str | None = None
    partition: Options = ()
    """Partition columns with the values asked for, as text."""


@node
class Describe(Command):
    """DESCRIBE [EXTENDED] table [PARTITION (…) | column] | query | function | schema | HISTORY | DETAIL."""

    kind: OneOf["table", "query", "function", "schema", "history", "detail"]
    name: tuple[str, ...] = ()
    query: Relation | None = None
    extended: bool = False
    limit: int | None = None
    """Of a history: how many of the newest commits."""
    partition: Options = ()
    column: str | None = None
    """The one column of a table that is described."""


@node
class Explain(Command):
    """EXPLAIN [EXTENDED | FORMATTED | …] query."""

    input: Node
    mode: str = "simple"


@node
class CacheTable(Command):
    """CACHE / UNCACHE / REFRESH TABLE, CLEAR CACHE: accepted, no effect."""

    kind: OneOf["cache", "uncache", "clear", "refresh"]
    name: tuple[str, ...] = ()


@node
class CatalogCall(Command):
    """One call of `spark.catalog` by its protocol name, with its arguments by field name."""

    call: str
    arguments: tuple[tuple[str, object], ...] = ()


@node
class Trigger(Node):
    """When micro-batches run. `interval_ms` for `processing_time` and `continuous`."""

    kind: OneOf["default", "processing_time", "once", "available_now", "continuous", "real_time"] = "default"
    interval_ms: int = 0


@node
class PythonFunction(Node):
    """A pickled Python function of the client (foreach, foreachBatch)."""

    command: bytes = field(repr=False)
    python_version: str = ""
    eval_type: int = 0


@node
class StartStream(Command):
    """`df.writeStream…start()` / `toTable()`."""

    input: Relation
    format: str
    options: Options = ()
    output_mode: OneOf["append", "update", "complete"] = "append"
    trigger: Trigger = Trigger()
    query_name: str | None = None
    path: str | None = None
    table: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    foreach: PythonFunction | None = None
    foreach_batch: PythonFunction | None = None

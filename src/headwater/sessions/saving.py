"""Saving a plan's rows to a path or a table's folder, whatever the format.

Invariants: the plan is resolved before anything is touched; a stream cannot be saved; Delta goes through
`lake.LakeTable`, other formats through `session.files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructType

from headwater.compile import compile_expression
from headwater.compile.resolved import Attribute, Resolved
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.io.formats import FormatOptions
from headwater.io.python_data_source import CHUNK_ROWS, options_of
from headwater.lake import handles
from headwater.lake.auto_compact import compact, rule_of
from headwater.lake.file_sizes import of_write
from headwater.lake.transaction import Operation, WriteResult
from headwater.lake.zorder import column_path
from headwater.plan.commands import Write
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation
from headwater.sessions import once
from headwater.sessions.files import FileSave, FileTarget, check_writable, named
from headwater.sessions.inputs import reads_table
from headwater.sinks.python_data_source import Task, write_batch
from headwater.sql import parse_expression

if TYPE_CHECKING:
    from headwater.sessions.session import Session

DELTA = "delta"
AUTO_MERGE = "spark.databricks.delta.schema.autoMerge.enabled"
"""The setting that lets what is written bring new columns."""


@dataclass(frozen=True)
class Target:
    """Where rows go.

    Attributes:
        folder: absolute local path.
        cluster_by: clustering columns of a Delta table that is made; must agree with one that is there.
        overwrite: take the place of what is there, instead of adding to it.
        overwrite_schema: with `overwrite`, take the rows' schema whatever it was.
        properties: of a new table.
        dynamic: an overwrite replaces only the partitions that get rows.
        operation: how a Delta table's history names the write.
        condition: an overwrite replaces only the rows that meet it, and brings no others.
        counters: transaction counters of a Delta table that the write sets besides.
    """

    format: str
    folder: str
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = field(default=(), kw_only=True)
    options: FormatOptions = field(default_factory=FormatOptions)
    overwrite: bool = False
    overwrite_schema: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    dynamic: bool = False
    operation: Operation | None = None
    condition: Expression | None = None
    counters: tuple[tuple[str, int], ...] = ()


def save(plan: Relation, target: Target, session: Session) -> None:
    """Write the plan's rows. Raises Spark's errors; nothing is visible then."""
    if target.format == DELTA:
        save_delta(plan, target, session)
        return
    resolved = resolve_batch(plan, session)
    if target.format == "noop":
        for _ in session.execute(plan).batches():
            pass
    else:
        _save_files(resolved, target, session)


def save_to_data_source(node: Write, session: Session) -> None:
    """Write the rows to a Python data source. Raises UNSUPPORTED_DATA_SOURCE_SAVE_MODE, what the user's code raises."""
    registered = session.data_sources.get(node.format or "")
    assert registered is not None
    if node.mode not in ("append", "overwrite"):
        mode = {"ignore": "Ignore", "errorifexists": "ErrorIfExists"}[node.mode]
        raise AnalysisError("UNSUPPORTED_DATA_SOURCE_SAVE_MODE", source=node.format, createMode=mode)
    resolve_batch(node.input, session)
    execution = session.execute(node.input)
    task = Task(execution.batches(CHUNK_ROWS), execution.schema)
    options = options_of(dict(node.options), (node.path,) if node.path else ())
    write_batch(registered, options, node.mode == "overwrite", task)


def resolve_batch(plan: Relation, session: Session) -> Resolved:
    """The resolved plan. Raises CALL_ON_STREAMING_DATASET_UNSUPPORTED for a stream."""
    resolved = session.resolve(plan)
    if resolved.streaming:
        raise AnalysisError("CALL_ON_STREAMING_DATASET_UNSUPPORTED", methodName="`write`")
    return resolved


def is_dynamic(options: FormatOptions, session: Session) -> bool:
    """Whether an overwrite replaces only the partitions that get rows."""
    mode = options.text("partitionOverwriteMode") or session.settings.lookup("spark.sql.sources.partitionOverwriteMode")
    return (mode or "static").lower() == "dynamic"


def check_format(name: str) -> str:
    """The format in lower case, if rows can be saved in it. Raises DATA_SOURCE_NOT_FOUND."""
    folded = name.lower()
    if folded not in {DELTA, "noop"}:
        check_writable(folded)
    return folded


def _save_files(resolved: Resolved, target: Target, session: Session) -> None:
    dynamic = target.dynamic or is_dynamic(target.options, session)
    files = FileTarget(target.folder, target.format, target.options, target.partition_by, target.overwrite, dynamic)
    job = FileSave(files, resolved, session.runtime.storage)
    job.prepare()
    try:
        session.statement(job.copy, resolved)
        job.publish()
    except BaseException:
        job.discard()
        raise


def save_delta(plan: Relation, target: Target, session: Session) -> WriteResult:
    """Write a plan's rows to a Delta table; what was committed."""
    lake = handles.shared(target.folder, session.runtime.storage, session.runtime.clock)
    seen = lake.version
    resolved = resolve_batch(plan, session)
    arguments = _delta_arguments(target, session)
    if seen >= 0 and reads_table(plan, target.folder, session):
        # It reads this version or a later one; what others commit after it may have been missed.
        arguments["reads_since"] = seen
    properties = lake.metadata.configuration if lake.version >= 0 else target.properties
    arguments["sizes"] = of_write(target.options, session.settings.lookup, properties)
    condition = target.condition
    if condition is None and "replacewhere" in target.options:
        condition = parse_expression(target.options["replacewhere"])
    if target.overwrite and lake.version >= 0 and condition is not None:
        where = _condition(condition, lake.schema, session)
        arguments |= {"replace_where": where.sql, "predicate": where.name, "dynamic_partitions": False}
    write = lake.overwrite if target.overwrite else lake.append
    with session.connection(resolved) as connection:
        result = write(connection, named(resolved), nullable(resolved.schema), **arguments)
        once.forget(arguments["txn"], session)
        rule = rule_of(session.settings.lookup, lake.metadata.configuration)
        if rule is not None:
            compact(lake, connection, rule)
    return result


def nullable(schema: StructType) -> StructType:
    """The schema with every column nullable, as Spark stores what a query gives."""
    from headwater.lake.schema import as_nullable

    return as_nullable(schema)


def _condition(condition: Expression, schema: StructType, session: Session) -> Typed:
    """`replaceWhere` as a DuckDB predicate over a table's columns. Raises Spark's errors for unknown names."""
    attributes = tuple(Attribute(field.name, field.dataType, field.nullable, field.name) for field in schema.fields)
    return compile_expression(condition, attributes, session)


def _delta_arguments(target: Target, session: Session) -> dict[str, Any]:
    options = target.options
    arguments: dict[str, Any] = {
        "merge_schema": options.flag("mergeSchema", session.settings.flag(AUTO_MERGE)),
        "partition_by": target.partition_by,
        "cluster_by": tuple(map(column_path, target.cluster_by)),
        "counters": target.counters,
    }
    if target.properties:
        arguments["properties"] = target.properties
    if target.operation is not None:
        arguments["operation"] = target.operation
    if target.overwrite:
        arguments["overwrite_schema"] = target.overwrite_schema or options.flag("overwriteSchema")
        arguments["dynamic_partitions"] = target.dynamic or is_dynamic(options, session)
    given = "txnappid" in options and "txnversion" in options
    arguments["txn"] = (options["txnappid"], int(options["txnversion"])) if given else once.asked(session)
    if "usermetadata" in options:
        arguments["user_metadata"] = options["usermetadata"]
    return arguments

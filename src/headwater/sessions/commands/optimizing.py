"""OPTIMIZE of Delta tables, and its result in Delta's columns.

Invariant: the condition names partition columns only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import BooleanType, DataType, DoubleType, LongType, StringType, StructField, StructType
from sqlglot import exp

from headwater.compile import Attribute, compile_expression
from headwater.errors import AnalysisError
from headwater.lake import optimize as lake
from headwater.lake.actions import AddFile
from headwater.lake.file_sizes import of_optimize
from headwater.lake.table import LakeTable
from headwater.lake.zorder import column_path
from headwater.plan.commands import Optimize
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation
from headwater.sessions import stored
from headwater.sessions.commands.base import command
from headwater.sessions.leaves import rows
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_CHECK_STATS = "spark.databricks.delta.optimize.zorder.checkStatsCollection.enabled"


@command(Optimize)
def optimize(node: Optimize, session: Session) -> Relation:
    """One row: the table's path and what was done."""
    found = stored.existing(node.table, session)
    if found.provider != DELTA:
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=stored.display_name(found), operation="OPTIMIZE")
    table = stored.lake_of(found, session)
    where = _where(node.condition, table, session) if node.condition is not None else _Where()
    asked = lake.Optimize(
        where.sql,
        where.text,
        tuple(column_path(name) for name in node.zorder_by),
        node.full,
        limits=of_optimize(session.settings.lookup, table.metadata.configuration),
        purge=node.purge,
        check_stats=(session.settings.lookup(_CHECK_STATS) or "true").lower() == "true",
    )
    with session.connection() as connection:
        report = lake.optimize(table, connection, asked)
    return rows(_RESULT, [(stored.uri(found, session), _metrics(report))])


@dataclass(frozen=True)
class _Where:
    sql: exp.Expr | None = None
    text: str | None = None


def _where(condition: Expression, table: LakeTable, session: Session) -> _Where:
    """The condition over partition columns. Raises DELTA_NON_PARTITION_COLUMN_REFERENCE.

    A clustered table has none, so there any condition is left to the table to refuse.
    """
    attributes = tuple(Attribute(f.name, f.dataType, f.nullable, f.name) for f in table.schema.fields)
    typed = compile_expression(condition, attributes, session)
    partitions = {name.lower() for name in table.partition_by}
    others = [column.name for column in typed.sql.find_all(exp.Column) if column.name.lower() not in partitions]
    if others and not table.newest().domains.get("delta.clustering"):
        listed = "[" + ", ".join(table.partition_by) + "]"
        raise AnalysisError("DELTA_NON_PARTITION_COLUMN_REFERENCE", columnName=others[0], columnList=listed)
    return _Where(typed.sql, typed.name)


# ── the result ──────────────────────────────────────────────────────────────────────────────────────────────


def _struct(*fields: tuple[str, DataType, bool]) -> StructType:
    return StructType([StructField(*field) for field in fields])


def _longs(*names: str, nullable: bool = False) -> list[tuple[str, DataType, bool]]:
    return [(name, LongType(), nullable) for name in names]


_SIZES = _struct(
    *_longs("min", "max", nullable=True), ("avg", DoubleType(), False), *_longs("totalFiles", "totalSize")
)  # fmt: skip
_NUM, _NUM_FILES = _struct(*_longs("num", "size")), _struct(*_longs("numFiles", "size"))
_ZORDER = _struct(
    ("strategyName", StringType(), True),
    ("inputCubeFiles", _NUM, True),
    ("inputOtherFiles", _NUM, True),
    *_longs("inputNumCubes"),
    ("mergedFiles", _NUM, True),
    *_longs("numOutputCubes"),
    *_longs("mergedNumCubes", nullable=True),
)
_CLUSTERING = _struct(
    ("inputZCubeFiles", _NUM_FILES, True),
    ("inputOtherFiles", _NUM_FILES, True),
    *_longs("inputNumZCubes"),
    ("mergedFiles", _NUM_FILES, True),
    *_longs("numOutputZCubes"),
)
_PARALLELISM = _struct(
    *_longs(
        "maxClusterActiveParallelism", "minClusterActiveParallelism", "maxSessionActiveParallelism",
        "minSessionActiveParallelism", nullable=True,
    )
)  # fmt: skip
_METRICS = _struct(
    *_longs("numFilesAdded", "numFilesRemoved"),
    ("filesAdded", _SIZES, True),
    ("filesRemoved", _SIZES, True),
    *_longs("partitionsOptimized"),
    ("zOrderStats", _ZORDER, True),
    ("clusteringStats", _CLUSTERING, True),
    *_longs("numBins", "numBatches", "totalConsideredFiles", "totalFilesSkipped"),
    ("preserveInsertionOrder", BooleanType(), False),
    *_longs("numFilesSkippedToReduceWriteAmplification", "numBytesSkippedToReduceWriteAmplification"),
    *_longs("startTimeMs", "endTimeMs", "totalClusterParallelism", "totalScheduledTasks"),
    ("autoCompactParallelismStats", _PARALLELISM, True),
    ("deletionVectorStats", _struct(*_longs("numDeletionVectorsRemoved", "numDeletionVectorRowsRemoved")), True),
    *_longs("numTableColumns", "numTableColumnsWithStats"),
)
_RESULT = _struct(("path", StringType(), True), ("metrics", _METRICS, True))


def _metrics(report: lake.Report) -> dict[str, Any]:
    vectors = [file.deletion_vector["cardinality"] for file in report.removed if file.deletion_vector is not None]
    values = (
        len(report.added),
        len(report.removed),
        _sizes(report.added),
        _sizes(report.removed),
        report.partitions,
        _zorder(report) if report.sorted_by == "zorder" else None,
        _clustering(report) if report.sorted_by == "clustering" else None,
        report.bins,
        1,
        report.considered,
        report.considered - len(report.removed),
        False,
        0,
        0,
        report.start_ms,
        report.end_ms,
        1,
        0,
        None,
        (len(vectors), sum(vectors)) if vectors else None,
        report.columns,
        report.indexed,
    )
    return _shaped(values, _METRICS)


def _sizes(files: Sequence[AddFile]) -> tuple[Any, ...]:
    sizes = [file.size for file in files]
    if not sizes:
        return (None, None, 0.0, 0, 0)
    return (min(sizes), max(sizes), sum(sizes) / len(sizes), len(sizes), sum(sizes))


def _count(files: Sequence[AddFile]) -> tuple[int, int]:
    return len(files), sum(file.size for file in files)


def _zorder(report: lake.Report) -> tuple[Any, ...]:
    merged = _count(report.removed)
    return ("all", (0, 0), merged, 0, merged, report.bins, None)


def _clustering(report: lake.Report) -> tuple[Any, ...]:
    cubes = report.cubes
    clustered, others = _count(cubes.clustered), _count(cubes.others)
    return (clustered, others, cubes.count, _count(report.removed), report.bins)


def _shaped(values: Sequence[Any], schema: StructType) -> dict[str, Any]:
    """Positional values as the Arrow library takes structs."""
    return {
        field.name: _shaped(value, field.dataType) if isinstance(field.dataType, StructType) and value else value
        for field, value in zip(schema.fields, values, strict=True)
    }

"""OPTIMIZE: many small files of a Delta table become few large ones, maybe sorted, without a change of its rows.

Files are joined within a partition: the smallest first, until a bin is as large as a file may be. Z-order and
clustering take all of a partition's files and cut the sorted rows into files of that size.

Invariants: the rows before and after are the same; a commit of another writer that took one of the files away ends
the operation with an error, any other commit does not disturb it; nothing to do, no commit.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from headwater.crash import crash_point
from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError, UnsupportedError
from headwater.lake import clustering
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.conflicts import reads
from headwater.lake.features import check_writable
from headwater.lake.file_sizes import Limits, Sizes
from headwater.lake.footers import stored_schemas
from headwater.lake.leftovers import has_more
from headwater.lake.log import LogState
from headwater.lake.mapping import mode_of, physical_type
from headwater.lake.partitions import Partition, PartitionPredicate, partition_of
from headwater.lake.snapshot import local_path, read_files
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation, discard
from headwater.lake.widening import narrower
from headwater.lake.zorder import ColumnPath, check_sortable, named, sort_columns, z_ordered

_ROW_GROUP_ROWS = 122_880
_MOST_DELETED = 0.05


@dataclass(frozen=True)
class Optimize:
    """An OPTIMIZE as asked for.

    Attributes:
        where: a DuckDB predicate over the partition columns: only such partitions. predicate: its text for history.
        zorder_by: columns, each the names on the way to it.
        full: of a clustered table, cluster again what is clustered by other columns.
        auto: it was not a user who asked; least_files: then, a partition with fewer small files is left alone.
        check_stats: refuse to sort by a column without statistics.
        purge: write the files again that have deleted rows or columns, and no others (REORG).
        widen: write the files again that have a type from before it became wider, and no others.
    """

    where: exp.Expr | None = None
    predicate: str | None = None
    zorder_by: tuple[ColumnPath, ...] = ()
    full: bool = False
    auto: bool = False
    limits: Limits = field(default_factory=Limits)
    least_files: int = 1
    check_stats: bool = True
    purge: bool = False
    widen: bool = False


@dataclass(frozen=True)
class Report:
    """What an OPTIMIZE did.

    Attributes:
        considered: the files it looked at. partitions, bins: what it wrote again.
        sorted_by: `zorder`, `clustering` or nothing. cubes: of a clustered table, what it found.
        columns, indexed: of the table, and how many of them have statistics.
        start_ms, end_ms: when, in milliseconds since the epoch.
    """

    added: tuple[AddFile, ...]
    removed: tuple[AddFile, ...]
    considered: int
    partitions: int
    bins: int
    sorted_by: str
    cubes: clustering.Cubes
    columns: int
    indexed: int
    start_ms: int
    end_ms: int


def optimize(table: LakeTable, connection: Connection, asked: Optimize) -> Report:
    """Do it. Raises Delta's errors for columns and predicates it cannot use, and its conflict errors."""
    start = table.clock.now_ms()
    with table.changing():
        state = table.newest()
        plan = _planned(table, connection, state, asked)
        adds = _written(table, connection, plan) if plan.bins else []
        removed = tuple(file for bin_ in plan.bins for file in bin_)
        if removed:
            crash_point("lake.optimize_written")
            draft = Draft(
                _operation(asked, plan), state.version, tuple(adds), removed, reads(removed, lambda _: None),
                data_change=False, metrics=_metrics(adds, removed),
            )  # fmt: skip
            table.commit(draft)
    return Report(
        tuple(adds),
        removed,
        plan.considered,
        len({partition_of(bin_[0]) for bin_ in plan.bins}),
        len(plan.bins),
        "clustering" if plan.clustered else "zorder" if plan.sort_by else "",
        plan.cubes,
        len(plan.metadata.schema.fields),
        _indexed(plan.metadata),
        start,
        table.clock.now_ms(),
    )


# ── which files ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Plan:
    """`bins`: the files that become one, or one sorted run. `sort_by`: columns, () for none."""

    metadata: Metadata
    bins: tuple[tuple[AddFile, ...], ...]
    considered: int
    sort_by: tuple[ColumnPath, ...]
    clustered: bool
    limits: Limits
    cubes: clustering.Cubes


def _planned(table: LakeTable, connection: Connection, state: LogState, asked: Optimize) -> _Plan:
    metadata, protocol = state.metadata, state.protocol
    if metadata is None or protocol is None:
        raise AnalysisError("DELTA_TABLE_NOT_FOUND", tableName=f"delta.`{table.path}`")
    check_writable(protocol, metadata, table.path)
    files = tuple(state.files.values())
    columns = clustering.named_columns(metadata, state.domains)
    if asked.purge or asked.widen:
        if asked.where is not None:
            files = _asked(connection, metadata, files, asked.where)
        bins = in_bins(_outdated(table.path, metadata, files, asked), asked.limits.large)
        return _Plan(metadata, tuple(bins), len(files), (), False, asked.limits, clustering.Cubes())
    if columns and not asked.auto:
        return _clustering(metadata, files, columns, asked)
    if asked.full:
        raise UnsupportedError("DELTA_OPTIMIZE_FULL_NOT_SUPPORTED")
    check_sortable(metadata, asked.zorder_by, check_stats=asked.check_stats)
    if asked.where is not None:
        files = _asked(connection, metadata, files, asked.where)
    if asked.zorder_by:
        bins = in_bins(files, math.inf)
    else:
        small = small_files(files, asked.limits, asked.least_files)
        bins = [bin_ for bin_ in in_bins(small, asked.limits.large) if len(bin_) > 1 or _has_deletions(bin_)]
    return _Plan(metadata, tuple(bins), len(files), asked.zorder_by, False, asked.limits, clustering.Cubes())


def _outdated(table_path: str, metadata: Metadata, files: Sequence[AddFile], asked: Optimize) -> list[AddFile]:
    """The files that hold something the table has no more: deleted rows, dropped columns, or narrower types."""
    wanted = physical_type(metadata.schema, mode_of(metadata))
    # What cannot be looked into may hold narrower types: the reader that writes it again will tell.
    test, unknown = (narrower, True) if asked.widen else (has_more, False)
    stored = stored_schemas([local_path(table_path, file) for file in files])
    return [
        file
        for file, there in zip(files, stored, strict=True)
        if (asked.purge and file.deletion_vector is not None) or (unknown if there is None else test(there, wanted))
    ]


def _asked(
    connection: Connection, metadata: Metadata, files: Sequence[AddFile], where: exp.Expr
) -> tuple[AddFile, ...]:
    """The files of the partitions that meet a condition."""
    return PartitionPredicate(connection, metadata, where, lambda _, field: str(field.name)).matching(files)


def _clustering(
    metadata: Metadata, files: tuple[AddFile, ...], columns: tuple[ColumnPath, ...], asked: Optimize
) -> _Plan:
    if asked.predicate is not None:
        raise UnsupportedError("DELTA_CLUSTERING_WITH_PARTITION_PREDICATE", predicates=asked.predicate)
    if asked.zorder_by:
        listed = ", ".join(named(path) for path in asked.zorder_by)
        raise AnalysisError("DELTA_CLUSTERING_WITH_ZORDER_BY", zOrderBy=listed)
    columns = clustering.check(metadata.schema, columns, -1)
    cubes = clustering.cubes(files, columns, full=asked.full)
    bins = (cubes.chosen,) if cubes.chosen else ()
    return _Plan(metadata, bins, len(files), columns, True, asked.limits, cubes)


def small_files(files: Sequence[AddFile], limits: Limits, least: int = 1) -> tuple[AddFile, ...]:
    """The files worth joining, of partitions that have at least `least` of them."""
    small = [file for file in files if _is_small(file, limits)]
    counts = Counter(partition_of(file) for file in small) if least > 1 else {}
    return tuple(file for file in small if least <= 1 or counts[partition_of(file)] >= least)


def _is_small(file: AddFile, limits: Limits) -> bool:
    return file.size < limits.small or _deleted_share(file) > _MOST_DELETED


def _deleted_share(file: AddFile) -> float:
    gone = file.deletion_vector["cardinality"] if file.deletion_vector is not None else 0
    return gone / max(1, gone + (file.rows or 0))


def _has_deletions(files: Sequence[AddFile]) -> bool:
    return any(file.deletion_vector is not None for file in files)


def in_bins(files: Sequence[AddFile], most: float) -> list[tuple[AddFile, ...]]:
    """The files by partition, smallest first, in bins of at most `most` bytes."""
    partitions: dict[Partition, list[AddFile]] = {}
    for file in files:
        partitions.setdefault(partition_of(file), []).append(file)
    bins: list[tuple[AddFile, ...]] = []
    for members in partitions.values():
        bin_: list[AddFile] = []
        size = 0
        for file in sorted(members, key=lambda one: one.size):
            if bin_ and size + file.size > most:
                bins.append(tuple(bin_))
                bin_, size = [], 0
            bin_.append(file)
            size += file.size
        bins.append(tuple(bin_))
    return bins


# ── writing them ────────────────────────────────────────────────────────────────────────────────────────────


def _written(table: LakeTable, connection: Connection, plan: _Plan) -> list[AddFile]:
    """The new files; if one cannot be written, none is left."""
    adds: list[AddFile] = []
    other = clustering.new_cube(plan.sort_by) if plan.clustered else {}
    try:
        for bin_ in plan.bins:
            query = read_files(table.path, plan.metadata, bin_)
            sizes = Sizes()
            if plan.sort_by:
                query, sizes = _sorted(connection, query, bin_, plan)
            made = table.writer(plan.metadata).write(connection, query, plan.metadata.schema, sizes)
            adds += [replace(file, data_change=False, other={**file.other, **other}) for file in made]
    except BaseException:
        discard(table.path, adds)
        raise
    return adds


def _sorted(connection: Connection, query: exp.Query, files: Sequence[AddFile], plan: _Plan) -> tuple[exp.Query, Sizes]:
    rows = _rows(connection, query, files)
    count = max(1, math.ceil(sum(file.size for file in files) / plan.limits.large))
    columns = sort_columns(plan.metadata.schema, plan.sort_by)
    ordered = z_ordered(connection, query, columns, max(count, rows // _ROW_GROUP_ROWS))
    return ordered, Sizes(math.ceil(rows / count) if count > 1 and rows else None, in_order=True)


def _rows(connection: Connection, query: exp.Query, files: Sequence[AddFile]) -> int:
    known = [file.rows for file in files if file.rows is not None]
    if len(known) == len(files):
        return sum(known)
    counted = exp.select(exp.Count(this=exp.Star())).from_(exp.Subquery(this=query.copy(), alias="rows_"))
    row = connection.execute(sql_text(counted)).fetchone()
    return int(row[0]) if row else 0


# ── history ─────────────────────────────────────────────────────────────────────────────────────────────────


def _operation(asked: Optimize, plan: _Plan) -> Operation:
    listed = json.dumps([named(path) for path in plan.sort_by], separators=(",", ":"))
    predicate = "[]" if asked.predicate is None else json.dumps([asked.predicate])
    if asked.purge or asked.widen:
        facts = {"predicate": predicate, "applyPurge": True}
        return Operation("REORG", facts, isolation="SnapshotIsolation", bare=True)
    parameters = {
        "predicate": predicate,
        "zOrderBy": "[]" if plan.clustered else listed,
        "clusterBy": listed if plan.clustered else "[]",
        "auto": asked.auto,
    }
    if plan.clustered:
        parameters["isFull"] = asked.full
    return Operation("OPTIMIZE", parameters, bare=True)


def _metrics(adds: Sequence[AddFile], removed: Sequence[AddFile]) -> dict[str, int]:
    sizes = sorted(file.size for file in adds) or [0]

    def at(share: float) -> int:
        return sizes[min(len(sizes) - 1, int(len(sizes) * share))]

    return {
        "numRemovedFiles": len(removed),
        "numRemovedBytes": sum(file.size for file in removed),
        "numAddedFiles": len(adds),
        "numAddedBytes": sum(file.size for file in adds),
        "numDeletionVectorsRemoved": sum(file.deletion_vector is not None for file in removed),
        "minFileSize": sizes[0],
        "p25FileSize": at(0.25),
        "p50FileSize": at(0.5),
        "p75FileSize": at(0.75),
        "maxFileSize": sizes[-1],
    }


def _indexed(metadata: Metadata) -> int:
    asked = int(metadata.configuration.get("delta.dataSkippingNumIndexedCols", "32"))
    columns = len(metadata.schema.fields)
    return columns if asked < 0 else min(asked, columns)

"""COPY INTO: files that a Delta table has not loaded yet become its rows, each once, whoever else loads too.

Invariants: what was loaded is committed with the rows (`lake.copied`), so no kill falls between the two; a load that
lost a race looks again at what is left.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import LongType, StructField, StructType

from headwater.catalog import Table
from headwater.crash import crash_point
from headwater.errors import AnalysisError, ConcurrentWriteError, unsupported
from headwater.io.formats import FormatOptions
from headwater.io.listing import ListingOptions, list_files
from headwater.io.routing import is_folder
from headwater.io.storage import FileStatus
from headwater.io.usable import usable
from headwater.lake.copied import LIST, LOADS, CopyLists, ListName, Loaded
from headwater.lake.files import FileWriter
from headwater.lake.plan import Write, plan
from headwater.lake.rules import rules_of
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation, WriteResult
from headwater.plan.copying import ALL_ROWS, CopyInto
from headwater.plan.expressions import Alias, Cast, Column
from headwater.plan.relations import Limit, LocalData, Project, ReadSource, Relation, ToDF
from headwater.sessions import stored
from headwater.sessions.assigning import by_name, check_arity
from headwater.sessions.commands.base import command
from headwater.sessions.commands.replacing import chosen
from headwater.sessions.files import named
from headwater.sessions.leaves import rows
from headwater.sessions.saving import DELTA, Target, resolve_batch, save_delta
from headwater.sessions.scopes import map_reads

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_RESULT = StructType(
    [StructField(f"num_{what}", LongType()) for what in ("affected_rows", "inserted_rows", "skipped_corrupt_files")]
)
_PREVIEW = 50
_EXPIRY = "delta.setTransactionRetentionDuration"
_OPTIONS = {"force", "mergeschema"}


@command(CopyInto)
def copy_into(node: CopyInto, session: Session) -> Relation:
    """The counts: num_affected_rows, num_inserted_rows, num_skipped_corrupt_files; with VALIDATE some of the rows.

    Raises TABLE_OR_VIEW_NOT_FOUND, PATH_NOT_FOUND, Delta's schema errors, and those of rows that break a rule.
    """
    copy = _Copy(node, session)
    if node.validate is not None:
        return copy.validated()
    while True:
        counts = copy.load()
        if counts is not None:
            return rows(_RESULT, [counts])


class _Copy:
    """One statement: its table, and the files it found when it began."""

    def __init__(self, node: CopyInto, session: Session) -> None:
        self._node, self._session = node, session
        self._found = _target(node, session)
        self._table = stored.lake_of(self._found, session)
        self._options = FormatOptions(node.copy_options)
        unknown = [key for key in self._options if key not in _OPTIONS]
        if unknown:
            raise unsupported(f"the COPY_OPTIONS `{unknown[0]}`", "They are `force` and `mergeSchema`.")
        self._files = _listed(node, session)

    # ── loading ─────────────────────────────────────────────────────────────────────────────────────────────

    def load(self) -> tuple[int, int, int] | None:
        """Load what is left; the counts, or None if another load came first."""
        lists, before = self._loaded()
        left, skipped = self._usable(before)
        if not left:
            return 0, 0, skipped
        name = lists.add(before, [file.uri for file in left])
        crash_point("copy.listed")
        try:
            result = self._save(left, name)
        except BaseException as error:
            if self._newest() != name:
                lists.remove(name)
            if isinstance(error, ConcurrentWriteError) and error.condition == "DELTA_CONCURRENT_TRANSACTION":
                return None
            raise
        if not result.committed:
            lists.remove(name)
            return None
        return result.rows, result.rows, skipped

    def _loaded(self) -> tuple[CopyLists, Loaded]:
        """The table's lists, and what is loaded by now.

        Raises `unsupported` where counters are forgotten after a while.
        """
        newest, metadata = self._newest(), self._table.metadata
        if _EXPIRY in metadata.configuration:
            raise unsupported(f"COPY INTO a table with `{_EXPIRY}`", "Unset the property: it forgets what was loaded.")
        lists = CopyLists(self._session.runtime.storage, self._table.path, metadata.id)
        return lists, lists.read(newest)

    def _newest(self) -> ListName | None:
        """The list that the table's newest version names."""
        self._table.refresh()
        load, mark = (self._table.transaction_version(counter) for counter in (LOADS, LIST))
        return None if load is None or mark is None else ListName(load, mark)

    @property
    def _forced(self) -> bool:
        return self._options.flag("force")

    def _usable(self, before: Loaded) -> tuple[tuple[FileStatus, ...], int]:
        """The files that are left to read, and how many more are passed over as corrupt."""
        left = [file for file in self._files if self._forced or file.uri not in before.paths]
        found = usable(left, self._node.format, FormatOptions(self._node.format_options), self._session.settings)
        return found, len(left) - len(found)

    def _save(self, files: Sequence[FileStatus], name: ListName) -> WriteResult:
        options = {"mergeSchema": str(self._merges).lower(), "txnAppId": LOADS, "txnVersion": str(name.load)}
        target = Target(
            DELTA,
            self._table.path,
            options=FormatOptions(options),
            operation=Operation("COPY INTO", {"statsOnLoad": False}),
            counters=((LIST, name.mark),),
        )
        return save_delta(self._rows(files), target, self._session)

    @property
    def _merges(self) -> bool:
        return self._options.flag("mergeSchema")

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────

    def _rows(self, files: Sequence[FileStatus]) -> Relation:
        """The rows of files in the table's columns."""
        node, session = self._node, self._session
        options = dict(node.format_options)
        folder = session.runtime.mounts.local(node.path)
        if is_folder(folder) and not node.files and node.pattern is None:
            options.setdefault("basePath", node.path)
        read = ReadSource(node.format, None, tuple(options.items()), tuple(file.uri for file in files))
        relation: Relation = read if node.query is None else map_reads(node.query, lambda _: read)
        if not node.by_position and not node.columns:
            return relation
        return _placed(relation, node, self._found, session)

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────

    def validated(self) -> Relation:
        """Check the rows without loading them; the first of them. Raises what loading them would raise."""
        session, node = self._session, self._node
        files, _ = self._usable(self._loaded()[1])
        if not files:
            return rows(self._table.schema, [])
        relation = self._rows(files)
        if node.validate != ALL_ROWS:
            relation = Limit(relation, node.validate or 0)
        _check(relation, self._table, self._merges, session)
        wanted = _PREVIEW if node.validate == ALL_ROWS else min(_PREVIEW, node.validate or 0)
        execution = session.execute(Limit(relation, wanted))
        return LocalData(execution.table(), execution.schema)


def _check(relation: Relation, table: LakeTable, merges: bool, session: Session) -> None:
    resolved = resolve_batch(relation, session)
    planned = plan(table.newest(), Write(resolved.schema, "append", merge_schema=merges), table.clock.now_ms())
    with session.connection(resolved) as connection:
        rules = rules_of(planned.metadata, connection)
        FileWriter(table.path, planned.metadata, rules=rules).check(connection, named(resolved), resolved.schema)


def _target(node: CopyInto, session: Session) -> Table:
    found = stored.existing(node.table, session)
    if found.provider != DELTA:
        name = stored.display_name(found)
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=name, operation="COPY INTO")
    return found


def _listed(node: CopyInto, session: Session) -> tuple[FileStatus, ...]:
    """The files that the statement names. Raises PATH_NOT_FOUND."""
    paths: tuple[str, ...] = (node.path,)
    if node.files:
        paths = tuple(os.path.join(node.path, name) for name in node.files)
    elif node.pattern is not None:
        paths = (os.path.join(node.path, node.pattern),)
    options = ListingOptions.of(FormatOptions(node.format_options), session.time_zone)
    mounts = session.runtime.mounts
    found = list_files(mounts, paths, options, missing_ok=node.pattern is not None).files
    return tuple(replace(file, uri=mounts.uri(file.path)) for file in found)


def _placed(relation: Relation, node: CopyInto, found: Table, session: Session) -> Relation:
    """The columns by place, cast to the table's, or to those that the statement lists."""
    schema, name = stored.schema_of(found, session), stored.display_name(found)
    wanted = chosen(schema, node.columns) if node.columns else schema
    data = session.resolve(relation).schema
    check_arity(data, wanted, name)
    names = tuple(f"c{index}" for index in range(len(data.fields)))
    columns = tuple(
        Alias(Cast(Column((given,)), field.dataType, "ansi"), (field.name,))
        for given, field in zip(names, wanted.fields, strict=True)
    )
    placed = Project(ToDF(relation, names), columns)
    return by_name(placed, stored.written(schema, wanted.names), name, session, fill=True)

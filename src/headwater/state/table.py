"""Rows by key on a query's connection, durable by version: what every stateful operator keeps its state in.

The operator reads the rows as a relation, looks keys up with a query, and hands changes in as a relation. The rows lie
in a database of their own in memory (DuckDB moves what does not fit to its temporary folder), which a thread can read
while batches go on: it writes the snapshots. Between two commits the changes are gathered, then written as a changelog.

Invariants: a key has at most one row, nulls in keys are equal; after `apply` the rows are the new ones at once, after
`apply_filled` when `settle` has returned; version v is durable when `commit(v).wait()` has returned; a snapshot never
delays a batch; SQL text is made once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from headwater import duck
from headwater.duck import Connection, DuckError, Reader, arrow, arrow_batches
from headwater.errors import RuntimeSparkError
from headwater.state.background import Background
from headwater.state.column import StateColumn
from headwater.state.schema import StateSchema, check_schema
from headwater.state.statements import FILE, ROW, Statements
from headwater.state.store import REMOVED, StateStore

__all__ = ["REMOVED", "ROW", "StateColumn", "StateTable", "Written"]

_RESTORED_AT_ONCE = 500_000
_REWRITE_AFTER = 65_536


@dataclass(frozen=True)
class Written:
    """A version that is being made durable beside what follows.

    Attributes:
        id: what it is restored by.
    """

    id: str
    _writing: Future[tuple[int, int]]

    def wait(self) -> None:
        """Until it is durable. Raises why it cannot be."""
        self._writing.result()

    @property
    def bytes(self) -> int:
        """The size of its file; waits."""
        return self._writing.result()[0]

    @property
    def milliseconds(self) -> int:
        """How long it took; waits."""
        return self._writing.result()[1]


class StateTable:
    """See the module.

    Args:
        store: where the versions lie; closing it frees the rows.
        prefix: begins the names of everything the table makes on the connection.
        keys: the columns of the key; none: the state is one row.
        values: the other columns.
        like: a query with all columns, whose types they take; None: the DuckDB types of the Spark types. It is needed
            for aggregate states, which have no type text.
        alone: the same as `like` without naming any table; who reads the state in another session needs it.
    """

    def __init__(
        self,
        store: StateStore,
        prefix: str,
        keys: Sequence[StateColumn],
        values: Sequence[StateColumn],
        like: exp.Query | None = None,
        alone: exp.Query | None = None,
    ) -> None:
        self._store = store
        self._keys, self._values, self._alone = tuple(keys), tuple(values), alone
        self._sql = Statements(f"state_{secrets.token_hex(8)}", prefix, keys, values, like)
        self.relation = self._sql.relation
        self._background = Background()
        self._workers = ThreadPoolExecutor(2, "state-table")
        self._merger: Connection | None = None
        self._merging: Future[int] | None = None
        self._writing: tuple[int, pa.Table, Future[tuple[int, int]]] | None = None
        self._nothing: pa.Table | None = None
        self._readers: dict[str, Reader] = {}
        self._dirty = False
        self._row_bytes = 0.0
        self._dead = 0
        self.rows = 0

    # ── use ─────────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """Create the empty table; what `like` reads must be there."""
        self._merger = connection.cursor()
        self._store.on_close(self._close)
        for text in self._sql.prepare:
            _run(connection, text)
        self._nothing = arrow(connection, self._sql.changed)

    def matching(self, name: str, on: Sequence[str] | None = None) -> exp.Query:
        """The rows whose keys occur in the relation `name`; `on`: only these of the key columns are compared."""
        return self._sql.matching(name, on)

    def apply(self, connection: Connection, name: str, *, last_of: int | None = None) -> None:
        """Take changes in. Relation `name` is read once, before any change; each key occurs once in it.

        It has all columns, `_removed`, and may have `_row`: that of the row of the same key in `relation` or
        `matching`, NULL where there is none; without it the keys are looked up once more. `_row` is good until the
        next `apply` or `commit`.

        Args:
            last_of: these are the only changes for this version: they are taken in as by `apply_filled`.
        """
        target = self._sql.staged if self._dirty else self._sql.changes
        for text in self._sql.take(connection, name, target):
            _run(connection, text)
        if last_of is not None:
            assert not self._dirty, "there were changes before"
            self.apply_filled(connection, last_of)
            return
        known = self._known(connection, target)
        if self._dirty:
            _run(connection, self._sql.forget)
            _run(connection, self._sql.gather)
        self._dirty = True
        self._count(known, self._merge(connection, target, known))

    @property
    def changes(self) -> exp.Table:
        """What `apply_filled` takes in; a reader of it between two batches sees what the last one changed."""
        return self._sql.changes

    def filling(self, query: exp.Query) -> str:
        """The statement that fills `changes`: all columns of their types, `_removed`, `_row` and perhaps others."""
        return self._sql.filling(query)

    def apply_filled(self, connection: Connection, last_of: int, also: Sequence[str] = ()) -> pa.Table:
        """Take `changes` in, the only ones for a version, beside what follows: call `settle` before `relation` is read.

        A removal of a key that the state does not have changes nothing, and is not written.

        Args:
            last_of: the version.
            also: columns of `changes` beside those of the state.

        Returns:
            `_removed`, `_row` and the columns `also` of the changes.
        """
        self._dirty = True
        rows = self._changed(connection, also).table()
        removed, place = rows.column(REMOVED), rows.column(ROW)
        known, gone = rows.num_rows - place.null_count, sum(chunk.true_count for chunk in removed.chunks)
        written = rows.select(self._empty.column_names)
        if gone:
            written = written.filter(pc.invert(pc.and_(removed, pc.is_null(place))))
        self._write(written, last_of)
        assert self._merger is not None, "prepare first"
        merger, changes, brought = self._merger, self._sql.changes, rows.num_rows - gone
        self._count(known, brought)
        self._merging = self._workers.submit(lambda: self._check("added", brought, self._merge(merger, changes, known)))
        return rows.select([REMOVED, ROW, *also])

    def settle(self) -> None:
        """Wait until `relation` has all that was taken in. Raises what went wrong."""
        if self._merging is not None:
            merging, self._merging = self._merging, None
            merging.result()

    @property
    def memory_bytes(self) -> int:
        """About how much memory the rows take."""
        return int(self._row_bytes * (self.rows + self._dead))

    # ── versions ────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self, connection: Connection, version: int, version_id: str | None) -> None:
        """Load `version`, written as `version_id`; version 0 is empty and has no id.

        Raises STATE_STORE_DAMAGED naming the file; STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE and
        STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE if another state lies there.
        """
        schema = StateSchema.of(self._keys, self._values, self._empty.schema, self._alone)
        check_schema(self._store.storage, self._store.folder, schema, refuse=self._store.schema_check)
        self.load(connection, version, version_id)

    def load(self, connection: Connection, version: int, version_id: str | None) -> None:
        """Load a version of a state whose schema is known to fit."""
        saved = self._store.read(version, version_id)
        for rows in saved.snapshot:
            self.rows += self._load(connection, rows, self._sql.rows)
        for rows in _grouped(saved.changelogs):
            self._stage(connection, rows)
            _run(connection, self._sql.reset(self._sql.changes))
            for text in self._sql.take(connection, self._sql.staged, self._sql.changes):
                _run(connection, text)
            known = self._known(connection, self._sql.changes)
            self._count(known, self._merge(connection, self._sql.changes, known))
        _run(connection, self._sql.reset(self._sql.changes))

    def load_changes(self, connection: Connection, version: int, version_id: str) -> str:
        """What one batch changed, and nothing else; the relation that has it, with `_removed`."""
        for rows in _grouped([self._store.read_changelog(version, version_id)]):
            self._stage(connection, rows)
        return self._sql.staged.name

    def commit(self, connection: Connection, version: int) -> Written:
        """Make everything applied since the last commit durable as `version`, beside what follows: see `Written`."""
        if self._writing is None:
            self._write(self._changed(connection).table() if self._dirty else self._empty, version)
        assert self._writing is not None
        (written, rows, writing), self._writing = self._writing, None
        assert written == version, f"version {written} was told to be the last of the batch"
        if rows.num_rows:
            self._row_bytes = rows.nbytes / rows.num_rows
        self._dirty = False
        if not self._background.running and self._store.snapshot_due(self.rows):
            self.settle()
            self._snapshot(connection, version, self._store.run)
        if self._dead > max(_REWRITE_AFTER, self.rows // 2):
            self.settle()
            _run(connection, self._sql.rewrite)
            self._dead = 0
        return Written(self._store.run, writing)

    def purge(self, before: int) -> None:
        """Forget what is only needed to restore versions below `before`."""
        self._store.purge(before)

    def _write(self, rows: pa.Table, version: int) -> None:
        """Begin to write the changelog."""
        rows = rows.select(self._empty.column_names)
        if not rows.schema.equals(self._empty.schema):
            reason = f"the changes of {self.relation} are {rows.schema} instead of {self._empty.schema}"
            raise RuntimeSparkError("STATE_STORE_OPERATION_OUT_OF_ORDER", errorMsg=reason)
        write = self._store.changelog(version, rows)

        def timed() -> tuple[int, int]:
            begin = time.perf_counter()
            return write(), int((time.perf_counter() - begin) * 1000)

        self._writing = version, rows, self._workers.submit(timed)

    def _changed(self, connection: Connection, also: Sequence[str] = ()) -> Reader:
        text = self._sql.changed_with(also)
        return self._readers.setdefault(text, Reader(connection, text))

    @property
    def _empty(self) -> pa.Table:
        """No changes."""
        assert self._nothing is not None, "prepare first"
        return self._nothing

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────

    def _merge(self, connection: Connection, changes: exp.Table, known: int) -> int:
        """Changes take the place of the rows they name; how many rows they brought."""
        self._check("replaced", known, _run(connection, self._sql.delete(changes)) if known else 0)
        return _run(connection, self._sql.insert(changes))

    def _check(self, what: str, expected: int, found: int) -> int:
        if found != expected:
            reason = f"{expected} rows were to be {what} in {self.relation} and {found} were"
            raise RuntimeSparkError("STATE_STORE_OPERATION_OUT_OF_ORDER", errorMsg=reason)
        return found

    def _known(self, connection: Connection, changes: exp.Table) -> int:
        """How many changes name a row."""
        return int(duck.run(connection, self._sql.known(changes))[0][0])

    def _count(self, gone: int, brought: int) -> None:
        self.rows += brought - gone
        self._dead += gone

    def _stage(self, connection: Connection, rows: pa.Table) -> None:
        _run(connection, self._sql.reset(self._sql.staged))
        self._load(connection, rows, self._sql.staged)

    def _load(self, connection: Connection, rows: pa.Table, target: exp.Table) -> int:
        connection.register(self._sql.file, rows)
        try:
            return _run(connection, self._sql.load(rows.schema, target))
        except (DuckError, KeyError) as error:
            raise RuntimeSparkError(
                "STATE_STORE_OPERATOR_MISMATCH", path=self._store.folder, reason=str(error)
            ) from error
        finally:
            connection.unregister(self._sql.file)

    def _snapshot(self, connection: Connection, version: int, version_id: str) -> None:
        """Write all rows of this moment beside the batches that follow."""
        reader = connection.cursor()
        reader.begin()
        reader.execute(self._sql.pin).fetchall()  # from here on the reader sees this version
        text, store = self._sql.everything, self._store

        def write(reader: Connection) -> None:
            rows = arrow_batches(reader, text, 65_536)
            store.write_snapshot((version, version_id), rows.schema, rows)

        self._background.start(f"the snapshot of state version {version} in {store.folder}", reader, write)

    def _close(self) -> None:
        self._workers.shutdown()
        self._background.stop()
        if self._merger is not None:
            for text in self._sql.detach:
                _run(self._merger, text)
            self._merger.close()


def _grouped(changelogs: Iterable[pa.Table]) -> Iterable[pa.Table]:
    """Several changelogs at a time as one table, numbered by the column `FILE`."""
    group: list[pa.Table] = []
    held = 0
    for number, rows in enumerate(changelogs):
        group.append(rows.append_column(FILE, pa.repeat(pa.scalar(number), rows.num_rows)))
        held += rows.num_rows
        if held >= _RESTORED_AT_ONCE:
            yield pa.concat_tables(group, promote_options="default")
            group, held = [], 0
    if group:
        yield pa.concat_tables(group, promote_options="default")


def _run(connection: Connection, text: str) -> int:
    """Run a statement; how many rows it changed."""
    rows = duck.run(connection, text)
    return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0

"""Rows by key on a query's connection, durable by version: what every stateful operator keeps its state in.

The operator reads the rows as a relation, looks keys up with a query, and hands changes in as a relation; between two
commits the changes are gathered and then written as one changelog.

Invariants: a key has at most one row, nulls in keys are equal; after `apply` the rows are the new ones at once; version
v is durable when `commit(v)` has returned; SQL text is made once, in the constructor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql.types import DataType
from sqlglot import exp

from headwater.duck import Connection, DuckError, arrow, sql_text
from headwater.errors import RuntimeSparkError
from headwater.state.store import REMOVED, StateStore
from headwater.types.duck import to_duck

Loaded = Callable[[exp.Expression, pa.DataType], exp.Expression]
"""From a stored column, and the Arrow type it is stored as, to the value the table holds."""


@dataclass(frozen=True)
class StateColumn:
    """One column of a state.

    Attributes:
        name: its name in SQL.
        kind: the Spark type of what users see in it.
        label: the name users see; default: `name`.
        loaded: how a stored value becomes the table's; None: as it is.
    """

    name: str
    kind: DataType
    label: str = ""
    loaded: Loaded | None = None


@dataclass(frozen=True)
class Written:
    """A version that is durable now: the id it is restored by, its size, and the time it took."""

    id: str
    bytes: int
    milliseconds: int


class StateTable:
    """See the module.

    Args:
        store: where the versions lie.
        prefix: begins the names of everything the table makes on the connection.
        keys: the columns of the key; none: the state is one row.
        values: the other columns.
        like: a query with all columns, whose types they take; None: the DuckDB types of the Spark types. It is needed
            for aggregate states, which have no type text.
    """

    def __init__(
        self,
        store: StateStore,
        prefix: str,
        keys: Sequence[StateColumn],
        values: Sequence[StateColumn],
        like: exp.Query | None = None,
    ) -> None:
        self._store = store
        self._columns = (*keys, *values)
        self._keys = [column.name for column in keys]
        self._like = like
        self.relation = f"{prefix}_state"
        self._changes = f"{prefix}_changes"
        self._staged = f"{prefix}_staged"
        self._file = f"{prefix}_file"
        self._dirty = False
        self._row_bytes = 0.0
        self.rows = 0
        self._texts = self._prepared()

    # ── use ─────────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """Create the empty table; what `like` reads must be there."""
        like = self._like or exp.select(
            *(exp.alias_(exp.cast(exp.null(), to_duck(c.kind)), c.name, quoted=True) for c in self._columns)
        )
        rows = exp.select(*self._all()).from_(like.subquery("alike")).where(exp.false())
        _run(connection, _create(self.relation, rows))
        changes = exp.select(*self._all(), exp.alias_(exp.false(), REMOVED)).from_(self.relation)
        _run(connection, _create(self._changes, changes))

    def matching(self, name: str, on: Sequence[str] | None = None) -> exp.Query:
        """The rows whose keys occur in the relation `name`; `on`: only these of the key columns are compared."""
        query = exp.select(*self._all("kept")).from_(_aliased(self.relation, "kept"))
        return query.join(_aliased(name, "wanted"), on=_same(on or self._keys, "kept", "wanted"), join_type="semi")

    def apply(self, connection: Connection, name: str) -> None:
        """Take changes in: `name` has all columns and `_removed`, each key once; it is read once, before any change."""
        _run(connection, self._text_of(name))
        removed = self._take(connection, self._staged)
        self.rows += removed
        _run(connection, self._texts["forget"] if self._dirty else self._texts["clear"])
        _run(connection, self._texts["note"])
        self._dirty = True

    # ── versions ────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self, connection: Connection, version: int, version_id: str | None) -> None:
        """Load `version`, written as `version_id`; version 0 is empty and has no id.

        Raises STATE_STORE_DAMAGED naming the file, STATE_STORE_OPERATOR_MISMATCH.
        """
        del version_id
        for change in self._store.load(version):
            self._load(connection, change.rows)

    def commit(self, connection: Connection, version: int) -> Written:
        """Make everything applied since the last commit durable as `version`."""
        begin = time.perf_counter()
        if not self._dirty:
            _run(connection, self._texts["clear"])
        rows = arrow(connection, self._texts["changes"])
        self._dirty = False
        if rows.num_rows:
            self._row_bytes = rows.nbytes / rows.num_rows
        size = self._store.write("changelog", version, rows)
        if self._store.snapshot_due(version, self.rows):
            self._store.write("snapshot", version, arrow(connection, self._texts["all"]))
            _run(connection, self._texts["rewrite"])
        return Written("", size, int((time.perf_counter() - begin) * 1000))

    def purge(self, before: int) -> None:
        """Forget what is only needed to restore versions below `before`."""
        self._store.purge(before)

    @property
    def memory_bytes(self) -> int:
        """About how much memory the rows take."""
        return int(self._row_bytes * self.rows)

    # ── texts ───────────────────────────────────────────────────────────────────────────────────────────────

    def _prepared(self) -> dict[str, str]:
        everything = exp.select(*self._all()).from_(self.relation)
        changes = exp.select(*self._all(), _column(REMOVED))
        return {
            "clear": sql_text(exp.delete(self._changes)),
            "forget": _delete(self._changes, self._staged, self._keys),
            "note": sql_text(exp.insert(changes.from_(self._staged), self._changes)),
            "changes": sql_text(changes.from_(self._changes)),
            "all": sql_text(exp.select(*self._all(), exp.alias_(exp.false(), REMOVED)).from_(self.relation)),
            "rewrite": _create(self.relation, everything),
        }

    def _text_of(self, name: str) -> str:
        if name not in self._texts:
            rows = exp.select(*self._all(), _column(REMOVED)).from_(exp.to_table(name, quoted=True))
            self._texts[name] = _create(self._staged, rows)
        return self._texts[name]

    def _all(self, table: str | None = None) -> list[exp.Column]:
        return [_column(column.name, table) for column in self._columns]

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, connection: Connection, name: str, selected: Sequence[exp.Expr] | None = None) -> int:
        """Rows of `name` take the place of those of the same keys; by how many rows there are more."""
        gone = _run(connection, _delete(self.relation, name, self._keys))
        kept = exp.select(*(selected or self._all())).from_(name).where(_column(REMOVED).not_())
        return _run(connection, sql_text(exp.insert(kept, self.relation))) - gone

    def _load(self, connection: Connection, rows: pa.Table) -> None:
        connection.register(self._file, rows)
        try:
            selected = [self._loaded(column, rows.schema.field(column.name).type) for column in self._columns]
            self.rows += self._take(connection, self._file, selected)
        except (DuckError, KeyError) as error:
            raise RuntimeSparkError(
                "STATE_STORE_OPERATOR_MISMATCH", path=self._store.folder, reason=str(error)
            ) from error
        finally:
            connection.unregister(self._file)

    def _loaded(self, column: StateColumn, stored: pa.DataType) -> exp.Expr:
        value = _column(column.name)
        return exp.alias_(column.loaded(value, stored) if column.loaded else value, column.name, quoted=True)


def _column(name: str, table: str | None = None) -> exp.Column:
    return exp.column(name, table, quoted=True)


def _aliased(name: str, alias: str) -> exp.Expr:
    return exp.alias_(exp.to_table(name, quoted=True), alias, table=True)


def _same(names: Sequence[str], left: str, right: str) -> exp.Condition:
    return exp.and_(exp.true(), *(exp.NullSafeEQ(this=_column(n, left), expression=_column(n, right)) for n in names))


def _delete(table: str, using: str, keys: Sequence[str]) -> str:
    where = exp.Where(this=_same(keys, "kept", "gone"))
    return sql_text(exp.Delete(this=_aliased(table, "kept"), using=[_aliased(using, "gone")], where=where))


def _create(name: str, query: exp.Query) -> str:
    properties = exp.Properties(expressions=[exp.TemporaryProperty()])
    return sql_text(
        exp.Create(this=exp.to_table(name), kind="TABLE", replace=True, properties=properties, expression=query)
    )


def _run(connection: Connection, text: str) -> int:
    """Run a statement; how many rows it changed."""
    rows = connection.execute(text).fetchall()
    return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0

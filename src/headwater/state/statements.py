"""The SQL of a state table, as text that is made once.

    state_x.rows        all rows, in a database of their own, which other connections see too
    state_x_changes     what was applied since the last commit: columns, `_removed`, `_row`; filled from a relation, or
                        by the operator itself
    <prefix>_state      the view of the rows that operators read: columns and `_row`
    <prefix>_staged     what is being applied, where there are changes already

Invariants: names never change, so texts that name them stay good; a changed row is found by its `_row`, never by its
key, so that one look through the keys is enough for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.state.column import StateColumn
from headwater.state.store import REMOVED
from headwater.types.duck import to_duck

ROW = "_row"
"""Where a row lies: a column of what operators read, and of what they hand in."""
FILE = "_file"
"""The order of the rows of several changelogs."""


class Statements:
    """See the module.

    Args:
        database: the name of the rows' own database.
    """

    def __init__(
        self,
        database: str,
        prefix: str,
        keys: Sequence[StateColumn],
        values: Sequence[StateColumn],
        like: exp.Query | None,
    ) -> None:
        self._columns = (*keys, *values)
        self._keys = [column.name for column in keys]
        self._rows = exp.table_("rows", db="main", catalog=database, quoted=True)
        self._made: dict[tuple[str, str], str] = {}
        self._takes: dict[tuple[str, str], list[str]] = {}
        self.relation = f"{prefix}_state"
        # not beside the rows: a commit there may number them anew, between a look at them and their deletion
        self._changes = exp.table_("changes", db="main", catalog=f"{database}_changes", quoted=True)
        self._staged = exp.to_table(f"{prefix}_staged", quoted=True)
        self.file = f"{prefix}_file"
        everything = exp.select(*self._all()).from_(self._rows)
        changed = [*self._all(), _column(REMOVED)]
        self.everything = sql_text(everything)
        self.changed = sql_text(exp.select(*changed).from_(self._changes))
        self.rewrite = sql_text(_create(self._rows, everything, temporary=False))
        self.forget = self._delete_keys(self.changes, self.staged)
        self.gather = sql_text(exp.insert(exp.select("*").from_(self._staged), self._changes))
        self.pin = sql_text(exp.select(exp.Literal.number(1)).from_(self._rows).limit(0))
        databases = (database, f"{database}_changes")
        self.detach = [sql_text(exp.Detach(this=exp.to_identifier(one, quoted=True), exists=True)) for one in databases]
        self.prepare = self._prepared(databases, like)

    def _prepared(self, databases: Sequence[str], like: exp.Query | None) -> list[str]:
        if like is None:
            nulls = [exp.alias_(exp.cast(exp.null(), to_duck(c.kind)), c.name, quoted=True) for c in self._columns]
            like = exp.select(*nulls)
        memory = exp.Literal.string(":memory:")
        attached = [exp.Attach(this=exp.alias_(memory.copy(), one, quoted=True), exists=True) for one in databases]
        rows = exp.select(*self._all()).from_(like.subquery("alike")).where(exp.false())
        seen = exp.select(*self._all(), exp.alias_(_column("rowid"), ROW)).from_(self._rows)
        return [
            *map(sql_text, attached),
            sql_text(_create(self._rows, rows, temporary=False)),
            sql_text(_create(exp.to_table(self.relation), seen, kind="VIEW")),
            self.reset(self.changes),
            self.reset(self.staged),
        ]

    @property
    def rows(self) -> exp.Table:
        """The table of all rows."""
        return self._rows.copy()

    @property
    def changes(self) -> exp.Table:
        """The table of what was applied since the last commit."""
        return self._changes.copy()

    @property
    def staged(self) -> exp.Table:
        """The table of what is being applied."""
        return self._staged.copy()

    def filling(self, query: exp.Query) -> str:
        """Fill `changes` with a query's rows."""
        return sql_text(_create(self._changes, query, temporary=False))

    def changed_with(self, also: Sequence[str] = ()) -> str:
        """All of `changes`: the columns, `_removed`, `_row` and some that the operator put beside them."""

        def query() -> exp.Select:
            beside = [_column(REMOVED), _column(ROW), *map(_column, also)]
            return exp.select(*self._all(), *beside).from_(self._changes)

        return self._once(f"changed with {' '.join(also)}", self._changes, query)

    # ── queries ─────────────────────────────────────────────────────────────────────────────────────────────

    def matching(self, name: str, on: Sequence[str] | None) -> exp.Query:
        """The rows whose keys occur in `name`."""
        query = exp.select(*self._all("kept"), _column(ROW, "kept")).from_(_aliased(self.relation, "kept"))
        return query.join(_aliased(name, "wanted"), on=_same(on or self._keys, "kept", "wanted"), join_type="semi")

    def known(self, changes: exp.Table) -> str:
        """How many of the changes name a row."""
        return self._once("known", changes, lambda: exp.select(exp.Count(this=_column(ROW))).from_(changes))

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, connection: Connection, name: str | exp.Table, target: exp.Table) -> list[str]:
        """Put the rows of a relation into `changes` or `staged`, each with the row it stands for."""
        source = exp.to_table(name, quoted=True) if isinstance(name, str) else name
        taken = (source.name, target.name)
        if taken not in self._takes:
            self._takes[taken] = self._taking(connection, source, target)
        return self._takes[taken]

    def _taking(self, connection: Connection, source: exp.Table, target: exp.Table) -> list[str]:
        types = column_types(connection, source)
        taken = self._taken(source, ROW in types and source.name != self._staged.name)
        wanted = column_types(connection, target)
        if all(types.get(column) == kind for column, kind in wanted.items() if column != ROW):
            return [sql_text(self._made_table(target, taken))]
        return [self.reset(target), sql_text(exp.insert(taken, target))]  # which casts

    def _made_table(self, target: exp.Table, query: exp.Query) -> exp.Create:
        return _create(target, query, temporary=target.name == self._staged.name)

    def _taken(self, source: exp.Table, has_row: bool) -> exp.Query:
        columns = [*self._all("new"), _column(REMOVED, "new")]
        new = exp.alias_(source.copy(), "new", table=True)
        if has_row:
            return exp.select(*columns, _column(ROW, "new")).from_(new)
        keys = exp.select(*(_column(key) for key in self._keys), _column(ROW)).from_(self.relation).subquery("kept")
        query = exp.select(*columns, _column(ROW, "kept")).from_(new)
        return query.join(keys, on=_same(self._keys, "kept", "new"), join_type="left")

    def reset(self, target: exp.Table) -> str:
        """Make `changes` or `staged` empty."""

        def empty() -> exp.Create:
            flags = [exp.alias_(exp.false(), REMOVED), exp.alias_(exp.cast(exp.null(), "BIGINT"), ROW)]
            return self._made_table(target, exp.select(*self._all(), *flags).from_(self._rows).limit(0))

        return self._once("reset", target, empty)

    def delete(self, changes: exp.Table) -> str:
        """Delete the rows that changes name."""

        def statement() -> exp.Delete:
            named = exp.select(_column(ROW)).from_(changes).where(_column(ROW).is_(exp.null()).not_())
            return exp.Delete(this=self._rows.copy(), where=exp.Where(this=_column("rowid").isin(query=named)))

        return self._once("delete", changes, statement)

    def insert(self, changes: exp.Table) -> str:
        """Add the rows that changes bring."""

        def statement() -> exp.Insert:
            kept = exp.select(*self._all()).from_(changes).where(_column(REMOVED).not_())
            return exp.insert(kept, self._rows)

        return self._once("insert", changes, statement)

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────

    def load(self, schema: pa.Schema, target: exp.Table) -> str:
        """Put stored rows into the table, or those of changelogs into `staged`, the newest of each key."""
        selected = [self._loaded(column, schema.field(column.name).type) for column in self._columns]
        if FILE not in schema.names:
            rows = exp.select(*selected).from_(self.file)
            return sql_text(exp.insert(rows, target))
        # not by a window: DuckDB turns `row_number() … = 1` into arg_max, which takes -0.0 for 0.0
        keys = [_column(key) for key in self._keys]
        newest = exp.select(*keys, exp.alias_(exp.Max(this=_column(FILE)), FILE)).from_(self.file)
        newest = newest.group_by(*(key.copy() for key in keys)) if keys else newest
        rows = exp.select(*selected, _column(REMOVED)).from_(_aliased(self.file, "stored"))
        same = exp.and_(_same(self._keys, "stored", "newest"), _column(FILE, "stored").eq(_column(FILE, "newest")))
        rows = rows.join(newest.subquery("newest"), on=same, join_type="semi")
        return sql_text(exp.insert(rows, target, columns=[c.this.copy() for c in (*self._all(), _column(REMOVED))]))

    def _loaded(self, column: StateColumn, stored: pa.DataType) -> exp.Expr:
        value = _column(column.name)
        return exp.alias_(column.loaded(value, stored) if column.loaded else value, column.name, quoted=True)

    # ── pieces ──────────────────────────────────────────────────────────────────────────────────────────────

    def _once(self, what: str, table: exp.Table, tree: Callable[[], exp.Expr]) -> str:
        if (what, table.name) not in self._made:
            self._made[(what, table.name)] = sql_text(tree())
        return self._made[(what, table.name)]

    def _all(self, table: str | None = None) -> list[exp.Column]:
        return [_column(column.name, table) for column in self._columns]

    def _delete_keys(self, table: exp.Table, using: exp.Table) -> str:
        where = exp.Where(this=_same(self._keys, "kept", "gone"))
        kept, gone = (exp.alias_(one, name, table=True) for one, name in ((table, "kept"), (using, "gone")))
        return sql_text(exp.Delete(this=kept, using=[gone], where=where))


def column_types(connection: Connection, relation: exp.Table) -> dict[str, str]:
    """The DuckDB types of a relation's columns."""
    rows = connection.sql(sql_text(exp.select("*").from_(relation).limit(0)))
    return dict(zip(rows.columns, map(str, rows.types), strict=True))


def _column(name: str, table: str | None = None) -> exp.Column:
    return exp.column(name, table, quoted=True)


def _aliased(name: str, alias: str) -> exp.Expr:
    return exp.alias_(exp.to_table(name, quoted=True), alias, table=True)


def _same(names: Sequence[str], left: str, right: str) -> exp.Condition:
    return exp.and_(exp.true(), *(exp.NullSafeEQ(this=_column(n, left), expression=_column(n, right)) for n in names))


def _create(table: exp.Table, query: exp.Query, kind: str = "TABLE", temporary: bool = True) -> exp.Create:
    properties = exp.Properties(expressions=[exp.TemporaryProperty()]) if temporary else None
    return exp.Create(this=table.copy(), kind=kind, replace=True, properties=properties, expression=query)

"""The rows of a batch, group by group, for Python code: grouped in DuckDB, handed over as Arrow a chunk at a time.

    batch    the input's rows, in arrival order, without the late ones
    groups   its keys, sorted and numbered, and in which chunk each is read
    wanted   the keys of the groups at hand, by number: what state is looked up for

Invariants: the input is read once; a group is never split over chunks; groups come in the order of their keys, nulls
first, and rows of a group in the order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
from pyspark.sql.types import BooleanType, DataType, StructField, StructType
from sqlglot import exp

from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection, arrow, sql_text
from headwater.plan.expressions import Expression, Star
from headwater.plan.relations import Project, Relation
from headwater.state.table import StateColumn

CHUNK_ROWS = 200_000
"""About so many rows are in Python's hands at once."""
GROUP = "group_id"
_COUNT, _CHUNK = "row_count", "chunk"

Late = Callable[[exp.Expression, DataType], exp.Expression]
"""From the column with the event time, and its type, to whether its row is late."""


def keyed(relation: Relation, grouping: Sequence[Expression]) -> Project:
    """The relation whose first columns are the grouping, then all of its own."""
    return Project(relation, (*grouping, Star()))


def key_names(count: int) -> list[str]:
    """Names of the key's columns in tables; a group of all rows has a key too."""
    return [f"key_{i}" for i in range(max(count, 1))]


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Chunk:
    """Some groups: their numbers, their keys and their rows, each group's together, `bounds[i]` to `bounds[i + 1]`."""

    groups: list[int]
    keys: pa.Table
    rows: pa.Table
    bounds: list[int]


class GroupedRows:
    """See the module.

    Args:
        prefix: begins the names of everything made on the connection.
        rows: the compiled `keyed` relation.
        keys: how many of its columns are the grouping.
        late: which rows are late; None: none is.
        wanted: the name of `wanted`, if several share it.
    """

    def __init__(
        self, prefix: str, rows: Resolved, keys: int, late: Late | None = None, wanted: str | None = None
    ) -> None:
        self._prefix = prefix
        self.keys: tuple[Attribute, ...] = rows.attributes[:keys]
        self.data: tuple[Attribute, ...] = rows.attributes[keys:]
        self.wanted = wanted or f"{prefix}_wanted"
        self._texts = self._prepared(rows, late)
        self.dropped = 0

    @property
    def key_schema(self) -> StructType:
        """The grouping, by the users' names."""
        return _schema(self.keys)

    @property
    def data_schema(self) -> StructType:
        """The input's columns."""
        return _schema(self.data)

    @property
    def event(self) -> Attribute | None:
        """The first column that carries a watermark."""
        return next((a for a in self.data if DELAY in a.metadata), None)

    def columns(self) -> list[StateColumn]:
        """The key's columns in tables."""
        if not self.keys:
            return [StateColumn("key_0", BooleanType(), "all")]
        return [StateColumn(n, a.type, a.name) for n, a in zip(key_names(len(self.keys)), self.keys, strict=True)]

    def prepare(self, connection: Connection) -> None:
        """Create the tables, of the input as it is now."""
        for name in ("batch", "groups", "wanted"):
            _run(connection, self._texts[name])

    def take(self, connection: Connection, ran: Callable[[], None] = _nothing) -> list[int]:
        """Read the input; the numbers of its chunks. `ran` is called after the statement that reads it."""
        _run(connection, self._texts["batch"])
        ran()
        self.dropped = int(_run(connection, self._texts["late"])) if "late" in self._texts else 0
        _run(connection, self._texts["groups"])
        return [int(number) for (number,) in connection.execute(self._texts["chunks"]).fetchall()]

    def chunks(self, connection: Connection, ran: Callable[[], None] = _nothing) -> Iterator[Chunk]:
        """Take the input in and give it chunk by chunk; `wanted` holds the keys of the last one given."""
        for number in self.take(connection, ran):
            connection.execute(f"SET VARIABLE {self._prefix}_chunk = {number}").fetchall()
            _run(connection, self._texts["wanted"])
            keys = arrow(connection, self._texts["keys"])
            rows = arrow(connection, self._texts["rows"])
            bounds = list(accumulate(keys.column(_COUNT).to_pylist(), initial=0))
            yield Chunk(*self._numbered_keys(keys), rows, bounds)

    def chosen(self, query: exp.Query) -> str:
        """The text that makes `wanted` the keys that a query gives, each once."""
        keys = [_column(name) for name in key_names(len(self.keys))]
        order = exp.Order(expressions=[exp.Ordered(this=key.copy(), nulls_first=True) for key in keys])
        number = exp.alias_(exp.Window(this=exp.RowNumber(), order=order), GROUP)
        return create(self.wanted, exp.select(number, *keys).from_(query.subquery("chosen")))

    def chosen_keys(self, connection: Connection) -> tuple[list[int], pa.Table]:
        """Numbers and keys in `wanted`, in order."""
        return self._numbered_keys(arrow(connection, self._texts["all_keys"]))

    def _numbered_keys(self, keys: pa.Table) -> tuple[list[int], pa.Table]:
        named = keys.select(range(1, 1 + len(self.keys))).rename_columns([a.name for a in self.keys])
        return keys.column(GROUP).to_pylist(), named

    # ── texts ───────────────────────────────────────────────────────────────────────────────────────────────

    def _prepared(self, rows: Resolved, late: Late | None) -> dict[str, str]:
        batch, groups = f"{self._prefix}_batch", f"{self._prefix}_groups"
        names = key_names(len(self.keys))
        values: list[exp.Expr] = [_column(a.sql) for a in self.keys]
        values = values or [exp.Boolean(this=True)]
        renamed = [exp.alias_(v, n, quoted=True) for v, n in zip(values, names, strict=True)]
        renamed += [exp.alias_(_column(a.sql), f"data_{i}", quoted=True) for i, a in enumerate(self.data)]
        keys = [_column(name) for name in names]
        texts = {
            "batch": create(batch, exp.select(*renamed).from_(rows.query.subquery("input"))),
            "groups": create(groups, _numbered(batch, keys)),
            "chunks": sql_text(exp.select(_column(_CHUNK)).distinct().from_(groups).order_by(_column(_CHUNK))),
            "wanted": create(
                self.wanted, exp.select(_column(GROUP), *keys).from_(groups).where(self._current(_column(_CHUNK)))
            ),
            "keys": sql_text(
                exp.select(_column(GROUP), *keys, _column(_COUNT))
                .from_(groups)
                .where(self._current(_column(_CHUNK)))
                .order_by(_column(GROUP))
            ),
            "all_keys": sql_text(exp.select(_column(GROUP), *keys).from_(self.wanted).order_by(_column(GROUP))),
            "rows": sql_text(self._rows(batch, names)),
        }
        event = self.event
        if event is not None and late is not None:
            column = _column(f"data_{self.data.index(event)}")
            texts["late"] = sql_text(exp.delete(batch, where=late(column, event.type)))
        return texts

    def _rows(self, batch: str, names: Sequence[str]) -> exp.Select:
        data: list[exp.Expr] = [_column(f"data_{i}", "b") for i in range(len(self.data))]
        return (
            exp.select(*(data or [exp.alias_(exp.null(), "nothing")]))
            .from_(exp.alias_(exp.to_table(batch), "b", table=True))
            .join(exp.alias_(exp.to_table(self.wanted), "w", table=True), on=same_keys(names, "b", "w"))
            .order_by(_column(GROUP, "w"), exp.column("rowid", "b"))
        )

    def _current(self, column: exp.Expression) -> exp.Expression:
        variable = exp.Literal.string(f"{self._prefix}_chunk")
        return exp.EQ(this=column, expression=exp.Anonymous(this="getvariable", expressions=[variable]))


def _numbered(batch: str, keys: Sequence[exp.Expression]) -> exp.Select:
    """Keys with their row counts, numbered in order, and which chunk each belongs to."""
    counted = exp.select(*keys, exp.alias_(exp.Count(this=exp.Star()), _COUNT)).from_(batch)
    counted = counted.group_by(*(key.copy() for key in keys))
    order = exp.Order(expressions=[exp.Ordered(this=key.copy(), nulls_first=True) for key in keys])
    number = exp.Window(this=exp.RowNumber(), order=order)
    numbered = exp.select(exp.alias_(number, GROUP), "*").from_(counted.subquery("counted"))
    spec = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")
    by_number = exp.Order(expressions=[exp.Ordered(this=_column(GROUP), nulls_first=True)])
    sofar = exp.Window(this=exp.Sum(this=_column(_COUNT)), order=by_number, spec=spec)
    before = exp.Paren(this=exp.Sub(this=sofar, expression=_column(_COUNT)))
    chunk = exp.IntDiv(this=before, expression=exp.Literal.number(CHUNK_ROWS))
    return exp.select("*", exp.alias_(chunk, _CHUNK)).from_(numbered.subquery("numbered"))


def same_keys(names: Sequence[str], left: str, right: str) -> exp.Condition:
    """Whether two rows have the same key; nulls are equal."""
    return exp.and_(*(exp.NullSafeEQ(this=_column(n, left), expression=_column(n, right)) for n in names))


def create(name: str, query: exp.Query) -> str:
    """The text that makes a temporary table anew."""
    properties = exp.Properties(expressions=[exp.TemporaryProperty()])
    table = exp.to_table(name, quoted=True)
    return sql_text(exp.Create(this=table, kind="TABLE", replace=True, properties=properties, expression=query))


def _schema(attributes: Sequence[Attribute]) -> StructType:
    return StructType([StructField(a.name, a.type, a.nullable, dict(a.metadata) or None) for a in attributes])


def _column(name: str, table: str | None = None) -> exp.Column:
    return exp.column(name, table, quoted=True)


def _run(connection: Connection, text: str) -> int:
    rows = connection.execute(text).fetchall()
    return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0

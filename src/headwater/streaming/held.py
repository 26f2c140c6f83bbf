"""The rows that one source gave a batch, held in a temporary table, so that single ones can be left out of it.

The view of the stream shows those that are no bad records and have not failed; to look for the ones that fail, it shows
a range of them only.

Invariant: the rows stand in the order in which the source gives them, in every run of the batch: a row is known by its
number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql.types import DataType, IntegerType, LongType, StringType
from sqlglot import exp

from headwater import duck
from headwater.duck import Connection, sql_text
from headwater.functions.base import FunctionCall
from headwater.functions.json import JsonWriter
from headwater.io.formats.scan import FILE_FIELD
from headwater.sinks.dead_letters import BAD_RECORD
from headwater.sources.base import BatchInput, KeepsRecords, Offset, StreamSource
from headwater.sources.records import BAD, COLUMNS, FILE, HEADER, RECORD
from headwater.streaming.statements import column, create, named, run
from headwater.streaming.suspects import ROW

_FAILED = "__failed"
_LAST = 2**62
_BROKEN = "the record is not of the format, or a value is not of its column's type"
_KAFKA: dict[str, DataType] = {"topic": StringType(), "partition": IntegerType(), "offset": LongType()}


class HeldRows:
    """The held rows of one source, batch after batch.

    Attributes:
        number: of the source. rows: how many are held. bad: how many of them are bad records.

    Args:
        columns: as the view of the stream has them.
        time_zone: of timestamps in records that have no text of their own.
    """

    def __init__(self, number: int, source: StreamSource, columns: Sequence[str], time_zone: str) -> None:
        self.number, self.rows, self.bad = number, 0, 0
        self._source = source
        self._columns = columns
        self._table = f"held_{number}"
        self._first, self._end = f"held_{number}_first", f"held_{number}_last"
        self._time_zone = time_zone
        self._shown = exp.select(*(column(name) for name in columns)).from_(self._table).where(*self._kept())
        tests = exp.select(
            exp.Count(this=exp.Star()), exp.Count(this=exp.Nullif(this=column(BAD), expression=exp.false()))
        ).from_(self._table)
        self._count = sql_text(tests)

    def _kept(self) -> list[exp.Expr]:
        place = exp.column("rowid")
        first, last = (exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(n)]) for n in self._names)
        whole = exp.Is(this=column(_FAILED), expression=exp.null())
        return [exp.Not(this=column(BAD)), whole, exp.Between(this=place, low=first, high=last)]

    @property
    def _names(self) -> tuple[str, str]:
        return self._first, self._end

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """The rows between two offsets, with `records.COLUMNS` at the end."""
        if isinstance(self._source, KeepsRecords):
            return self._source.records(connection, start, end)
        found = self._source.relation(connection, start, end)
        text = exp.cast(exp.null(), "VARCHAR")
        nothing = [named(exp.false() if name == BAD else text.copy(), name) for name in COLUMNS]
        rows = exp.Subquery(this=found.query, alias=exp.TableAlias(this=exp.to_identifier("rows")))
        return BatchInput(
            exp.select(exp.Star(), *nothing).from_(rows),
            found.inputs,
            variables=found.variables,
            arrivals=found.arrivals,
        )

    def fill(self, connection: Connection, rows: BatchInput) -> BatchInput:
        """Hold a batch's rows, given by `relation`, whose data is registered; the same rows as they are held."""
        names = [exp.to_identifier(name, quoted=True) for name in (*self._columns, *COLUMNS)]
        inner = exp.Subquery(this=rows.query, alias=exp.TableAlias(this=exp.to_identifier("rows"), columns=names))
        failed = named(exp.cast(exp.null(), "INTEGER"), _FAILED)
        run(connection, create(self._table, exp.select(exp.Star(), failed).from_(inner)))
        self.rows, self.bad = duck.run(connection, self._count)[0]
        self.show(connection)
        return BatchInput(self._shown, rows=self.rows, arrivals=rows.arrivals)

    def show(self, connection: Connection, first: int = 0, last: int = _LAST) -> None:
        """Let the stream have the rows from number `first` to `last` alone."""
        for name, value in zip(self._names, (first, last), strict=True):
            connection.execute(f"SET VARIABLE {name} = {value}::BIGINT").fetchall()

    def fail(self, connection: Connection, rows: Sequence[int], *, at: int) -> None:
        """Leave rows out. The first of them is failure number `at`, the next `at + 1` and so on."""
        if not rows:
            return
        values = exp.values([(row, at + index) for index, row in enumerate(rows)], alias="f", columns=["row", "number"])
        same = exp.EQ(this=exp.column("rowid", self._table), expression=column("row", "f"))
        update = exp.Update(
            this=exp.to_table(self._table),
            expressions=[exp.EQ(this=column(_FAILED), expression=column("number", "f"))],
            from_=exp.From(this=values),
            where=exp.Where(this=same),
        )
        run(connection, sql_text(update))

    def numbered(self) -> exp.Select:
        """The rows that are shown, with their numbers in the column `suspects.ROW`."""
        return self._shown.copy().select(named(exp.column("rowid"), ROW), copy=False)

    def release(self, connection: Connection) -> None:
        """Let go of the rows."""
        run(connection, sql_text(exp.Drop(tables=[exp.to_table(self._table)], kind="TABLE", exists=True)))

    # ── letters ─────────────────────────────────────────────────────────────────────────────────────────────

    def bad_records(self) -> exp.Query:
        """A letter for every bad record."""
        return self._letters(exp.Literal.string(BAD_RECORD), exp.Literal.string(_BROKEN)).where(column(BAD))

    def failures(self, reasons: str) -> exp.Query:
        """A letter for every row that `fail` left out.

        Args:
            reasons: a table of `number`, `error_class` and `reason`.
        """
        same = exp.EQ(this=column(_FAILED, self._table), expression=column("number", reasons))
        return self._letters(column("error_class", reasons), column("reason", reasons)).join(reasons, on=same)

    def _letters(self, error_class: exp.Expr, reason: exp.Expr) -> exp.Select:
        text = column(RECORD)
        is_text = exp.Not(this=exp.Is(this=text.copy(), expression=exp.null()))
        own = self._source.format if isinstance(self._source, KeepsRecords) else "json"
        kind = exp.Case(ifs=[exp.If(this=is_text, true=exp.Literal.string(own))], default=exp.Literal.string("json"))
        header = exp.Case(ifs=[exp.If(this=is_text.copy(), true=column(HEADER))])
        values = {
            "source": exp.Literal.number(self.number),
            "row": exp.column("rowid", self._table),
            "error_class": error_class,
            "reason": reason,
            "record": exp.Coalesce(this=text, expressions=[self._as_json()]),
            "format": kind,
            "header": header,
            "file": column(FILE),
            **{name: self._kafka(name) for name in _KAFKA},
        }
        return exp.select(*(named(value, name) for name, value in values.items())).from_(self._table)

    def _kafka(self, name: str) -> exp.Expr:
        """The place of a row that has Kafka's columns."""
        known = {field.name: (at, field.dataType) for at, field in enumerate(self._source.schema.fields)}
        if any(known.get(each, (0, None))[1] != wanted for each, wanted in _KAFKA.items()):
            return exp.null()
        return column(self._columns[known[name][0]])

    def _as_json(self) -> exp.Expr:
        """The row, without its NULLs. Built field by field: names may differ in case alone, which no struct takes."""
        writer = JsonWriter(FunctionCall("to_json", (), time_zone=self._time_zone), {})
        pairs = [
            exp.DPipe(
                this=exp.Literal.string(json.dumps(field.name) + ":"),
                expression=writer.text(column(name), field.dataType),
            )
            for field, name in zip(self._source.schema.fields, self._columns, strict=True)
            if field.name != FILE_FIELD.name
        ]
        listed = exp.Anonymous(
            this="array_to_string", expressions=[exp.Array(expressions=pairs), exp.Literal.string(",")]
        )
        return exp.Anonymous(this="concat", expressions=[exp.Literal.string("{"), listed, exp.Literal.string("}")])

"""The table of dead letters: a Delta table of the rows that a stream could not take, each once.

    df.writeStream.option("deadLetterPath", "/lake/dead_letters")…
    df.writeStream.option("deadLetterTable", "ops.dead_letters")…

Its format is `docs/spec/dead_letters.md`. Many streams may share a table. A batch writes at most two commits here, both
before its rows are in the sink: its bad records, and its failing rows. Each carries a transaction counter of the query,
so that a batch that runs again adds nothing.

Invariants: a row is in the sink or here, never in both and never in neither, as long as its source reads it as before;
what failed in a batch once is left out of it for ever, though it may not fail again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType, TimestampType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import IllegalArgumentError, SparkError
from headwater.io.formats.base import FormatOptions
from headwater.lake.create import NewTable, create
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.plan.identifiers import parse_name
from headwater.sinks.base import SinkContext, SinkRequest
from headwater.sinks.delta import location_of

PATH, TABLE, MOST = "deadLetterPath", "deadLetterTable", "deadLetterMaxRowsPerBatch"
Kind = Literal["bad records", "failing rows"]

SCHEMA = StructType(
    [
        StructField("query_id", StringType()),
        StructField("query_name", StringType()),
        StructField("batch_id", LongType()),
        StructField("source", IntegerType()),
        StructField("row", LongType()),
        StructField("failed_at", TimestampType()),
        StructField("error_class", StringType()),
        StructField("reason", StringType()),
        StructField("record", StringType()),
        StructField("format", StringType()),
        StructField("header", StringType()),
        StructField("file", StringType()),
        StructField("topic", StringType()),
        StructField("partition", IntegerType()),
        StructField("offset", LongType()),
        StructField("replay", StringType()),
        StructField("replayed_at", TimestampType()),
    ]
)
"""A dead letter. `source` and `row` count from 0: the stream of the query, and the row among its rows in the batch."""


@dataclass(frozen=True)
class DeadLetterOptions:
    """Where dead letters go.

    Attributes:
        path, table: one of them is given, the other is empty.
        most: a batch with more of them fails; None: any number of bad records, and 10,000 failing rows.
    """

    path: str
    table: tuple[str, ...]
    most: int | None

    @classmethod
    def of(cls, options: FormatOptions) -> DeadLetterOptions | None:
        """From a writer's options; None if they name no place. Raises INVALID_SOURCE_OPTION."""
        path, table = options.text(PATH), options.text(TABLE)
        most = options.number(MOST)
        if path and table:
            reason = f"give {PATH} or {TABLE}, not both"
            raise IllegalArgumentError("INVALID_SOURCE_OPTION", option=TABLE, value=table, reason=reason)
        if most is not None and most < 0:
            raise IllegalArgumentError("INVALID_SOURCE_OPTION", option=MOST, value=most, reason="it counts rows")
        if not path and not table:
            return None
        return cls(path, parse_name(table) if table else (), most)

    @property
    def place(self) -> tuple[str, str]:
        """The option that names it, and its value."""
        return (TABLE, ".".join(self.table)) if self.table else (PATH, self.path)


class DeadLetters:
    """One query's end of a table of dead letters. Makes the table if there is none.

    Raises INVALID_SOURCE_OPTION for a table of other columns, DELTA_NOT_A_DELTA_TABLE.
    """

    def __init__(self, options: DeadLetterOptions, context: SinkContext) -> None:
        self._query_id, self._query_name = context.query_id, context.query_name
        self.most = options.most
        self._clock = context.clock
        request = SinkRequest("delta", FormatOptions(), "append", SCHEMA, table=options.table)
        location = location_of(request, context, None) if options.table else options.path
        self._table = LakeTable.at(context.mounts.local(location), context.storage, context.clock)
        self._make()
        missing = [field.name for field in SCHEMA.fields if field.name not in self._table.schema.names]
        if missing:
            option, place = options.place
            reason = f"the table there is of something else: it has no column `{missing[0]}`"
            raise IllegalArgumentError("INVALID_SOURCE_OPTION", option=option, value=place, reason=reason)

    def _make(self) -> None:
        if self._table.version >= 0:
            return
        try:
            create(self._table, NewTable(SCHEMA))
        except SparkError:
            if self._table.refresh() < 0:  # another query has made it
                raise

    def has(self, kind: Kind, batch_id: int) -> bool:
        """Whether a batch's letters are there."""
        self._table.refresh()
        version = self._table.transaction_version(self._counter(kind))
        return version is not None and version >= batch_id

    def add(self, connection: Connection, kind: Kind, batch_id: int, letters: exp.Query) -> None:
        """Write a batch's letters, once. `letters` has the columns of `SCHEMA`, those of the query left out."""
        mine: list[exp.Expr] = [
            _as(exp.Literal.string(self._query_id), "query_id"),
            _as(exp.Literal.string(self._query_name) if self._query_name else exp.null(), "query_name"),
            _as(exp.Literal.number(batch_id), "batch_id"),
        ]
        now = exp.Anonymous(this="make_timestamptz", expressions=[exp.Literal.number(self._clock.now_ms() * 1000)])
        moments: dict[str, exp.Expr] = {"failed_at": now, "replay": exp.null(), "replayed_at": exp.null()}
        rest = [
            _as(moments[field.name], field.name) if field.name in moments else exp.column(field.name, quoted=True)
            for field in SCHEMA.fields[3:]
        ]
        rows = exp.select(*mine, *rest).from_(exp.Subquery(this=letters, alias=exp.TableAlias(this="letters")))
        parameters = {"outputMode": "Append", "queryId": self._query_id, "epochId": str(batch_id)}
        operation = Operation("STREAMING UPDATE", parameters)
        self._table.append(connection, rows, SCHEMA, txn=(self._counter(kind), batch_id), operation=operation)

    def failed(self, connection: Connection, batch_id: int) -> list[tuple[int, int]]:
        """Source and row of what is kept of a batch's failing rows."""
        self._table.refresh()
        where = {"query_id": exp.Literal.string(self._query_id), "batch_id": exp.Literal.number(batch_id)}
        tests: list[exp.Expr] = [
            exp.EQ(this=exp.column(column, quoted=True), expression=value) for column, value in where.items()
        ]
        tests.append(exp.NEQ(this=exp.column("error_class"), expression=exp.Literal.string(BAD_RECORD)))
        rows = exp.Subquery(this=self._table.snapshot().query(), alias=exp.TableAlias(this="letters"))
        query = exp.select("source", exp.column("row", quoted=True)).from_(rows).where(*tests)
        return [(int(source), int(row)) for source, row in connection.execute(sql_text(query)).fetchall()]

    def _counter(self, kind: Kind) -> str:
        return f"{self._query_id} {kind}"


BAD_RECORD = "MALFORMED_RECORD_IN_PARSING"
"""The error class of a record that is none."""


def _as(value: exp.Expr, name: str) -> exp.Expr:
    return exp.alias_(value, name, quoted=True)

"""MERGE into a Delta table: which rows of which files a source touches, and what the files become.

The source and the pairs (target row, source row, clause) are temporary tables of the connection, so every expression is
computed once per row and a source that is not deterministic is read once. Only files with a touched row are written
again; rows of them that no clause takes stay as they are. Where the table records its changes, the new rows are a
temporary table too: the data and the record must hold the same values, and an expression may give others each time.

Invariants: a row is changed by the first clause whose condition holds (null counts as not); a target row that several
source rows would change is an error, unless all they can do is delete it; a source row is inserted only if it met no
target row at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pyspark.sql.types import StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import ConcurrentWriteError, SparkError, unsupported
from headwater.lake import change_feed
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.bounds import Statistics
from headwater.lake.conflicts import NOTHING, Reads, reads
from headwater.lake.partitions import PartitionPredicate
from headwater.lake.pruning import matching
from headwater.lake.snapshot import ROW_NUMBER, local_path, read_files
from headwater.lake.transaction import Operation
from headwater.plan.expressions import Expression
from headwater.types.duck import to_duck

Kind = Literal["update", "delete", "insert"]
When = Literal["matched", "not_matched", "not_matched_by_source"]

SOURCE = "merge_source"
"""The temporary table of the source's rows."""
_PAIRS, _MADE = "merge_pairs", "merge_made"
_FILE, _ROW, _SOURCE_ROW, _CLAUSE = "target_file", "target_row", "source_row", "clause_"


def target_column(index: int) -> str:
    """The name that expressions of a merge use for the table's column `index`."""
    return f"target_{index}"


@dataclass(frozen=True)
class Clause:
    """One WHEN clause.

    Attributes:
        condition: over target and source columns; None: always.
        values: the row's new values, one for each column of the table; () for `delete`.
    """

    when: When
    kind: Kind
    condition: exp.Expr | None = None
    values: tuple[exp.Expr, ...] = ()


@dataclass(frozen=True)
class Merge:
    """A merge whose source is in the temporary table `SOURCE`.

    Attributes:
        schema: the table's columns when it is done.
        on: over `target_column(i)` and the source's columns.
        clauses: in the order they are tried.
        txn: (application, version): the merge is done once for it.
        target: what `on` asks of the table's columns alone; files that cannot meet it are not read.
        time_zone: of times in `target` that name none.
    """

    schema: StructType
    on: exp.Expr
    clauses: tuple[Clause, ...]
    operation: Operation
    txn: tuple[str, int] | None = None
    target: tuple[Expression, ...] = ()
    time_zone: str = "UTC"

    @property
    def changes_rows(self) -> bool:
        """Whether it may update or delete."""
        return any(clause.kind != "insert" for clause in self.clauses)

    def inserted(self, schema: StructType) -> list[str]:
        """The columns that each INSERT clause gives itself."""
        inserts = [clause.values for clause in self.clauses if clause.kind == "insert"]
        return [
            field.name
            for index, field in enumerate(schema.fields)
            if not any(isinstance(values[index], exp.Null) for values in inserts)
        ]


@dataclass(frozen=True)
class Counts:
    """How many rows a merge has changed."""

    updated: int = 0
    deleted: int = 0
    inserted: int = 0

    @property
    def affected(self) -> int:
        """All of them."""
        return self.updated + self.deleted + self.inserted


class Merging:
    """One merge against the files of one version. Call `find`, then read `counts`, `touched` and `rows`."""

    def __init__(self, connection: Connection, path: str, metadata: Metadata, merge: Merge) -> None:
        self._connection = connection
        self._path = path
        self._metadata = metadata
        self._merge = merge
        self._recorded = merge.changes_rows and change_feed.enabled(metadata)
        self.touched: tuple[AddFile, ...] = ()
        self.reads: Reads = NOTHING
        self.counts = Counts()
        if any(field.name.lower() == ROW_NUMBER for field in metadata.schema.fields):
            raise unsupported(f"changing rows of a table with a column `{ROW_NUMBER}`", "Rename the column.")

    def find(self, files: Sequence[AddFile]) -> None:
        """Match source and target.

        Raises DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE.
        """
        partitions = self._partitions()
        files = self._candidates(partitions.possible(files))
        self.reads = reads(files, partitions.first)
        self._run(_temporary(_PAIRS, self._pairs(files)))
        self._check_cardinality()
        names = {row[0] for row in self._run(exp.select(_FILE).distinct().from_(_PAIRS).where(_taken(_CLAUSE)))}
        self.touched = tuple(file for file in files if local_path(self._path, file) in names)
        self._count()

    def rows(self) -> exp.Query | None:
        """The rows to write, under the table's columns; None if there are none to write."""
        if self._recorded:
            return self._rows_as_made()
        parts: list[exp.Query] = [self._kept()] if self.touched else []
        if self.counts.inserted:
            parts.append(self._inserted(self._outputs("insert")))
        if not parts:
            return None
        return _union(parts)

    def changes(self) -> exp.Query | None:
        """What to record, once `rows` was called: the table's columns, then `_change_type`; None: nothing has to be."""
        # A version that only adds rows tells so by its files.
        if not self._recorded or not self.touched:
            return None
        before = {"update": "update_preimage", "delete": "delete"}
        taken = [(number, before[one.kind]) for number, one in enumerate(self._merge.clauses) if one.kind in before]
        kind = exp.Case()
        for number, name in taken:
            kind = kind.when(self._is(number), exp.Literal.string(name))
        # A deleted row may have met several source rows.
        pairs = exp.select(_FILE, _ROW, _CLAUSE).distinct().from_(_PAIRS).where(_taken(_CLAUSE)).subquery("taken_")
        old = exp.Select(
            expressions=[*self._columns(), _alias(kind, change_feed.TYPE)],
            from_=exp.From(this=self._target(self.touched)),
            joins=[exp.Join(this=pairs, on=_same_row())],
        )
        return exp.Union(this=old, expression=exp.select("*").from_(_MADE), distinct=False)

    def metrics(self, adds: Sequence[AddFile]) -> dict[str, int]:
        """What the table's history tells of it, by Delta's names."""
        written, counts = sum(file.rows or 0 for file in adds), self.counts
        changed = {"Inserted": counts.inserted, "Updated": counts.updated, "Deleted": counts.deleted}
        changed["Copied"] = written - counts.inserted - counts.updated
        files = {"numTargetFilesAdded": len(adds), "numTargetFilesRemoved": len(self.touched)}
        return {**{f"numTargetRows{what}": rows for what, rows in changed.items()}, **files}

    # ── matching ────────────────────────────────────────────────────────────────────────────────────────────

    def _candidates(self, files: Sequence[AddFile]) -> Sequence[AddFile]:
        """The files that may hold rows which a clause takes: all, if one takes those that meet no source row."""
        if self._takes_all or not self._merge.target:
            return files
        return matching(Statistics(self._metadata, files), self._merge.target, self._merge.time_zone)

    @property
    def _takes_all(self) -> bool:
        return any(one.when == "not_matched_by_source" for one in self._merge.clauses)

    def _partitions(self) -> PartitionPredicate:
        """What it asks of the table's partitions: that of no others may anybody change rows meanwhile."""
        condition = exp.true() if self._takes_all else self._merge.on

        def name(index: int, _: StructField) -> str:
            return target_column(index)

        return PartitionPredicate.within(self._connection, self._metadata, condition, name)

    def _pairs(self, files: Sequence[AddFile]) -> exp.Query:
        """(file, row, source row, clause) of every match, and of unmatched target rows that a clause takes."""
        by_source = self._choice("not_matched_by_source")
        matched = self._choice("matched") or exp.Cast(this=exp.Null(), to=exp.DataType.build("int"))
        clause: exp.Expr = matched
        if by_source is not None:
            met = exp.Not(this=exp.Is(this=exp.column(_SOURCE_ROW), expression=exp.Null()))
            clause = exp.Case().when(met, matched).else_(by_source)
        join = exp.Join(this=_source(), on=self._merge.on.copy())
        if by_source is not None:
            join.set("side", "LEFT")
        names = [exp.column(name) for name in (_FILE, _ROW, _SOURCE_ROW)]
        found = exp.Select(
            expressions=[*names, _alias(clause, _CLAUSE)], from_=exp.From(this=self._target(files)), joins=[join]
        )
        wanted: exp.Expr = _taken(_CLAUSE)
        if any(one.kind == "insert" for one in self._merge.clauses):
            wanted = exp.Or(this=_taken(_SOURCE_ROW), expression=wanted)
        return exp.select("*").from_(found.subquery("found_")).where(wanted)

    def _choice(self, when: When) -> exp.Expr | None:
        """The number of the clause that takes a row; None if there is no such clause."""
        choice = exp.Case()
        numbers = [(number, one) for number, one in enumerate(self._merge.clauses) if one.when == when]
        if not numbers:
            return None
        for number, one in numbers:
            test = exp.true() if one.condition is None else one.condition.copy()
            choice = choice.when(test, exp.Literal.number(number))
        return choice

    def _target(self, files: Sequence[AddFile]) -> exp.Subquery:
        """The rows of files with their identity, columns named by position."""
        names = [target_column(index) for index in range(len(self._metadata.schema.fields))]
        alias = exp.TableAlias(
            this=exp.to_identifier("target_rows"),
            columns=[exp.to_identifier(name) for name in (*names, _FILE, _ROW)],
        )
        query = read_files(self._path, self._metadata, files, _FILE, row_column=_ROW)
        return exp.Subquery(this=query, alias=alias)

    def _check_cardinality(self) -> None:
        matched = [one for one in self._merge.clauses if one.when == "matched"]
        if not matched or (len(matched) == 1 and matched[0].kind == "delete" and matched[0].condition is None):
            return
        both = exp.And(this=_taken(_CLAUSE), expression=_taken(_SOURCE_ROW))
        several = exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1))
        repeated = exp.select("1").from_(_PAIRS).where(both).group_by(_FILE, _ROW).having(several).limit(1)
        if self._run(repeated):
            raise SparkError("DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE")

    def _count(self) -> None:
        row = exp.Tuple(expressions=[exp.column(_FILE), exp.column(_ROW)])
        distinct = exp.Count(this=exp.Distinct(expressions=[row]))
        counted = exp.select(_CLAUSE, distinct).from_(_PAIRS).where(_taken(_CLAUSE)).group_by(_CLAUSE)
        totals = {"update": 0, "delete": 0, "insert": 0}
        for number, count in self._run(counted):
            totals[self._merge.clauses[number].kind] += count
        if any(one.kind == "insert" for one in self._merge.clauses):
            totals["insert"] = self._run(self._inserted([exp.Count(this=exp.Star())]))[0][0]
        self.counts = Counts(totals["update"], totals["delete"], totals["insert"])

    # ── the new rows ────────────────────────────────────────────────────────────────────────────────────────

    def _kept(self) -> exp.Select:
        """The rows of the touched files, updated, without the deleted."""
        query = self._with_pairs(self._outputs("update"))
        deletes = [number for number, one in enumerate(self._merge.clauses) if one.kind == "delete"]
        if deletes:
            gone = exp.In(this=exp.column(_CLAUSE), expressions=[exp.Literal.number(n) for n in deletes])
            query = query.where(exp.Not(this=exp.Coalesce(this=gone, expressions=[exp.false()])))
        return query

    def _with_pairs(self, outputs: Sequence[exp.Expr]) -> exp.Select:
        """Of the touched files' rows, each with the clause that takes it, if any, and the source row."""
        pairs = exp.select("*").from_(_PAIRS).where(_taken(_CLAUSE)).subquery("taken_")
        source = exp.EQ(this=exp.column(_SOURCE_ROW, "source_rows"), expression=exp.column(_SOURCE_ROW, "taken_"))
        joins = [exp.Join(this=pairs, side="LEFT", on=_same_row()), exp.Join(this=_source(), side="LEFT", on=source)]
        return exp.Select(expressions=list(outputs), from_=exp.From(this=self._target(self.touched)), joins=joins)

    def _rows_as_made(self) -> exp.Query | None:
        """As `rows`; the new rows, with their `_change_type`, are computed here and kept."""
        updates = [self._is(number) for number, one in enumerate(self._merge.clauses) if one.kind == "update"]
        parts: list[exp.Query] = []
        if updates and self.touched:
            after = _alias(exp.Literal.string("update_postimage"), change_feed.TYPE)
            parts.append(self._with_pairs([*self._outputs("update"), after]).where(exp.or_(*updates)))
        if self.counts.inserted or not parts:
            added = _alias(exp.Literal.string("insert"), change_feed.TYPE)
            parts.append(self._inserted([*self._outputs("insert"), added]))
        self._run(_temporary(_MADE, _union(parts)))
        columns = [exp.column(field.name, quoted=True) for field in self._metadata.schema.fields]
        made = exp.Select(expressions=columns, from_=exp.From(this=exp.to_table(_MADE)))
        if not self.touched:
            return made if self.counts.inserted else None
        untaken = exp.Is(this=exp.column(_CLAUSE), expression=exp.Null())
        return _union([self._with_pairs(self._columns()).where(untaken), made])

    def _columns(self) -> list[exp.Expr]:
        """The target's columns under their own names."""
        fields = enumerate(self._metadata.schema.fields)
        return [_alias(exp.column(target_column(index)), field.name) for index, field in fields]

    @staticmethod
    def _is(clause: int) -> exp.Expr:
        return exp.EQ(this=exp.column(_CLAUSE), expression=exp.Literal.number(clause))

    def _inserted(self, outputs: Sequence[exp.Expr]) -> exp.Select:
        """The source rows that an INSERT clause takes."""
        choice = self._choice("not_matched") or exp.Null()
        met = exp.select(_SOURCE_ROW).from_(_PAIRS).where(_taken(_SOURCE_ROW)).subquery("met_")
        same = exp.EQ(this=exp.column(_SOURCE_ROW, "source_rows"), expression=exp.column(_SOURCE_ROW, "met_"))
        rest = exp.Select(
            expressions=[exp.Column(this=exp.Star(), table=exp.to_identifier("source_rows")), _alias(choice, _CLAUSE)],
            from_=exp.From(this=_source()),
            joins=[exp.Join(this=met, kind="ANTI", on=same)],
        )
        return exp.Select(expressions=list(outputs), from_=exp.From(this=rest.subquery("new_"))).where(_taken(_CLAUSE))

    def _outputs(self, kind: Kind) -> list[exp.Expr]:
        """Each column's value by the clause that took the row; for updates, else the value it had."""
        outputs = []
        takers = [(number, one) for number, one in enumerate(self._merge.clauses) if one.kind == kind]
        for index, field in enumerate(self._metadata.schema.fields):
            before: exp.Expr = exp.column(target_column(index)) if kind == "update" else exp.Null()
            value = exp.Case(default=before)
            for number, one in takers:
                taken = exp.EQ(this=exp.column(_CLAUSE), expression=exp.Literal.number(number))
                value = value.when(taken, one.values[index].copy())
            made = value if takers else before
            outputs.append(_alias(exp.Cast(this=made, to=to_duck(field.dataType)), field.name))
        return outputs

    def _run(self, tree: exp.Expr) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql_text(tree)).fetchall()


def check(metadata: Metadata, merge: Merge) -> None:
    """Raise if the table may not be changed so, or is no longer what the expressions were made for."""
    if merge.changes_rows and metadata.configuration.get("delta.appendOnly", "").lower() == "true":
        raise SparkError("DELTA_CANNOT_MODIFY_APPEND_ONLY", table_name=metadata.name or metadata.id)
    if metadata.schema.names != merge.schema.names:
        raise ConcurrentWriteError("DELTA_METADATA_CHANGED", version="unknown", operation="unknown operation")


def keep_source(connection: Connection, query: exp.Query, columns: Sequence[str]) -> int:
    """Compute the source into `SOURCE`, its columns named by position; returns the number of rows."""
    alias = exp.TableAlias(this=exp.to_identifier("given_"), columns=[exp.to_identifier(name) for name in columns])
    rows = exp.select("*").from_(exp.Subquery(this=query, alias=alias))
    made = connection.execute(sql_text(_temporary(SOURCE, rows))).fetchall()
    return int(made[0][0])


def _temporary(name: str, query: exp.Query) -> exp.Create:
    properties = exp.Properties(expressions=[exp.TemporaryProperty()])
    return exp.Create(this=exp.to_table(name), kind="TABLE", replace=True, properties=properties, expression=query)


def _source() -> exp.Subquery:
    """The source's rows, numbered."""
    numbered = exp.select("*", _alias(exp.column("rowid"), _SOURCE_ROW)).from_(SOURCE)
    return exp.Subquery(this=numbered, alias=exp.TableAlias(this=exp.to_identifier("source_rows")))


def _same_row() -> exp.Expr:
    """A target row and the pair it is in."""
    same = [exp.EQ(this=exp.column(n, "target_rows"), expression=exp.column(n, "taken_")) for n in (_FILE, _ROW)]
    return exp.And(this=same[0], expression=same[1])


def _union(parts: Sequence[exp.Query]) -> exp.Query:
    return parts[0] if len(parts) == 1 else exp.Union(this=parts[0], expression=parts[1], distinct=False)


def _taken(name: str) -> exp.Expr:
    return exp.Not(this=exp.Is(this=exp.column(name), expression=exp.Null()))


def _alias(value: exp.Expr, name: str) -> exp.Expr:
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))

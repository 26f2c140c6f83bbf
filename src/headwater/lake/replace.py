"""Replacing the rows of a Delta table that meet a condition: which files leave, and which of their rows stay.

Invariants: rows that do not meet the condition (null counts as not) are never lost: a file that holds some is
written again without the others; new rows that do not meet it are refused before anything is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.change_feed import TYPE
from headwater.lake.snapshot import local_path, read_files

_FILE = "file_"


@dataclass(frozen=True)
class Replacement:
    """What a condition touches.

    Attributes:
        removed: files with at least one row that meets the condition.
        kept: their other rows, under the table's columns; None if there are none.
        gone: the rows that meet it, likewise; None if the removed files hold no others.
    """

    removed: tuple[AddFile, ...]
    kept: exp.Query | None
    gone: exp.Query | None = None


def find(
    connection: Connection, path: str, metadata: Metadata, files: Sequence[AddFile], condition: exp.Expr
) -> Replacement:
    """Look for the rows of `files` that meet `condition`, a DuckDB predicate over the table's columns."""
    counted = exp.select(exp.column(_FILE), exp.Count(this=exp.Star()), exp.CountIf(this=_met(condition))).from_(
        _rows(read_files(path, metadata, files, _FILE))
    )
    found = connection.execute(sql_text(counted.group_by(exp.column(_FILE)))).fetchall()
    matches = {name: (rows, met) for name, rows, met in found if met}
    removed = tuple(file for file in files if local_path(path, file) in matches)
    mixed = [file for file in removed if len(set(matches[local_path(path, file)])) > 1]
    if not mixed:
        return Replacement(removed, None)
    kept = exp.select("*").from_(_rows(read_files(path, metadata, mixed))).where(exp.Not(this=_met(condition)))
    gone = exp.select("*").from_(_rows(read_files(path, metadata, removed))).where(_met(condition))
    return Replacement(removed, kept, gone)


def changes(path: str, metadata: Metadata, adds: Sequence[AddFile], found: Replacement) -> exp.Query | None:
    """What to record of it: the rows of the new files and those that are gone; None if the files say it themselves."""
    if found.gone is None:
        return None
    new = _typed(read_files(path, metadata, adds), "insert")
    return exp.Union(this=_typed(found.gone, "delete"), expression=new, distinct=False)


def _typed(query: exp.Query, kind: str) -> exp.Select:
    alias = exp.Alias(this=exp.Literal.string(kind), alias=exp.to_identifier(TYPE, quoted=True))
    return exp.Select(expressions=[exp.Star(), alias], from_=exp.From(this=_rows(query)))


def check(connection: Connection, path: str, metadata: Metadata, files: Sequence[AddFile], condition: exp.Expr) -> None:
    """Raise DELTA_REPLACE_WHERE_MISMATCH if a row of the new `files` does not meet the condition."""
    strangers = exp.select(exp.Count(this=exp.Star())).from_(_rows(read_files(path, metadata, files)))
    row = connection.execute(sql_text(strangers.where(exp.Not(this=_met(condition))))).fetchone()
    if row is not None and row[0]:
        raise AnalysisError(
            "DELTA_REPLACE_WHERE_MISMATCH",
            replaceWhere=condition.sql(dialect="databricks"),
            message=f"{row[0]} of the written rows do not meet it.",
        )


def _met(condition: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=exp.paren(condition.copy()), expressions=[exp.false()])


def _rows(query: exp.Query) -> exp.Subquery:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("rows_")))

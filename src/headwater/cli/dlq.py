"""`headwater dlq`: look at dead letters, and give them back to the stream that could not take them.

Invariant: a letter is given back once. Before its record is written anywhere, the letter tells into which file
(`replay`); a replay that dies is finished by the next one, which writes no file that is there.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headwater.cli.options import Where, find_config, where_options
from headwater.cli.process import embedded_server, exit_code_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headwater.io.mounts import Mounts

_RECORDS = 10_000
"""So many records are written to a file."""
_SHOWN = ("batch_id", "source", "row", "error_class", "reason", "record", "file", "replay")
_ORDER = ("format", "header", "query_id", "batch_id", "source", "row")

_letters = click.argument("letters", metavar="LETTERS")
_where = click.option("--where", "condition", metavar="SQL", help="Only letters for which this holds.")


@click.group()
def command() -> None:
    """Look at dead letters, and give them back. LETTERS is the path of their table, or its name."""


@command.command()
@_letters
@_where
@click.option("--limit", default=20, show_default=True, help="Print at most this many letters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per letter, with all its columns.")
@where_options
def show(letters: str, condition: str | None, limit: int, as_json: bool, **where: Any) -> None:
    """Print how many letters there are of each error class, and the newest of them.

    \b
    Examples:
        headwater dlq show /lake/dead_letters
        headwater dlq show ops.dead_letters --where "error_class = 'CAST_INVALID_INPUT'" --json
    """
    with _session(**where) as (spark, _):
        rows = _chosen(spark, letters, condition)
        newest = rows.orderBy("failed_at", "batch_id", "source", "row", ascending=False).limit(limit)
        if as_json:
            for row in newest.toLocalIterator():
                click.echo(json.dumps(row.asDict(recursive=True), default=str, ensure_ascii=False))
            return
        counts = rows.selectExpr("error_class", "replayed_at IS NOT NULL AS replayed").groupBy(
            "error_class", "replayed"
        )
        counts.count().orderBy("error_class", "replayed").show(1000, truncate=False)
        newest.select(*_SHOWN).show(limit, truncate=60)


@command.command()
@_letters
@_where
@click.option("--to", "target", required=True, metavar="DIR", help="The folder that the stream reads.")
@where_options
def replay(letters: str, condition: str | None, target: str, **where: Any) -> None:
    """Write the records of letters as files into a folder, from where the stream takes them again.

    Mend the query or the records first, for example with UPDATE … SET record = …. A letter is given back once, also if
    this is killed: run it again then. Records are as they were in their files (JSON lines, CSV with its header, XML
    elements); rows of other sources are JSON lines.

    \b
    Example:
        headwater dlq replay /lake/dead_letters --to /lake/in --where "error_class = 'CAST_INVALID_INPUT'"
    """
    with _session(**where) as (spark, mounts):
        count = _finish(spark, letters, mounts)
        if count:
            click.echo(f"finished a replay that was interrupted: {count} records")
        name = f"{mounts.uri(target).rstrip('/')}/replay-{uuid.uuid4()}"
        open_ = f"replay IS NULL AND ({condition or 'true'})"
        spark.sql(f"UPDATE {_name(letters)} SET replay = :name WHERE {open_}", args={"name": name})
        click.echo(f"replayed {_finish(spark, letters, mounts)} records into {target}")


@contextmanager
def _session(mounts: tuple[str, ...], config: Path | None, warehouse: Path) -> Iterator[tuple[SparkSession, Mounts]]:
    """A client of a server of its own; its errors are printed."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    with embedded_server(Where(mounts, config or find_config(), warehouse)) as server:
        try:
            yield SparkSession.builder.getOrCreate(), server.runtime.mounts
        except PySparkException as error:
            click.echo(str(error), err=True)
            raise SystemExit(exit_code_of(error)) from error


def _name(letters: str) -> str:
    return f"delta.`{letters}`" if "/" in letters or Path(letters).is_dir() else letters


def _chosen(spark: SparkSession, letters: str, condition: str | None) -> DataFrame:
    rows = spark.table(_name(letters))
    return rows.where(condition) if condition else rows


# ── replay ──────────────────────────────────────────────────────────────────────────────────────────────────


def _finish(spark: SparkSession, letters: str, mounts: Mounts) -> int:
    """Write the records of letters that tell their file and are not given back yet; how many."""
    from headwater.crash import crash_point

    begun = _chosen(spark, letters, "replay IS NOT NULL AND replayed_at IS NULL")
    count = 0
    for (name,) in begun.select("replay").distinct().collect():
        rows = begun.where(begun["replay"] == name).orderBy(*_ORDER).select("format", "header", "record")
        count += _write(rows, mounts.local(name))
        crash_point("dlq.written")
        done = "SET replayed_at = current_timestamp() WHERE replay = :name"
        spark.sql(f"UPDATE {_name(letters)} {done}", args={"name": name})
    return count


def _write(rows: DataFrame, name: str) -> int:
    """Records, in order, into files of one format and header each."""
    from headwater.crash import crash_point
    from headwater.io.routing import RoutedStorage

    storage, count, number = RoutedStorage(), 0, 0
    for (kind, header), group in groupby(rows.toLocalIterator(), key=lambda row: (row["format"], row["header"])):
        records = (row["record"] for row in group)
        for chunk in _chunks(records, kind):
            path = f"{name}-{number:05}.{kind}"
            if not storage.exists(path):
                storage.create(path, _text(chunk, kind, header).encode())
                crash_point("dlq.file")
            count, number = count + len(chunk), number + 1
    return count


def _chunks(records: Iterator[str], kind: str) -> Iterator[list[str]]:
    """Records that may share a file: a JSON document of several lines has one of its own."""
    while chunk := list(islice(records, _RECORDS)):
        if kind != "json":
            yield chunk
            continue
        lines = [record for record in chunk if "\n" not in record]
        if lines:
            yield lines
        yield from ([record] for record in chunk if "\n" in record)


def _text(records: list[str], kind: str, header: str | None) -> str:
    lines = [header, *records] if header is not None else records
    if kind == "xml":
        lines = ["<records>", *lines, "</records>"]
    return "".join(f"{line}\n" for line in lines)

"""`headwater checkpoint`: look at a checkpoint, verify its files, and delete what is in the way of a start.

Invariant: exit codes are 0 all is well, 2 usage, 3 something is damaged.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from headwater.streaming.inspection import Inspection, Summary, Verdict

REFUSED = 3

_folder = click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))


@click.group()
def command() -> None:
    """Look at a checkpoint, verify it, repair it. Exit code 3 if a file is damaged."""


@command.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(folder: Path, as_json: bool) -> None:
    """Print where a query stands: batches, lag, offsets, watermark, and the size of its state.

    \b
    Example:
        headwater checkpoint inspect /tmp/checkpoint
    """
    from headwater.errors import SparkError

    try:
        summary = _opened(folder).summary()
    except (SparkError, ValueError) as error:
        click.echo(str(error), err=True)
        raise SystemExit(REFUSED) from error
    if as_json:
        click.echo(json.dumps({**asdict(summary), "lag": summary.lag}))
        return
    for line in _lines(summary):
        click.echo(line)


@command.command()
@_folder
@click.option("--all", "everything", is_flag=True, help="Name the good files too.")
def verify(folder: Path, everything: bool) -> None:
    """Check every file against its checksum, and that none is missing.

    \b
    good       the checksum matches
    unchecked  there is no checksum beside the file
    orphan     nothing reads it: a killed process or an interrupted run left it
    damaged    it is cut off, changed or missing
    """
    verdicts = _opened(folder).verdicts()
    for verdict in verdicts:
        if everything or verdict.state in ("damaged", "orphan"):
            click.echo(_line(verdict))
    counts = {state: sum(v.state == state for v in verdicts) for state in ("good", "unchecked", "orphan", "damaged")}
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    raise SystemExit(REFUSED if counts["damaged"] else 0)


@command.command()
@_folder
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
def repair(folder: Path, dry_run: bool) -> None:
    """Delete what is in the way: files that nothing reads, and the newest entry of a log if it is damaged.

    Stop the query first. Without its newest entry in `commits` a batch is run again; sinks that know their batches
    (Delta, files) add nothing twice. Without its newest entry in `offsets` it is planned anew: rows that have come
    since are part of it, and a sink that has the batch already passes over them too. Look with --dry-run first. Other
    damage is left: restore those files from a copy.
    """
    inspection = _opened(folder)
    for verdict in inspection.repairs() if dry_run else inspection.repair():
        click.echo(f"{'would delete' if dry_run else 'deleted'} {_line(verdict)}")
    left = [] if dry_run else [verdict for verdict in inspection.verdicts() if verdict.state == "damaged"]
    for verdict in left:
        click.echo(f"cannot repair {_line(verdict)}", err=True)
    raise SystemExit(REFUSED if left else 0)


def _opened(folder: Path) -> Inspection:
    from headwater.io.local import LocalStorage
    from headwater.streaming.inspection import Inspection

    inspection = Inspection(LocalStorage(), str(folder.resolve()))
    if not inspection.exists():
        msg = f"`{folder}` is not a checkpoint: it has no `metadata`, `offsets` or `commits`"
        raise click.UsageError(msg)
    return inspection


def _line(verdict: Verdict) -> str:
    return f"{verdict.state:<9}  {verdict.path}" + (f"  ({verdict.reason})" if verdict.reason else "")


def _lines(summary: Summary) -> list[str]:
    lines = [
        f"query      {summary.query_id or 'unknown'}",
        f"planned    batch {_number(summary.planned)}{_time(' at ', summary.timestamp_ms)}",
        f"committed  batch {_number(summary.committed)}, lag {summary.lag}",
        f"watermark  {_time('', summary.watermark_ms) or 'none'}",
    ]
    for index, offset in enumerate(summary.offsets):
        lines.append(f"source {index}   {offset or '-'}")
        before = summary.committed_offsets[index] if index < len(summary.committed_offsets) else None
        if before != offset:
            lines.append(f"           committed: {before or '-'}")
    for one in summary.stores:
        store = f", store {one.store}" if one.store else ""
        lines.append(
            f"operator {one.operator} {one.name}{store}: version {_number(one.version)}, "
            f"{_snapshot(one.snapshot)}, {one.files} files of {one.bytes} bytes and {one.rows_written} rows"
        )
    return lines


def _snapshot(version: int | None) -> str:
    return "no snapshot" if version is None else f"snapshot at {version}"


def _number(number: int | None) -> str:
    return "none" if number is None else str(number)


def _time(before: str, milliseconds: int | None) -> str:
    if not milliseconds:
        return ""
    return f"{before}{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"

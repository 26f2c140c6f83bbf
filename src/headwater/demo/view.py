"""The live view in the terminal: one line per stream with rows, rate and batch time.

On a terminal the table is redrawn in place; elsewhere a plain line is printed every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from headwater.demo.supervisor import Stage, Supervisor

PLAIN_EVERY_SECONDS = 5.0


class View:
    """Draws a supervisor's stages."""

    def __init__(self, supervisor: Supervisor, seconds: float, console: Console | None = None) -> None:
        self.console = console or Console()
        self._supervisor = supervisor
        self._seconds = seconds
        self._began = time.monotonic()
        self._live: Live | None = None
        self._printed = 0.0

    @contextmanager
    def open(self) -> Iterator[View]:
        """Draw until the context ends."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(self._table(), console=self.console, refresh_per_second=4) as self._live:
            yield self

    def draw(self) -> None:
        """Show the present figures."""
        if self._live is not None:
            self._live.update(self._table())
        elif time.monotonic() - self._printed >= PLAIN_EVERY_SECONDS:
            self._printed = time.monotonic()
            self.console.print("  ".join(f"{s.name} {s.state} {s.total:,} rows" for s in self._supervisor.stages))

    def _table(self) -> Table:
        elapsed = time.monotonic() - self._began
        table = Table(title=f"Headwater demo   {elapsed:4.0f} / {self._seconds:.0f} s   Ctrl-C ends it early")
        for heading in ("stream", "state", "rows", "rows/s", "batch", "batch ms", "note"):
            table.add_column(heading, justify="left" if heading in {"stream", "state", "note"} else "right")
        for stage in self._supervisor.stages:
            table.add_row(*self._row(stage))
        return table

    def _row(self, stage: Stage) -> tuple[str, ...]:
        note = f"schema grew, restarted {stage.restarts}×" if stage.restarts else ""
        if stage.last is None:
            return (stage.name, stage.state, "0", "–", "–", "–", note)
        last = stage.last
        return (
            stage.name,
            stage.state,
            f"{stage.total:,}",
            f"{last['processedRowsPerSecond']:,.0f}",
            str(last["batchId"]),
            str(last["durationMs"].get("triggerExecution", last["batchDuration"])),
            note,
        )

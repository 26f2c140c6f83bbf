"""Runs a scenario on Headwater in processes that die by SIGKILL in the middle of a batch, until one ends.

A child starts the query, or finds it where the last child died, and gives the steps that have not been given. Its
sink keeps every batch in a file; a batch that runs again replaces its file, as an idempotent `foreachBatch` would.

Invariant: nothing passes from child to child but files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import scenarios
from support.scenarios import Scenario

SECONDS = 120


def survived(one: Scenario, folder: Path, crash: str) -> dict[int, list[list[Any]]]:
    """The rows per batch after a run that is killed at the named point `crash` (`step5:3`) and carried on."""
    command = [sys.executable, "-m", "support.scenarios_killed", one.id, str(folder)]
    here = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(here), "HEADWATER_CRASH_AT": crash}
    killed = subprocess.run(command, cwd=here, env=environment, timeout=SECONDS, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, f"{crash} was not passed: {killed.stderr[-2000:]}"
    del environment["HEADWATER_CRASH_AT"]
    ended = subprocess.run(command, cwd=here, env=environment, timeout=SECONDS, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-4000:]
    return {int(path.stem): json.loads(path.read_text("utf-8")) for path in (folder / "batches").glob("*.json")}


class _Files(dict[int, list[list[Any]]]):
    """Batches that are written to files as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def __setitem__(self, batch: int, rows: list[list[Any]]) -> None:
        whole = self._folder / f"{batch}.tmp"
        whole.write_text(json.dumps(rows), "utf-8")
        whole.rename(self._folder / f"{batch}.json")


def main(name: str, folder: Path) -> None:
    """The child."""
    from support.scenarios_headwater import HeadwaterPlayer, scenario_server
    from support.server import connected

    one = next(one for one in scenarios.load(name.split("/")[0]) if one.id == name)
    with scenario_server(folder / "warehouse") as server, connected(server) as spark:
        player = HeadwaterPlayer(spark, one, folder, None, _Files(folder / "batches"))
        player.build()
        player.start()
        player.query.processAllAvailable()
        given = {int(path.stem) for name in one.inputs for path in (folder / name).glob("*.json")}
        for number in range(max(given, default=-1) + 1, len(one.steps)):
            player.step(number)
        player.query.stop()
    os._exit(0)  # what the client leaves running must not keep the child alive


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

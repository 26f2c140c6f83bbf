"""A stream between two Python data sources is killed where a batch comes again: nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from support.python_source_kill import ROWS, STEP

POINTS = ("step3:2", "step6:3", "step7:1")


def test_killed_and_started_again(tmp_path: Path) -> None:
    here = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "support.python_source_kill", str(tmp_path), *POINTS]
    environment = {**os.environ, "PYTHONPATH": str(here)}
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=here, check=False)
    assert found.returncode == 0, found.stderr

    runs = [json.loads(line) for line in found.stdout.splitlines() if line.startswith("[")]

    assert len(runs) == 2 * len(POINTS)
    batches = [list(range(begin, min(begin + STEP, ROWS))) for begin in range(0, ROWS, STEP)]
    for simple, point, statuses, files in runs:
        assert statuses == [-signal.SIGKILL, 0], (simple, point)
        assert files == batches, (simple, point)

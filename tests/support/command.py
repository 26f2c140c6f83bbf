"""Runs the `headwater` command in a child process, as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.forked import run_file


def headwater(
    *arguments: str | Path, cwd: Path, timeout: float = 60, crash: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `headwater ARGUMENTS` in `cwd` to its end, or until it is killed at the named point `crash`."""
    environment = {**_environment(), **({"HEADWATER_CRASH_AT": crash} if crash else {})}
    return subprocess.run(
        _line(arguments), cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def run_job(folder: Path, crash: str | None = None) -> int:
    """Run `job.py` in `folder` as `headwater run` does, killed at the named point `crash`; its exit status."""
    done = run_file(folder, "job.py", crash)
    assert done.status in (0, -signal.SIGKILL), done.error
    return done.status


def start_headwater(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start `headwater ARGUMENTS` in `cwd`; the caller ends it."""
    return subprocess.Popen(
        _line(arguments),
        cwd=cwd,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,
    )


def _hear_ctrl_c() -> None:
    """A shell makes what it starts in the background deaf to Ctrl-C, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 30) -> None:
    """Return when `condition` holds; fail with the process's output if it ends or time runs out first."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"waited in vain (exit code {process.returncode}):\n{out}\n{err}")
        time.sleep(0.05)


def interrupt(process: subprocess.Popen[str], seconds: float = 30) -> tuple[str, str]:
    """Press Ctrl-C and return what the process printed."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=seconds)


def _line(arguments: tuple[str | Path, ...]) -> list[str]:
    return [sys.executable, "-m", "headwater.cli.main", *map(str, arguments)]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "HEADWATER_"))}

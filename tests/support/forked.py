"""Jobs in children of one nursery per test process: as real as processes of their own, without their start.

Invariant: nothing of a child outlives it but its files; a child's error is in its outcome.
"""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path

from support.kill import Job, Nursery, Outcome


@cache
def nursery() -> Nursery:
    """The nursery, which ends with this process."""
    made = Nursery().__enter__()
    atexit.register(made.__exit__)
    return made


def run_code(code: str, *arguments: str, crash: str | None = None, kill_after_ms: int | None = None) -> Outcome:
    """Run Python code with these `sys.argv[1:]` to its end, or until it is killed at a point or a moment."""
    (outcome,) = nursery().run(Job("", "", code=(code, *arguments), crash=crash, kill_after_ms=kill_after_ms))
    return outcome


def run_file(folder: Path, name: str, crash: str | None = None) -> Outcome:
    """Run a PySpark file in its folder as `headwater run` does."""
    (outcome,) = nursery().run(Job(str(folder), "", script=name, crash=crash))
    return outcome


def run_files(name: str, *folders: Path) -> list[Outcome]:
    """Run files of this name in several folders, side by side."""
    return nursery().run(*(Job(str(folder), "", script=name) for folder in folders))

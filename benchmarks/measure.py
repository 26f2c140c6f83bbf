"""Runs a program and measures it from outside: wall seconds, peak resident memory of its process tree."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 0.02
_TREE_SAMPLES = 25
"""The process tree is looked up once in so many samples: that costs far more than to read its memory."""


@dataclass
class Run:
    """One finished run: what the program printed last (a JSON object), its wall seconds and peak memory in MB."""

    printed: dict[str, Any]
    wall: float
    peak_mb: float
    seen: dict[str, float] = field(default_factory=dict)
    """Seconds after the start at which each watched path appeared."""
    memory_mb: list[float] = field(default_factory=list)
    """Resident memory in MB, sampled evenly over the run."""


def run(command: list[str], *, watch: dict[str, Path] | None = None, timeout: float = 600) -> Run:
    """Run `command` to its end. Raises RuntimeError with its error output if it fails."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    sampler = _Sampler(process.pid, began, watch or {})
    sampler.start()
    out, err = process.communicate(timeout=timeout)
    wall = time.perf_counter() - began
    sampler.done.set()
    sampler.join()
    if process.returncode != 0:
        msg = f"{' '.join(command)} ended with {process.returncode}:\n{err[-3000:]}"
        raise RuntimeError(msg)
    lines = [line for line in out.splitlines() if line.startswith("{")]
    memory = [taken / 1e6 for taken in sampler.memory]
    return Run(json.loads(lines[-1]) if lines else {}, wall, max(memory), sampler.seen, memory)


class _Sampler(threading.Thread):
    """Samples the process tree until it is told to stop."""

    def __init__(self, root: int, began: float, watch: dict[str, Path]) -> None:
        super().__init__(daemon=True)
        self._root, self._began, self._watch = root, began, watch
        self.memory, self.seen, self.done = [0], {}, threading.Event()

    def run(self) -> None:
        tree: list[int] = []
        for number in itertools.count():
            if self.done.wait(SAMPLE_SECONDS):
                return
            tree = _tree(self._root) if number % _TREE_SAMPLES == 0 else tree
            self.memory.append(sum(_resident(pid) for pid in tree))
            for name, path in self._watch.items():
                if name not in self.seen and path.exists():
                    self.seen[name] = time.perf_counter() - self._began


def _tree(root: int) -> list[int]:
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo.extend(int(child) for child in (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


PYTHON = sys.executable

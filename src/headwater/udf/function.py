"""Loading a function that a client has pickled.

Functions run in this process: whoever may send a plan may run code here, as with `foreachBatch`.

Invariants: each call of `load` gives a fresh copy, so nothing that a function remembers outlives its batch; a pickle of
another Python is refused before it is read.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable
from typing import Any

from headwater.errors import SparkError
from headwater.plan.expressions import PythonUDF
from headwater.udf.failures import user_code


def load(function: PythonUDF) -> Any:
    """The function. Raises PYTHON_VERSION_MISMATCH, or PYTHON_EXCEPTION if its modules cannot be imported."""
    check_python(function.python_version)
    extend_path(function.paths)
    with user_code():
        loaded = pickle.loads(function.command)
    return loaded[0] if isinstance(loaded, tuple) else loaded


def check_python(version: str) -> None:
    """Raises PYTHON_VERSION_MISMATCH unless `version` (`3.11`) is this Python."""
    mine = "{}.{}".format(*sys.version_info[:2])
    if version and version != mine:
        raise SparkError("PYTHON_VERSION_MISMATCH", worker_version=mine, driver_version=version)


def extend_path(paths: Iterable[str]) -> None:
    """Let this process import what the client has sent."""
    sys.path[:0] = [path for path in paths if path not in sys.path]

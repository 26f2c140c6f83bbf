"""What goes wrong in a user's function, as Spark reports it: with the user's own traceback.

Invariant: our own frames and PySpark's are left out as long as a frame of the user's remains.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pyspark

from headwater import errors
from headwater.duck import DuckError
from headwater.errors import PythonError, SparkError

_OURS = tuple(os.path.dirname(module.__file__ or "") + os.sep for module in (errors, pyspark))


@contextmanager
def user_code() -> Iterator[None]:
    """Around code of the user: what it raises, `sys.exit` too, becomes PYTHON_EXCEPTION.

    Spark's and DuckDB's own errors pass.
    """
    try:
        yield
    except (SparkError, DuckError):
        raise
    except (Exception, SystemExit) as error:
        raise failure(error) from error


def failure(error: BaseException) -> PythonError:
    """The Spark error for an exception of a user's function."""
    shown = traceback.TracebackException.from_exception(error)
    frames = list(shown.stack)
    first = next((i for i, frame in enumerate(frames) if not frame.filename.startswith(_OURS)), 0)
    shown.stack = traceback.StackSummary.from_list(frames[first:])
    text = "".join(shown.format()).rstrip("\n")
    return PythonError("PYTHON_EXCEPTION", msg="An exception was thrown from the Python worker", traceback=f"\n{text}")

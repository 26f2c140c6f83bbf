"""The Spark Connect front: the only room that knows gRPC and protobuf.

Invariant: PySpark's client can be imported from any kind of program.
"""

from __future__ import annotations

import sys


def _load_client() -> None:
    """Import the client, also under `python -c`, where it would take itself for a doctest and end the process."""
    main = sys.modules["__main__"]
    nameless = not hasattr(main, "__file__")
    if nameless:
        main.__file__ = "<string>"
    try:
        import pyspark.sql.connect  # noqa: F401
    finally:
        if nameless:
            del main.__file__


_load_client()

"""The columns that a data file itself says it has, in Spark's types, by the names that files use.

Invariants: a file is looked into once; one that cannot be opened is left to its reader to tell of.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from pyspark.sql.types import StructType

from headwater.errors import UnsupportedError
from headwater.io.s3_files import opened
from headwater.types.arrow import from_arrow

_AT_ONCE = 8


@lru_cache(maxsize=1 << 12)
def stored_schema(path: str) -> StructType | None:
    """The columns of a file. None if it cannot be opened, or has a type that Spark has not."""
    # Loaded on use: most tables need no look into their files.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema: StructType = from_arrow(pq.read_schema(opened(path)))
    except (OSError, pa.ArrowException, UnsupportedError):
        return None
    return schema


def stored_schemas(paths: Sequence[str]) -> list[StructType | None]:
    """The columns of each file; files are opened side by side."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(stored_schema, paths))

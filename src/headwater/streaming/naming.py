"""Column names inside DuckDB for schemas whose names may repeat.

Invariant: the names are unique without regard to case, and equal the schema's wherever those are.
"""

from __future__ import annotations

from pyspark.sql.types import StructType


def unique_names(schema: StructType) -> tuple[str, ...]:
    """A unique name per field, in order."""
    taken: set[str] = set()
    names = []
    for field in schema.fields:
        name, count = field.name, 0
        while not name or name.lower() in taken:
            count += 1
            name = f"{field.name}_{count}"
        taken.add(name.lower())
        names.append(name)
    return tuple(names)

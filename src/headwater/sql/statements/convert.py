"""CONVERT TO DELTA: Parquet files become a Delta table where they lie.

Invariant: partition columns are Spark DDL, read by `types.ddl`.
"""

from __future__ import annotations

from dataclasses import replace

from headwater.plan.commands import Command, ConvertToDelta
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement
from headwater.types.ddl import parse_schema


@statement("CONVERT")
def convert(reader: Reader) -> Command:
    """CONVERT TO DELTA table [NO STATISTICS] [PARTITIONED BY (column type, …)]."""
    reader.expect("TO", "DELTA")
    made = ConvertToDelta(reader.names())
    while not reader.done():
        if reader.accept("NO", "STATISTICS"):
            made = replace(made, statistics=False)
        elif reader.accept("PARTITIONED BY"):
            made = replace(made, partition_schema=parse_schema(reader.enclosed()))
        else:
            reader.fail()
    return made

"""CONVERT TO DELTA of folders and of the catalog's parquet tables.

Invariants: a Delta table is left as it is; the catalog calls a table Delta once its log is there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import StructType

from headwater.catalog import Table, quoted
from headwater.errors import AnalysisError
from headwater.io.routing import is_folder
from headwater.lake.convert import Conversion
from headwater.lake.convert import convert as convert_files
from headwater.lake.table import LakeTable
from headwater.plan.commands import ConvertToDelta
from headwater.sessions import stored
from headwater.sessions.commands.base import command
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session


@command(ConvertToDelta)
def convert(node: ConvertToDelta, session: Session) -> None:
    """No result, as in Delta. Raises DELTA_CONVERT_NON_PARQUET_TABLE and what `lake.convert` raises."""
    found = stored.existing(node.table, session)
    if found.provider == DELTA:
        return
    if found.provider != "parquet":
        raise AnalysisError(
            "DELTA_CONVERT_NON_PARQUET_TABLE", sourceName=found.provider, tableId=stored.display_name(found)
        )
    folder = found.location or ""
    if not is_folder(folder):
        raise AnalysisError("DELTA_PATH_DOES_NOT_EXIST", path=stored.uri(found, session))
    asked = _asked(node, found)
    table = LakeTable.at(folder, session.runtime.storage, session.runtime.clock)
    with session.connection() as connection:
        # Old Parquet files hold instants in UTC without saying so.
        connection.execute("SET TimeZone = 'UTC'")
        convert_files(table, connection, session.runtime.storage, asked)
    if found.database:
        session.catalog.add_table(replace(found, provider=DELTA, schema=None, partition_by=()), replace=True)


def _asked(node: ConvertToDelta, found: Table) -> Conversion:
    given = node.partition_schema
    if not found.database:
        return Conversion(given or StructType(), given is not None, node.statistics)
    known = _partitions(found)
    if given is not None and _plain(given) != _plain(known):
        raise AnalysisError(
            "DELTA_UNEXPECTED_PARTITION_SCHEMA_FROM_USER",
            catalogPartitionSchema=known.simpleString(),
            userPartitionSchema=given.simpleString(),
        )
    return Conversion(known, given is not None, node.statistics, dict(found.properties), quoted(found.full_name))


def _partitions(found: Table) -> StructType:
    by_name = {field.name.lower(): field for field in found.schema.fields} if found.schema else {}
    return StructType([by_name[name.lower()] for name in found.partition_by])


def _plain(schema: StructType) -> list[tuple[str, str]]:
    return [(field.name.lower(), field.dataType.simpleString()) for field in schema.fields]

"""Delta tables of the catalog as tables of AWS Glue, so that Athena and what else reads Glue sees them.

Athena reads a Delta table's columns, partitions and files from its log; what it takes from Glue is the location and
that the table is one of Delta. The columns are written for what lists tables without reading logs. Partition columns
stand among them, for there are no partitions to be kept in Glue.

Invariants: registering again changes nothing unless the table's columns, comment or place have changed; what others
have added to a table in Glue stays; a table there that is no Delta table is never replaced.
Source: "Query Linux Foundation Delta Lake tables" of Athena's user guide (`table_type`), and the form that Spark gives
Delta tables in a Hive metastore (`spark.sql.sources.provider`, serde `path`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import DataType, StructType, TimestampNTZType

from headwater.catalog import Table
from headwater.errors import AnalysisError, SparkError
from headwater.io import aws
from headwater.io.paths import is_remote
from headwater.plan.identifiers import parse_name
from headwater.sessions import stored
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_LONGEST_COMMENT = 255
_LONGEST_DESCRIPTION = 2048
_PARAMETERS = {
    "EXTERNAL": "TRUE",
    "table_type": "DELTA",
    "spark.sql.sources.provider": "delta",
    "classification": "delta",
}
_INPUT = "org.apache.hadoop.mapred.SequenceFileInputFormat"
_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat"
_SERDE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"


@dataclass(frozen=True)
class Registered:
    """What became of a table: `created`, `updated`, `unchanged`, or `skipped` with the reason in `note`."""

    name: str
    outcome: str
    note: str


def register(session: Session, names: Sequence[str], glue: Any = None) -> Iterator[Registered]:
    """Register the named tables, or all Delta tables that lie in S3; one answer for each table.

    Args:
        names: `table` or `database.table`.
        glue: a boto3 client; default: the one that `AWS_*` opens.

    Raises TABLE_OR_VIEW_NOT_FOUND, DELTA_TABLE_ONLY_OPERATION, GLUE_LOCATION_NOT_IN_S3, GLUE_TABLE_EXISTS,
    GLUE_REQUEST_FAILED, AWS_NOT_CONFIGURED.
    """
    client = glue if glue is not None else aws.client("glue")
    if names:
        for name in names:
            table = stored.existing(parse_name(name), session)
            yield _register(_checked(table, session), session, client)
        return
    for database in session.runtime.metastore.databases():
        for table in session.catalog.tables(database.name):
            if table.is_view or table.provider != DELTA:
                continue
            if is_remote(table.location or ""):
                yield _register(table, session, client)
            else:
                yield Registered(_name(table), "skipped", f"it lies in {table.location}, where Athena cannot read")


def _checked(table: Table, session: Session) -> Table:
    if table.provider != DELTA or not table.database:
        name = stored.display_name(table)
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=name, operation="catalog register --glue")
    if not is_remote(table.location or ""):
        raise AnalysisError("GLUE_LOCATION_NOT_IN_S3", tableName=_name(table), location=stored.uri(table, session))
    return table


def _register(table: Table, session: Session, glue: Any) -> Registered:
    lake = stored.lake_of(table, session)
    comment = table.comment or lake.metadata.description
    wanted = table_input(table.name, table.location or "", lake.schema, comment)
    with _refusals(f"the table {_name(table)}"):
        _make_database(table.database, glue)
        outcome = _put(table.database, wanted, glue)
    return Registered(_name(table), outcome, table.location or "")


def _name(table: Table) -> str:
    return f"{table.database}.{table.name}"


def table_input(name: str, location: str, schema: StructType, comment: str | None = None) -> dict[str, Any]:
    """What Glue is told of a Delta table: its `TableInput`."""
    told: dict[str, Any] = {
        "Name": name.lower(),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": dict(_PARAMETERS),
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": _columns(schema),
            "Location": location,
            "InputFormat": _INPUT,
            "OutputFormat": _OUTPUT,
            "SerdeInfo": {
                "SerializationLibrary": _SERDE,
                "Parameters": {"serialization.format": "1", "path": location},
            },
        },
    }
    return {**told, "Description": comment[:_LONGEST_DESCRIPTION]} if comment else told


def _columns(schema: StructType) -> list[dict[str, str]]:
    columns = []
    for field in schema.fields:
        column = {"Name": field.name.lower(), "Type": hive_type(field.dataType)}
        comment = (field.metadata or {}).get("comment")
        columns.append({**column, "Comment": str(comment)[:_LONGEST_COMMENT]} if comment else column)
    return columns


def hive_type(kind: DataType) -> str:
    """A Spark type as Hive names it: the same name but for times without a zone, which Hive's `timestamp` is."""
    return str(kind.simpleString()).replace(TimestampNTZType().simpleString(), "timestamp")


# ── what Glue has ───────────────────────────────────────────────────────────────────────────────────────────────


def _make_database(name: str, glue: Any) -> None:
    try:
        glue.get_database(Name=name)
    except glue.exceptions.EntityNotFoundException:
        try:
            glue.create_database(DatabaseInput={"Name": name})
        except glue.exceptions.AlreadyExistsException:
            return


def _put(database: str, wanted: Mapping[str, Any], glue: Any) -> str:
    """`created`, `updated` or `unchanged`."""
    try:
        found = glue.get_table(DatabaseName=database, Name=wanted["Name"])["Table"]
    except glue.exceptions.EntityNotFoundException:
        try:
            glue.create_table(DatabaseName=database, TableInput=dict(wanted))
        except glue.exceptions.AlreadyExistsException:  # another run made it meanwhile
            return _put(database, wanted, glue)
        return "created"
    parameters = found.get("Parameters", {})
    marks = (parameters.get("table_type", ""), parameters.get("spark.sql.sources.provider", ""))
    if DELTA not in map(str.lower, marks):
        raise AnalysisError("GLUE_TABLE_EXISTS", tableName=f"{database}.{wanted['Name']}")
    if _same(found, wanted):
        return "unchanged"
    glue.update_table(DatabaseName=database, TableInput=_merged(found, wanted))
    return "updated"


def _same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether all that is wanted is there already, at any depth."""
    for key, value in wanted.items():
        there = found.get(key)
        if isinstance(value, Mapping):
            if not isinstance(there, Mapping) or not _same(there, value):
                return False
        elif (there or None) != (value or None):
            return False
    return True


_KEPT = ("Owner", "Retention", "Description")


def _merged(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """`wanted`, with the parameters and descriptions that others have added."""
    kept = {key: found[key] for key in _KEPT if found.get(key)}
    return {**kept, **wanted, "Parameters": {**found.get("Parameters", {}), **wanted["Parameters"]}}


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Glue's errors in Spark's terms."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("botocore"):
            raise
        raise SparkError("GLUE_REQUEST_FAILED", what=what, reason=str(error)) from None

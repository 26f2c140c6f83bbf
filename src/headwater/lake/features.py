"""Which Delta table features Headwater reads and writes, and which a new table needs.

Invariant: a table that asks for anything else is refused by the feature's name before a row is read or written.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql.types import ArrayType, DataType, MapType, StructType, TimestampNTZType

from headwater.errors import unsupported
from headwater.lake.actions import Metadata, Protocol

READER_FEATURES = frozenset({"timestampNtz", "vacuumProtocolCheck"})
WRITER_FEATURES = READER_FEATURES | {"appendOnly", "invariants"}

_WAY_OUT = "Read the table with Apache Spark, or drop the feature: ALTER TABLE … DROP FEATURE."


def check_readable(protocol: Protocol, path: str) -> None:
    """Raise if the table needs a reader feature that is not here."""
    if protocol.reader_version == 2:
        return
    if protocol.reader_version > 3:
        raise unsupported(f"Delta reader version {protocol.reader_version} of table `{path}`", _WAY_OUT)
    for feature in protocol.reader_features:
        if feature not in READER_FEATURES:
            raise unsupported(f"the Delta table feature `{feature}` of table `{path}`", _WAY_OUT)


def check_mapping(metadata: Metadata, path: str) -> None:
    """Raise if columns are stored under other names than the schema's."""
    if metadata.configuration.get("delta.columnMapping.mode", "none") != "none":
        raise unsupported(f"the Delta table feature `columnMapping` of table `{path}`", _WAY_OUT)


def check_writable(protocol: Protocol, metadata: Metadata, path: str) -> None:
    """Raise if writing rows to the table needs something that is not here."""
    for feature in _required(protocol, metadata):
        if feature not in WRITER_FEATURES:
            raise unsupported(f"writing to a Delta table with the feature `{feature}` (table `{path}`)", _WAY_OUT)


def _required(protocol: Protocol, metadata: Metadata) -> Iterator[str]:
    if protocol.writer_version > 7:
        yield f"writer version {protocol.writer_version}"
    yield from protocol.writer_features
    settings = metadata.configuration
    if any(key.startswith("delta.constraints.") for key in settings):
        yield "checkConstraints"
    if settings.get("delta.enableChangeDataFeed", "false").lower() == "true":
        yield "changeDataFeed"
    for field in metadata.schema.fields:
        for key, feature in _COLUMN_FEATURES.items():
            if key in (field.metadata or {}):
                yield feature


_COLUMN_FEATURES = {
    "delta.generationExpression": "generatedColumns",
    "delta.identity.start": "identityColumns",
    "delta.invariants": "invariants with an expression",
}


def protocol_for(schema: StructType) -> Protocol:
    """The least protocol a table with this schema needs."""
    if any(isinstance(kind, TimestampNTZType) for kind in leaves(schema)):
        return Protocol(3, 7, ("timestampNtz",), ("timestampNtz", "appendOnly", "invariants"))
    return Protocol(1, 2)


def leaves(kind: DataType) -> Iterator[DataType]:
    """The types at the bottom of a nested type."""
    if isinstance(kind, StructType):
        for field in kind.fields:
            yield from leaves(field.dataType)
    elif isinstance(kind, ArrayType):
        yield from leaves(kind.elementType)
    elif isinstance(kind, MapType):
        yield from leaves(kind.keyType)
        yield from leaves(kind.valueType)
    else:
        yield kind

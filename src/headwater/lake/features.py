"""Which Delta table features Headwater reads and writes, and which a new table needs.

Invariant: a table that asks for anything else is refused by the feature's name before a row is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from pyspark.sql.types import ArrayType, DataType, MapType, StructType, TimestampNTZType

from headwater.errors import AnalysisError, SparkError, unsupported
from headwater.lake.actions import Metadata, Protocol

_MAPPING = "columnMapping"
PROTECTION = "checkpointProtection"
"""A table with it has checkpoints that older versions must not be read behind."""
_WRITTEN = {
    _MAPPING,
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
}
READER_FEATURES = frozenset(_WRITTEN)
WRITER_FEATURES = frozenset(
    {
        *_WRITTEN,
        "allowColumnDefaults",
        "appendOnly",
        "changeDataFeed",
        "checkConstraints",
        PROTECTION,
        "clustering",
        "domainMetadata",
        "generatedColumns",
        "identityColumns",
        "invariants",
    }
)

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


_CHANGE_COLUMNS = {"__is_cdc", "_change_type", "_commit_version", "_commit_timestamp"}


def check_change_columns(metadata: Metadata, condition: str = "DELTA_TABLE_ALREADY_CONTAINS_CDC_COLUMNS") -> None:
    """Raise `condition` if a table that records its changes has a column of a name that the record needs."""
    switch = "delta.enableChangeDataFeed"
    taken = [name for name in metadata.schema.names if name.lower() in _CHANGE_COLUMNS]
    if taken and metadata.configuration.get(switch, "false").lower() == "true":
        raise SparkError(condition, columnList=f"[{', '.join(taken)}]", config=switch)


def check_writable(protocol: Protocol, metadata: Metadata, path: str) -> None:
    """Raise if writing rows to the table needs something that is not here."""
    for feature in _required(protocol, metadata):
        if feature not in WRITER_FEATURES:
            raise unsupported(f"writing to a Delta table with the feature `{feature}` (table `{path}`)", _WAY_OUT)
    check_change_columns(metadata)


def _required(protocol: Protocol, metadata: Metadata) -> Iterator[str]:
    if protocol.writer_version > 7:
        yield f"writer version {protocol.writer_version}"
    yield from protocol.writer_features
    settings = metadata.configuration
    if settings.get("delta.columnMapping.mode", "none") != "none":
        yield _MAPPING
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


# ── what a table's definition asks for ──────────────────────────────────────────────────────────────────────

LEGACY = {
    "appendOnly": 2,
    "invariants": 2,
    "checkConstraints": 3,
    "changeDataFeed": 4,
    "generatedColumns": 4,
    "columnMapping": 5,
    "identityColumns": 6,
}
"""The writer version that brought a feature, before versions 3 and 7 named features one by one."""
_READERS = frozenset(
    {
        "catalogManaged",
        "columnMapping",
        "deletionVectors",
        "timestampNtz",
        "typeWidening",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        "variantType",
    }
)
_WRITERS = frozenset(
    {
        *LEGACY,
        *_READERS,
        "allowColumnDefaults",
        PROTECTION,
        "clustering",
        "domainMetadata",
        "icebergCompatV1",
        "icebergCompatV2",
        "inCommitTimestamp",
        "rowTracking",
    }
)
_SWITCHES = {
    "delta.appendonly": "appendOnly",
    "delta.enablechangedatafeed": "changeDataFeed",
    "delta.enabledeletionvectors": "deletionVectors",
    "delta.enableicebergcompatv1": "icebergCompatV1",
    "delta.enableicebergcompatv2": "icebergCompatV2",
    "delta.enableincommittimestamps": "inCommitTimestamp",
    "delta.enablerowtracking": "rowTracking",
    "delta.enabletypewidening": "typeWidening",
}
_FEATURE, _CONSTRAINT = "delta.feature.", "delta.constraints."
_VERSIONS = ("delta.minreaderversion", "delta.minwriterversion")


def is_protocol_property(key: str) -> bool:
    """Whether a property says what the protocol must be, and is not kept as a property."""
    return key.lower().startswith(_FEATURE) or key.lower() in _VERSIONS


def protocol_for(schema: StructType, properties: Mapping[str, str] | None = None) -> Protocol:
    """The least protocol a table with this schema and these properties needs, at least reader 1 and writer 2.

    Raises DELTA_UNSUPPORTED_FEATURES_IN_CONFIG for a `delta.feature.…` that nobody knows.
    """
    return raised(Protocol(1, 2), schema, properties or {})


def raised(protocol: Protocol, schema: StructType, properties: Mapping[str, str]) -> Protocol:
    """`protocol` with what the schema and the properties need besides."""
    given = {key.lower(): value for key, value in properties.items()}
    wanted = {*_features_of(protocol), *_needed(schema, given)}
    readers = max(protocol.reader_version, int(given.get(_VERSIONS[0], "1")))
    writers = max(protocol.writer_version, int(given.get(_VERSIONS[1], "2")))
    if protocol.writer_version < 7 and writers < 7:
        version = max([writers, *(LEGACY.get(name, 7) for name in wanted)])
        if version < 7 and {name for name, since in LEGACY.items() if since <= version} == wanted | _implied(writers):
            return Protocol(2 if _MAPPING in wanted else readers, version)
        wanted |= _implied(writers)
    named = {*protocol.reader_features, *(wanted & _READERS)}
    if readers < 3 and named <= {_MAPPING}:
        # The one reader feature that has a version of its own.
        return Protocol(2 if named else readers, 7, (), tuple(sorted(wanted)))
    return Protocol(3, 7, tuple(sorted(named)), tuple(sorted(wanted)))


def _implied(writer_version: int) -> set[str]:
    return {name for name, since in LEGACY.items() if since <= writer_version < 7}


def is_known(name: str) -> bool:
    """Whether a feature of that name, whatever its case, is one of Delta's."""
    return name.lower() in {known.lower() for known in _WRITERS}


def is_reader_feature(name: str) -> bool:
    """Whether readers of a table must know the feature."""
    return name in _READERS


def named_features(protocol: Protocol) -> set[str]:
    """All features of a table, those that its versions imply too."""
    return _features_of(protocol)


def without_feature(protocol: Protocol, feature: str, more: Set[str] = frozenset()) -> Protocol:
    """The protocol without the feature and with `more`; the versions that name the rest, if some do."""
    left = {*_features_of(protocol), *more} - {feature}
    readers = tuple(sorted(name for name in left if name in _READERS))
    legacy = _legacy(left)
    if legacy is not None:
        return legacy
    if not readers:
        return Protocol(1, 7, (), tuple(sorted(left)))
    if readers == ("columnMapping",) and protocol.reader_version < 3:
        return Protocol(2, 7, (), tuple(sorted(left)))
    return Protocol(3, 7, readers, tuple(sorted(left)))


def _legacy(features: Set[str]) -> Protocol | None:
    """The versions from before features were named that say just these."""
    for version in (1, 2, 3, 4, 5, 6):
        if features == {name for name, since in LEGACY.items() if since <= version}:
            return Protocol(2 if version >= LEGACY["columnMapping"] else 1, version)
    return None


def _features_of(protocol: Protocol) -> set[str]:
    return _implied(protocol.writer_version) | {*protocol.writer_features, *protocol.reader_features}


def _needed(schema: StructType, given: Mapping[str, str]) -> Iterator[str]:
    """The features that columns and properties (keys in lower case) switch on."""
    if any(isinstance(kind, TimestampNTZType) for kind in leaves(schema)):
        yield "timestampNtz"
    for field in schema.fields:
        yield from (feature for key, feature in _COLUMN_FEATURES.items() if key in (field.metadata or {}))
    for key, feature in _SWITCHES.items():
        if given.get(key, "false").lower() == "true":
            yield feature
    if any(key.startswith(_CONSTRAINT) for key in given):
        yield "checkConstraints"
    if given.get("delta.columnmapping.mode", "none").lower() != "none":
        yield _MAPPING
    if given.get("delta.checkpointpolicy", "classic").lower() == "v2":
        yield "v2Checkpoint"
    yield from _named(key.removeprefix(_FEATURE) for key in given if key.startswith(_FEATURE))


def _named(names: Iterable[str]) -> Iterator[str]:
    known = {name.lower(): name for name in _WRITERS}
    for name in names:
        if name not in known:
            raise AnalysisError("DELTA_UNSUPPORTED_FEATURES_IN_CONFIG", configs=_FEATURE + name)
        yield known[name]


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

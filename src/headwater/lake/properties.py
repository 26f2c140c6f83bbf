"""The properties of a Delta table: which names Delta knows, how they are spelled, what their values may be.

Invariants: a property that begins with `delta.` and means nothing is refused, so that a misspelt one is not lost;
properties that set the protocol are not kept, as the log has an action of its own for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from headwater.errors import AnalysisError, IllegalArgumentError, UnsupportedError
from headwater.lake.conflicts import PROPERTY as ISOLATION
from headwater.lake.conflicts import level_of
from headwater.lake.features import is_protocol_property

CONSTRAINT = "delta.constraints."
_FLAGS = (
    "appendOnly",
    "autoOptimize",
    "autoOptimize.optimizeWrite",
    "checkpoint.writeStatsAsJson",
    "checkpoint.writeStatsAsStruct",
    "compatibility.symlinkFormatManifest.enabled",
    "enableChangeDataFeed",
    "enableDeletionVectors",
    "enableExpiredLogCleanup",
    "enableFullRetentionRollback",
    "enableIcebergCompatV1",
    "enableIcebergCompatV2",
    "enableInCommitTimestamps",
    "enableRowTracking",
    "enableTypeWidening",
    "enableVariantShredding",
    "randomizeFilePrefixes",
    "tuneFileSizesForRewrites",
    "writePartitionColumnsToParquet",
)
_OTHERS = (
    "autoOptimize.autoCompact",
    "checkpointInterval",
    "checkpointPolicy",
    "checkpointRetentionDuration",
    "columnMapping.mode",
    "dataSkippingNumIndexedCols",
    "dataSkippingStatsColumns",
    "deletedFileRetentionDuration",
    "dropFeatureTruncateHistory.retentionDuration",
    "inCommitTimestampEnablementTimestamp",
    "inCommitTimestampEnablementVersion",
    "isolationLevel",
    "logRetentionDuration",
    "parquet.compression.codec",
    "parquet.format.version",
    "randomPrefixLength",
    "requireCheckpointProtectionBeforeVersion",
    "rowTracking.materializedRowCommitVersionColumnName",
    "rowTracking.materializedRowIdColumnName",
    "sampleRetentionDuration",
    "setTransactionRetentionDuration",
    "targetFileSize",
    "universalFormat.enabledFormats",
)
_OWN = ("columnMapping.maxColumnId",)
"""What only a writer may set."""
_SPELLED = {f"delta.{name}".lower(): f"delta.{name}" for name in (*_FLAGS, *_OTHERS)}
_BOOLEAN = frozenset(f"delta.{name}" for name in _FLAGS)


def spelled(key: str) -> str:
    """The property's name as Delta writes it.

    Raises DELTA_UNKNOWN_CONFIGURATION, and DELTA_CANNOT_MODIFY_TABLE_PROPERTY for one that only writers set.
    """
    folded = key.lower()
    if not folded.startswith("delta.") or is_protocol_property(key) or folded.startswith(CONSTRAINT):
        return key
    if folded.removeprefix("delta.") in map(str.lower, _OWN):
        raise UnsupportedError("DELTA_CANNOT_MODIFY_TABLE_PROPERTY", prop=key)
    if folded not in _SPELLED:
        switch = "spark.databricks.delta.allowArbitraryProperties.enabled"
        raise AnalysisError("DELTA_UNKNOWN_CONFIGURATION", config=key, disableCheckConfig=switch)
    return _SPELLED[folded]


def checked(properties: Mapping[str, str]) -> dict[str, str]:
    """Properties that a user gives, spelled as Delta writes them.

    Raises DELTA_UNKNOWN_CONFIGURATION and, for a flag that is neither true nor false or an isolation level that is
    none, an error that names it.
    """
    found = {}
    for key, value in properties.items():
        name = spelled(key)
        if name in _BOOLEAN and value.lower() not in ("true", "false"):
            raise IllegalArgumentError(
                "_LEGACY_ERROR_TEMP_3102", msg=f'{name} must be "true" or "false", not "{value}".'
            )
        found[name] = level_of({name: value}) if name == ISOLATION else value
    return found


def kept(properties: Mapping[str, str]) -> dict[str, str]:
    """Those that the table's metadata keeps."""
    return {key: value for key, value in properties.items() if not is_protocol_property(key)}

"""ALTER TABLE … DROP FEATURE: a table no longer asks its writers for a feature.

Features of writers alone go in one commit, once nothing in the table needs them. For those that readers must know, see
`downgrade`; `typeWidening` and others are refused by name, and so is taking the history away.

Invariant: a feature that something in the table still needs is not dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headwater.duck import Connection
from headwater.errors import AnalysisError, SparkError, unsupported
from headwater.lake.actions import Metadata, Protocol
from headwater.lake.alter import metadata_of
from headwater.lake.downgrade import PREPARED, drop_from_readers
from headwater.lake.features import LEGACY, PROTECTION, is_known, is_reader_feature, named_features
from headwater.lake.rules import constraints
from headwater.lake.transaction import Draft, Operation, WriteResult

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable


def drop_feature(table: LakeTable, name: str, connection: Connection, *, truncate_history: bool = False) -> WriteResult:
    """Drop a feature. Raises DELTA_FEATURE_DROP_… and what the table needs it for."""
    state = table.newest()
    metadata = metadata_of(state, table)
    assert state.protocol is not None
    present = {feature.lower(): feature for feature in named_features(state.protocol)}
    if not is_known(name):
        raise AnalysisError("DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE", feature=name)
    if name.lower() not in present:
        raise AnalysisError("DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT", feature=name)
    feature = present[name.lower()]
    if feature == PROTECTION and not truncate_history:
        raise AnalysisError("DELTA_FEATURE_CAN_ONLY_DROP_CHECKPOINT_PROTECTION_WITH_HISTORY_TRUNCATION")
    if truncate_history and (feature == PROTECTION or is_reader_feature(feature)):
        raise unsupported(
            f"DROP FEATURE {feature} TRUNCATE HISTORY", "Leave TRUNCATE HISTORY out, or use Apache Spark."
        )
    if feature in PREPARED:
        return drop_from_readers(table, feature, connection)
    if is_reader_feature(feature):
        raise unsupported(f"DROP FEATURE {feature}, which readers must know,", "Do it with Apache Spark.")
    if feature not in _UNUSED:
        raise AnalysisError("DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE", feature=feature)
    if truncate_history:
        raise AnalysisError("DELTA_FEATURE_DROP_HISTORY_TRUNCATION_NOT_ALLOWED")
    _UNUSED[feature](metadata)
    facts = {"featureName": feature, "truncateHistory": "false"}
    protocol = without(state.protocol, feature)
    return table.commit(Draft(Operation("DROP FEATURE", facts), state.version, protocol=protocol))


def without(protocol: Protocol, feature: str) -> Protocol:
    """The protocol without a writer's feature; the least version that says the rest, if one does."""
    left = named_features(protocol) - {feature}
    if not protocol.reader_features:
        for version in (1, 2, 3, 4, 5, 6):
            if left == {name for name, since in LEGACY.items() if since <= version}:
                return Protocol(protocol.reader_version if version >= 5 else 1, version)
    return Protocol(protocol.reader_version, 7, protocol.reader_features, tuple(sorted(left)))


def _no_constraints(metadata: Metadata) -> None:
    found = constraints(metadata)
    if found:
        raise SparkError("DELTA_CANNOT_DROP_CHECK_CONSTRAINT_FEATURE", constraints=", ".join(sorted(found)))


_UNUSED: dict[str, Callable[[Metadata], None]] = {"checkConstraints": _no_constraints}
"""What makes sure that nothing needs the feature any more."""

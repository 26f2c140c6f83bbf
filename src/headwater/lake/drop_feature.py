"""ALTER TABLE … DROP FEATURE: a table no longer asks its writers for a feature.

Features of writers alone go in one commit, once nothing in the table needs them. For those that readers must know, see
`downgrade` and, with the history, `truncation`.

Invariant: a feature that something in the table still needs is not dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from headwater.duck import Connection
from headwater.errors import AnalysisError, SparkError
from headwater.lake.actions import Metadata
from headwater.lake.alter import metadata_of
from headwater.lake.downgrade import PREPARED, drop_from_readers
from headwater.lake.features import PROTECTION, is_known, named_features, without_feature
from headwater.lake.rules import constraints
from headwater.lake.transaction import Draft, Operation, WriteResult
from headwater.lake.truncation import drop_protection, drop_with_history

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
    if feature == PROTECTION:
        if not truncate_history:
            raise AnalysisError("DELTA_FEATURE_CAN_ONLY_DROP_CHECKPOINT_PROTECTION_WITH_HISTORY_TRUNCATION")
        return drop_protection(table)
    if feature in PREPARED:
        drop = drop_with_history if truncate_history else drop_from_readers
        return drop(table, feature, connection)
    if feature not in _UNUSED:
        raise AnalysisError("DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE", feature=feature)
    if truncate_history:
        raise AnalysisError("DELTA_FEATURE_DROP_HISTORY_TRUNCATION_NOT_ALLOWED")
    _UNUSED[feature](metadata)
    facts = {"featureName": feature, "truncateHistory": "false"}
    protocol = without_feature(state.protocol, feature)
    return table.commit(Draft(Operation("DROP FEATURE", facts), state.version, protocol=protocol))


def _no_constraints(metadata: Metadata) -> None:
    found = constraints(metadata)
    if found:
        raise SparkError("DELTA_CANNOT_DROP_CHECK_CONSTRAINT_FEATURE", constraints=", ".join(sorted(found)))


_UNUSED: dict[str, Callable[[Metadata], None]] = {"checkConstraints": _no_constraints}
"""What makes sure that nothing needs the feature any more."""

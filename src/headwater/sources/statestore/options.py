"""The options of `statestore`, checked in Spark's order and with Spark's errors.

Invariant: what is given back fits together, and its batches are committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headwater.errors import IllegalArgumentError, RuntimeSparkError
from headwater.io.storage import Storage
from headwater.sources.base import SourceContext, SourceRequest
from headwater.state.metadata import DEFAULT

_SIDES = ("left", "right", "none")


@dataclass(frozen=True)
class StateOptions:
    """See the module.

    Attributes:
        checkpoint: the checkpoint's folder.
        uri: the folder as messages name it.
        batch: the batch after which the state is shown.
        side: `left`, `right` or nothing.
        variable: a variable of transformWithState.
        timers: its timers instead.
        flatten: an element of a list or map is a row.
        changes: the batches whose changes are shown, or None.
    """

    checkpoint: str
    uri: str
    batch: int
    operator: int
    store: str
    side: str
    variable: str | None
    timers: bool
    flatten: bool
    changes: range | None

    @classmethod
    def of(cls, request: SourceRequest, context: SourceContext) -> StateOptions:
        """From what the user wrote. Raises STDS_ errors."""
        if request.schema is not None:
            raise IllegalArgumentError("SOURCE_TAKES_NO_SCHEMA", source=request.format)
        if not request.paths:
            raise RuntimeSparkError("STDS_REQUIRED_OPTION_UNSPECIFIED", optionName="path")
        return _Parser(request, context).options()

    def shown(self) -> str:
        """As Spark's messages show them."""
        return (
            f"StateSourceOptions(checkpointLocation={self.uri}, batchId={self.batch}, operatorId={self.operator}, "
            f"storeName={self.store}, joinSide={self.side or 'none'}, stateVarName={self.variable}, "
            f"flattenCollectionTypes={str(self.flatten).lower()})"
        )


def refused(option: str, message: str) -> RuntimeSparkError:
    """The error for a value that an option cannot have."""
    return RuntimeSparkError("STDS_INVALID_OPTION_VALUE.WITH_MESSAGE", optionName=option, message=message)


class _Parser:
    def __init__(self, request: SourceRequest, context: SourceContext) -> None:
        self._given: Mapping[str, str] = request.options
        self._storage: Storage = context.storage
        self._checkpoint = context.mounts.local(request.paths[0]).rstrip("/")
        self._uri = f"file://{self._checkpoint}" if self._checkpoint.startswith("/") else self._checkpoint

    def options(self) -> StateOptions:
        operator = self._number("operatorId") or 0
        store = self._given.get("storename", DEFAULT).strip()
        if not store:
            raise RuntimeSparkError("STDS_INVALID_OPTION_VALUE.IS_EMPTY", optionName="storeName")
        side = self._given.get("joinside", "none").lower()
        if side not in _SIDES:
            raise refused("joinSide", f"Valid values are {','.join(_SIDES)}")
        self._no_both("joinSide", side != "none", "storeName", store != DEFAULT)
        timers, variable = self._flag("readRegisteredTimers"), self._given.get("statevarname")
        self._no_both("readRegisteredTimers", timers, "stateVarName", variable is not None)
        flatten = self._flag("flattenCollectionTypes", True)
        self._no_both("joinSide", side != "none", "stateVarName", variable is not None)
        changes, batch = self._batches(side)
        side = "" if side == "none" else side
        return StateOptions(
            self._checkpoint, self._uri, batch, operator, store, side, variable, timers, flatten, changes
        )

    def _batches(self, side: str) -> tuple[range | None, int]:
        """The batches whose changes are wanted, and the batch after which the state is."""
        feed = self._flag("readChangeFeed")
        if not feed:
            for option in ("changeStartBatchId", "changeEndBatchId"):
                if self._has(option):
                    raise refused(option, "Only specify this option when readChangeFeed is set to true.")
            return None, self._batch()
        self._no_both("joinSide", side != "none", "readChangeFeed", True)
        for option in ("batchId", "snapshotStartBatchId", "snapshotPartitionId"):
            self._no_both(option, self._has(option), "readChangeFeed", True)
        start = self._number("changeStartBatchId")
        if start is None:
            raise RuntimeSparkError("STDS_REQUIRED_OPTION_UNSPECIFIED", optionName="changeStartBatchId")
        given = self._number("changeEndBatchId")
        end = self._committed() if given is None else given
        if end < start:
            raise refused(
                "changeEndBatchId",
                "changeEndBatchId cannot be smaller than changeStartBatchId. Please check the input to "
                "changeEndBatchId, or if you are using its default value, make sure that changeStartBatchId is less "
                f"than {end}.",
            )
        return range(start, self._known(end) + 1), end

    def _batch(self) -> int:
        given = self._number("batchId")
        batch = self._known(self._committed() if given is None else given)
        start, partition = self._number("snapshotStartBatchId"), self._number("snapshotPartitionId")
        if start is not None and start > batch:
            raise refused("snapshotStartBatchId", f"value should be less than or equal to {batch}")
        for option, one, other in (
            ("snapshotPartitionId", start, partition),
            ("snapshotStartBatchId", partition, start),
        ):
            if one is not None and other is None:
                raise RuntimeSparkError("STDS_REQUIRED_OPTION_UNSPECIFIED", optionName=option)
        if partition:
            raise RuntimeSparkError(
                "CANNOT_LOAD_STATE_STORE.SNAPSHOT_PARTITION_ID_NOT_FOUND",
                snapshotPartitionId=partition,
                operatorId=self._number("operatorId") or 0,
                checkpointLocation=self._uri,
            )
        return batch

    # ── the commit log ──────────────────────────────────────────────────────────────────────────────────────

    def _committed(self) -> int:
        found = [int(name) for name in self._storage.list(f"{self._checkpoint}/commits") if name.isdecimal()]
        if not found:
            raise self._unavailable()
        return max(found)

    def _known(self, batch: int) -> int:
        if not self._storage.exists(f"{self._checkpoint}/commits/{batch}"):
            raise self._unavailable()
        return batch

    def _unavailable(self) -> RuntimeSparkError:
        return RuntimeSparkError("STDS_COMMITTED_BATCH_UNAVAILABLE", checkpointLocation=self._uri)

    # ── values ──────────────────────────────────────────────────────────────────────────────────────────────

    def _has(self, option: str) -> bool:
        return option.lower() in self._given

    def _number(self, option: str) -> int | None:
        text = self._given.get(option.lower())
        if text is None:
            return None
        try:
            number = int(text)
        except ValueError as cause:
            raise refused(option, f'For input string: "{text}"') from cause
        if number < 0:
            raise RuntimeSparkError("STDS_INVALID_OPTION_VALUE.IS_NEGATIVE", optionName=option)
        return number

    def _flag(self, option: str, default: bool = False) -> bool:
        text = self._given.get(option.lower(), str(default)).lower()
        if text not in ("true", "false"):
            raise refused(option, "Boolean value is expected")
        return text == "true"

    def _no_both(self, one: str, has_one: bool, other: str, has_other: bool) -> None:
        if has_one and has_other:
            raise RuntimeSparkError("STDS_CONFLICT_OPTIONS", options=f"['{one}', '{other}']")

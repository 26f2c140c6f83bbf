"""Which stateful operator a folder of state belongs to: Spark's own file `state/<operator>/_metadata/metadata`.

    v1
    {"operatorInfo":{"operatorId":0,"operatorName":"dedupe"},"stateStoreInfo":[{"storeName":"default",…}]}

Invariants: it is written at the first start and never changed, but for stores that a later run adds; state is kept in
one partition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headwater.errors import RuntimeSparkError
from headwater.io.checksum import delete_checked, read_checked, replace_checked
from headwater.io.storage import Storage

DEFAULT = "default"
"""Spark's name of an operator's only store."""


@dataclass(frozen=True)
class OperatorMetadata:
    """One operator: its id, Spark's name of it, and the names of its stores."""

    number: int
    name: str
    stores: tuple[str, ...] = (DEFAULT,)

    def text(self) -> str:
        """Spark's text."""
        stores = [{"storeName": name, "numColsPrefixKey": 0, "numPartitions": 1} for name in self.stores]
        entry = {"operatorInfo": {"operatorId": self.number, "operatorName": self.name}, "stateStoreInfo": stores}
        return "v1\n" + json.dumps(entry, separators=(",", ":"))

    @classmethod
    def parse(cls, data: bytes) -> OperatorMetadata:
        """From Spark's text. Raises ValueError, KeyError."""
        entry = json.loads(data.decode().partition("\n")[2])
        operator = entry["operatorInfo"]
        stores = tuple(str(store["storeName"]) for store in entry["stateStoreInfo"])
        return cls(int(operator["operatorId"]), str(operator["operatorName"]), stores)


def state_folder(checkpoint: str, number: int, store: str = DEFAULT) -> str:
    """Where a store of an operator lies."""
    folder = f"{checkpoint}/state/{number}"
    return folder if store in ("", DEFAULT) else f"{folder}/{store}"


def read_operators(storage: Storage, checkpoint: str) -> dict[int, OperatorMetadata]:
    """All operators that are noted in a checkpoint, by id. Raises ValueError, KeyError for a file that is damaged."""
    found = {}
    for name in storage.list(f"{checkpoint}/state"):
        if name.isdecimal():
            operator = _read(storage, checkpoint, int(name))
            if operator is not None:
                found[operator.number] = operator
    return dict(sorted(found.items()))


def check_operators(storage: Storage, checkpoint: str, now: Sequence[OperatorMetadata], begun: bool) -> None:
    """Note the operators; once batches are done (`begun`), compare them with those noted first.

    Raises STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA, and
    STREAMING_STATEFUL_OPERATOR_MISSING_STATE_DIRECTORY if nothing is noted.
    """
    noted = read_operators(storage, checkpoint)
    before = {operator.number: operator.name for operator in noted.values()}
    names = {operator.number: operator.name for operator in now}
    if begun and names and not before:
        raise RuntimeSparkError("STREAMING_STATEFUL_OPERATOR_MISSING_STATE_DIRECTORY", OpsInCurBatchSeq=_shown(names))
    if begun and before != names:
        raise RuntimeSparkError(
            "STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA",
            OpsInMetadataSeq=_shown(before),
            OpsInCurBatchSeq=_shown(names),
        )
    for number in before.keys() - names.keys():
        delete_checked(storage, _path(checkpoint, number))
    for operator in now:
        if noted.get(operator.number) != operator:
            replace_checked(storage, _path(checkpoint, operator.number), operator.text().encode())


def _read(storage: Storage, checkpoint: str, number: int) -> OperatorMetadata | None:
    try:
        return OperatorMetadata.parse(read_checked(storage, _path(checkpoint, number)))
    except FileNotFoundError:
        return None


def _path(checkpoint: str, number: int) -> str:
    return f"{state_folder(checkpoint, number)}/_metadata/metadata"


def _shown(names: Mapping[int, str]) -> str:
    return ", ".join(f"(OperatorId: {number} -> OperatorName: {name})" for number, name in names.items())

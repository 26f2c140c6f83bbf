"""State variables of a stateful processor: PySpark's own classes, answered in process.

Invariants: each operation means the group that the batch is at (`Variables.group`); what a user sees, and which error,
is what PySpark's client would have got from a JVM.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pyspark.errors import PySparkRuntimeError
from pyspark.sql.streaming.stateful_processor import ListState, MapState, ValueState
from pyspark.sql.types import Row, StructType

from headwater.errors import RuntimeSparkError, SparkError
from headwater.udf.cells import Cell, Cells
from headwater.udf.values import Codec, Kept, codec_of, order_of

Kind = Literal["value", "list", "map"]
_WHOLE = ()
"""The key of a value within its group."""


@dataclass(frozen=True)
class Variable:
    """A state variable as its processor declares it; `key` is the schema of a map's keys."""

    name: str
    kind: Kind
    schema: StructType
    key: StructType | None = None
    ttl_ms: int | None = None


@dataclass
class Counts:
    """What happened to the state in a batch."""

    updated: int = 0
    removed: int = 0


@dataclass
class Variables:
    """What all variables of a processor share.

    Attributes:
        now: the batch's processing time.
        group: number of the group at hand; None: none is.
    """

    now: int
    group: int | None = None
    counts: Counts = field(default_factory=Counts)

    def at(self) -> int:
        """The group at hand."""
        if self.group is None:
            raise PySparkRuntimeError("Implicit key not found in state store for the current operation.")
        return self.group


class _Stored:
    """What the three kinds have in common."""

    def __init__(self, variable: Variable, cells: Cells, shared: Variables) -> None:
        self._variable = variable
        self._cells = cells
        self._shared = shared
        self._codec = codec_of(variable.schema)

    def _own(self) -> dict[Any, Cell]:
        return self._cells.of(self._shared.at())

    def _put(self, key: Any, kept: Kept) -> None:
        ttl = self._variable.ttl_ms
        expires = None if ttl is None else self._shared.now + ttl
        self._cells.put(self._shared.at(), key, Cell(kept, expires))
        self._shared.counts.updated += 1

    def _kept(self, value: Any, doing: str) -> Kept:
        return _kept(self._codec, value, doing)

    def clear(self) -> None:
        """Remove this state."""
        self._shared.counts.removed += self._cells.clear(self._shared.at())

    def exists(self) -> bool:
        """Whether there is any."""
        return bool(self._own())


class StoredValue(_Stored, ValueState):  # type: ignore[misc]
    """A single value per group."""

    def get(self) -> tuple[Any, ...] | None:
        """The value, or None."""
        cell = self._own().get(_WHOLE)
        return None if cell is None else tuple(self._codec.seen(cell.value))

    def clear(self) -> None:
        """Remove the value; Spark counts it whether or not there is one."""
        self._cells.clear(self._shared.at())
        self._shared.counts.removed += 1

    def update(self, newValue: tuple[Any, ...]) -> None:  # noqa: N803 (PySpark's name)
        """Set the value."""
        self._put(_WHOLE, self._kept(newValue, "updating value state"))


class StoredList(_Stored, ListState):  # type: ignore[misc]
    """A list of values per group; its cells stand in the order of their keys, which are positions that only grow."""

    def get(self) -> Iterator[tuple[Any, ...]]:
        """The values in order, as they are now."""
        return iter([tuple(self._codec.seen(cell.value)) for cell in self._own().values()])

    def put(self, newState: list[tuple[Any, ...]]) -> None:  # noqa: N803
        """Replace the list."""
        kept = self._all_kept(newState)
        self._cells.clear(self._shared.at())
        self._append(kept)

    def appendValue(self, newState: tuple[Any, ...]) -> None:  # noqa: N802, N803
        """Add one value."""
        self._append([self._kept(newState, "updating value state")])

    def appendList(self, newState: list[tuple[Any, ...]]) -> None:  # noqa: N802, N803
        """Add several values."""
        self._append(self._all_kept(newState))

    def _all_kept(self, values: Sequence[Any]) -> list[Kept]:
        kept = [self._kept(value, "updating value state") for value in values]
        if not kept:
            empty = RuntimeSparkError("ILLEGAL_STATE_STORE_VALUE.EMPTY_LIST_VALUE", stateName=self._variable.name)
            raise _refused("updating value state", empty)
        return kept

    def _append(self, values: Sequence[Kept]) -> None:
        next_position = next(reversed(self._own()), -1) + 1
        for position, kept in enumerate(values, next_position):
            self._put(position, kept)


class StoredMap(_Stored, MapState):  # type: ignore[misc]
    """Values by a key of the user's, per group. A cell holds the user's key and the value, one after the other."""

    def __init__(self, variable: Variable, cells: Cells, shared: Variables) -> None:
        assert variable.key is not None
        super().__init__(variable, cells, shared)
        self._keys = codec_of(variable.key)
        self._width = len(variable.key.fields)

    def getValue(self, key: tuple[Any, ...]) -> Row | None:  # noqa: N802
        """The value of a key, or None."""
        cell = self._own().get(self._frozen(key, "getting value"))
        return None if cell is None else self._codec.seen(cell.value[self._width :])

    def containsKey(self, key: tuple[Any, ...]) -> bool:  # noqa: N802
        """Whether the key is there."""
        return self._frozen(key, "checking if map state contains key") in self._own()

    def updateValue(self, key: tuple[Any, ...], value: tuple[Any, ...]) -> None:  # noqa: N802
        """Set the value of a key."""
        doing = "updating map state value"
        kept_key, kept = self._kept_key(key, doing), self._kept(value, doing)
        self._put(order_of(kept_key), (*kept_key, *kept))

    def iterator(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """Keys and values, in Spark's order."""
        return iter([(self._seen_key(cell), self._seen_value(cell)) for cell in self._ordered()])

    def keys(self) -> Iterator[tuple[Any, ...]]:
        """The keys, in Spark's order."""
        return iter([self._seen_key(cell) for cell in self._ordered()])

    def values(self) -> Iterator[tuple[Any, ...]]:
        """The values, in the order of their keys."""
        return iter([self._seen_value(cell) for cell in self._ordered()])

    def removeKey(self, key: tuple[Any, ...]) -> None:  # noqa: N802
        """Remove a key."""
        frozen = self._frozen(key, "removing key from map state")
        self._cells.remove(self._shared.at(), frozen)
        self._shared.counts.removed += 1

    def _ordered(self) -> list[Cell]:
        own = self._own()
        return [own[key] for key in sorted(own)]

    def _frozen(self, key: Any, doing: str) -> bytes:
        return order_of(self._kept_key(key, doing))

    def _kept_key(self, key: Any, doing: str) -> Kept:
        return _kept(self._keys, key, doing)

    def _seen_key(self, cell: Cell) -> tuple[Any, ...]:
        return tuple(self._keys.seen(cell.value[: self._width]))

    def _seen_value(self, cell: Cell) -> tuple[Any, ...]:
        return tuple(self._codec.seen(cell.value[self._width :]))


STORED: dict[Kind, type[_Stored]] = {"value": StoredValue, "list": StoredList, "map": StoredMap}


def cell_key(variable: Variable, position: int | None, kept: Kept) -> Any:
    """The key of a cell that was stored: by its position in a list, by the user's key in a map."""
    if variable.kind == "list":
        return position
    return order_of(kept[: len(variable.key.fields)]) if variable.key is not None else _WHOLE


def _kept(codec: Codec, value: Any, doing: str) -> Kept:
    try:
        return codec.kept(value)
    except SparkError as error:
        raise _refused(doing, error) from error


def _refused(doing: str, error: SparkError) -> PySparkRuntimeError:
    return PySparkRuntimeError(f"Error {doing}: {error}")

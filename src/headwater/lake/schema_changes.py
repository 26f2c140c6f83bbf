"""What changed between two schemas of a Delta table that a stream cannot just go on with, and whether it may.

Columns are the same if their physical names are: one that has another name was renamed, one that is gone was dropped,
one of a wider type was widened. New columns are no such change.

Invariant: pure; what is not allowed by the reader's options or by the session's settings is refused, with all the ways
to allow it.
Source: genuine Delta's conditions and options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from headwater.errors import RuntimeSparkError
from headwater.lake.mapping import physical_name
from headwater.lake.widening import widens
from headwater.lake.zorder import named
from headwater.types.ddl import type_sql

Path = tuple[str, ...]
Lookup = Callable[[str], str | None]

_PREFIX = "spark.databricks.delta.streaming."
RENAME, DROP, TYPE = "allowSourceColumnRename", "allowSourceColumnDrop", "allowSourceColumnTypeChange"
BOTH = "allowSourceColumnRenameAndDrop"


@dataclass(frozen=True)
class Changes:
    """What is not a mere addition.

    Attributes:
        renamed: (old, new) names. dropped: names. widened: a column's physical names and its (old, new) type.
    """

    renamed: tuple[tuple[Path, Path], ...] = ()
    dropped: tuple[Path, ...] = ()
    widened: tuple[tuple[Path, DataType, DataType], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.renamed or self.dropped or self.widened)

    @property
    def name(self) -> str:
        """How Delta calls such a change."""
        kinds = (bool(self.renamed), bool(self.dropped), bool(self.widened))
        return {
            (True, False, False): "RENAME COLUMN",
            (False, True, False): "DROP COLUMN",
            (False, False, True): "TYPE WIDENING",
            (True, True, False): "RENAME AND DROP COLUMN",
            (True, False, True): "RENAME AND TYPE WIDENING",
            (False, True, True): "DROP AND TYPE WIDENING",
        }.get(kinds, "RENAME, DROP AND TYPE WIDENING")

    @property
    def options(self) -> tuple[str, ...]:
        """The reader's options that allow it."""
        wanted = ((RENAME, self.renamed), (DROP, self.dropped), (TYPE, self.widened))
        return tuple(option for option, found in wanted if found)

    @property
    def settings(self) -> tuple[str, ...]:
        """The session's settings that allow it."""
        both = bool(self.renamed and self.dropped)
        names = [BOTH] if both else [RENAME] if self.renamed else [DROP] if self.dropped else []
        return tuple(_PREFIX + name for name in [*names, *([TYPE] if self.widened else [])])

    def text(self) -> str:
        """The columns, a paragraph for each kind of change."""
        parts = []
        if self.renamed:
            parts.append("Columns renamed:\n" + "\n".join(f"'{named(a)}' -> '{named(b)}'" for a, b in self.renamed))
        if self.dropped:
            parts.append("Columns dropped:\n" + ", ".join(f"'{named(path)}'" for path in self.dropped))
        if self.widened:
            listed = [f"'{named(path)}': {type_sql(old)} -> {type_sql(new)}" for path, old, new in self.widened]
            parts.append("Columns with widened types:\n" + "\n".join(listed))
        return "".join(part + "\n" for part in parts)


def between(old: StructType, new: StructType) -> Changes:
    """What changed from `old` to `new`."""
    before, after = dict(_columns(old, (), ())), dict(_columns(new, (), ()))
    shared = [key for key in before if key in after]
    renamed = [(before[key][0], after[key][0]) for key in shared if before[key][0][-1] != after[key][0][-1]]
    dropped = [path for key, (path, _) in before.items() if key not in after]
    widened = [
        (key + part, one, other)
        for key in shared
        for part, one, other in _types(before[key][1], after[key][1], ())
        if widens(one, other)
    ]
    return Changes(tuple(renamed), tuple(dropped), tuple(widened))


def other_types(old: StructType, new: StructType) -> bool:
    """Whether a column that both have went to a type that is no wider one."""
    before, after = dict(_columns(old, (), ())), dict(_columns(new, (), ()))
    pairs = (pair for key in before if key in after for pair in _types(before[key][1], after[key][1], ()))
    return any(not widens(one, other) for _, one, other in pairs)


def _columns(kind: DataType, physical: Path, logical: Path) -> Iterator[tuple[Path, tuple[Path, DataType]]]:
    """Every column at every depth: its physical names, then its names and type."""
    if isinstance(kind, StructType):
        for field in kind.fields:
            key, path = (*physical, physical_name(field, "name")), (*logical, field.name)
            yield key, (path, field.dataType)
            yield from _columns(field.dataType, key, path)
    elif isinstance(kind, ArrayType):
        yield from _columns(kind.elementType, (*physical, "element"), (*logical, "element"))
    elif isinstance(kind, MapType):
        yield from _columns(kind.keyType, (*physical, "key"), (*logical, "key"))
        yield from _columns(kind.valueType, (*physical, "value"), (*logical, "value"))


def _types(old: DataType, new: DataType, path: Path) -> Iterator[tuple[Path, DataType, DataType]]:
    """The parts of a column whose types differ; what is in structs is told by their fields."""
    if isinstance(old, StructType) and isinstance(new, StructType):
        return
    if isinstance(old, ArrayType) and isinstance(new, ArrayType):
        yield from _types(old.elementType, new.elementType, (*path, "element"))
    elif isinstance(old, MapType) and isinstance(new, MapType):
        yield from _types(old.keyType, new.keyType, (*path, "key"))
        yield from _types(old.valueType, new.valueType, (*path, "value"))
    elif old != new:
        yield path, old, new


@dataclass(frozen=True)
class Leave:
    """What the user allows by the reader's options and the session's settings; `source_path`: this stream's source."""

    option: Lookup
    setting: Lookup
    source_path: str

    def check(self, changes: Changes, before: int, version: int) -> None:
        """Raise DELTA_STREAMING_CANNOT_CONTINUE_PROCESSING_POST_SCHEMA_EVOLUTION unless every change is allowed.

        `before`, `version`: between which versions of the table it was made.
        """
        kinds = ((changes.renamed, RENAME), (changes.dropped, DROP), (changes.widened, TYPE))
        if all(self._allowed(option, version) for found, option in kinds if found):
            return
        key, settings = f".ckpt_{java_hash(self.source_path)}", changes.settings
        raise RuntimeSparkError(
            "DELTA_STREAMING_CANNOT_CONTINUE_PROCESSING_POST_SCHEMA_EVOLUTION",
            opType=changes.name,
            previousSchemaChangeVersion=before,
            currentSchemaChangeVersion=version,
            columnChangeDetails=changes.text(),
            unblockChangeOptions="\n".join(f'  .option("{name}", "{version}")' for name in changes.options),
            unblockStreamOptions="\n".join(f'  .option("{name}", "always")' for name in changes.options),
            unblockChangeConfs="\n".join(f"  SET {name}{key} = {version};" for name in settings),
            unblockStreamConfs="\n".join(f'  SET {name}{key} = "always";' for name in settings),
            unblockAllConfs="\n".join(f'  SET {name} = "always";' for name in settings),
        )

    def _allowed(self, name: str, version: int) -> bool:
        if (self.option(name) or "").lower() in ("always", str(version)):
            return True
        names = [name] if name == TYPE else [name, BOTH]
        return any(self._set(_PREFIX + setting, version) for setting in names)

    def _set(self, key: str, version: int) -> bool:
        own = self.setting(f"{key}.ckpt_{java_hash(self.source_path)}") or ""
        return (self.setting(key) or "").lower() == "always" or own.lower() in ("always", str(version))


def java_hash(text: str) -> int:
    """Java's hash of a text, by which Delta's settings name one stream."""
    value = 0
    units = text.encode("utf-16-be")
    for high, low in zip(units[::2], units[1::2], strict=True):
        value = (31 * value + (high << 8 | low)) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value

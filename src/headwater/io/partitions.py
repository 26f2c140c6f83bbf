"""Partition columns from folder names: `…/day=2024-01-01/hour=7/part.json`, typed as Spark infers them.

Invariants: folders are read from the file upwards to its base folder; one column has one type over all files; a
file outside any partition folder has null in every partition column.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from urllib.parse import unquote

from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from headwater.errors import RuntimeSparkError
from headwater.io.storage import FileStatus

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Partitions:
    """What the folders say.

    Attributes:
        schema: the partition columns in folder order.
        values: file path to its texts in that order; None is null.
    """

    schema: StructType = field(default_factory=StructType)
    values: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)


def discover(files: Sequence[FileStatus], bases: Sequence[str], *, infer_types: bool = True) -> Partitions:
    """The partitions of `files` below `bases`. Raises CONFLICTING_PARTITION_COLUMN_NAMES."""
    roots = frozenset(bases)
    by_folder: dict[str, tuple[tuple[str, str | None], ...]] = {}
    for file in files:
        folder = os.path.dirname(file.path)
        if folder not in by_folder:
            by_folder[folder] = folder_values(folder, roots)
    names = _one_list_of_names(by_folder)
    if not names:
        return Partitions()
    columns = list(zip(*(_texts(pairs, names) for pairs in by_folder.values()), strict=True))
    types = [_common_type(column) if infer_types else StringType() for column in columns]
    schema = StructType([StructField(name, kind, True) for name, kind in zip(names, types, strict=True)])
    return Partitions(schema, assign(files, roots, names))


def assign(
    files: Sequence[FileStatus], bases: frozenset[str], names: Sequence[str]
) -> dict[str, tuple[str | None, ...]]:
    """Each file's partition texts for the columns `names`."""
    cache: dict[str, tuple[str | None, ...]] = {}
    result = {}
    for file in files:
        folder = os.path.dirname(file.path)
        if folder not in cache:
            cache[folder] = _texts(folder_values(folder, bases), names)
        result[file.path] = cache[folder]
    return result


def folder_values(folder: str, bases: frozenset[str]) -> tuple[tuple[str, str | None], ...]:
    """The `name=value` folders between a base and `folder`, outermost first."""
    found: list[tuple[str, str | None]] = []
    while folder not in bases and folder not in {"/", ""}:
        folder, segment = os.path.split(folder)
        name, sign, value = segment.partition("=")
        if sign and name:
            found.append((unquote(name), None if value == NULL_FOLDER else unquote(value)))
        elif found:
            break
    return tuple(reversed(found))


def merge_schema(data: StructType, partitions: StructType) -> tuple[StructType, StructType]:
    """Split a user's schema: its data fields, and the partition columns with the user's types where given."""
    given = {item.name.lower(): item for item in data.fields}
    folders = {item.name.lower() for item in partitions.fields}
    rest = StructType([item for item in data.fields if item.name.lower() not in folders])
    return rest, StructType([given.get(item.name.lower(), item) for item in partitions.fields])


def _texts(pairs: Sequence[tuple[str, str | None]], names: Sequence[str]) -> tuple[str | None, ...]:
    by_name = {name.lower(): value for name, value in pairs}
    return tuple(by_name.get(name.lower()) for name in names)


def _one_list_of_names(by_folder: Mapping[str, Sequence[tuple[str, str | None]]]) -> tuple[str, ...]:
    lists: dict[tuple[str, ...], list[str]] = {}
    for folder, pairs in by_folder.items():
        if pairs:
            lists.setdefault(tuple(name for name, _ in pairs), []).append(folder)
    if len({tuple(name.lower() for name in names) for names in lists}) > 1:
        described = "".join(f"\n\tPartition column name list #{i}: {', '.join(n)}" for i, n in enumerate(lists))
        folders = "".join(f"\n\tfile:{folder}" for group in lists.values() for folder in group)
        raise RuntimeSparkError(
            "CONFLICTING_PARTITION_COLUMN_NAMES", distinctPartColLists=described + "\n", suspiciousPaths=folders
        )
    return next(iter(lists), ())


# ── types of folder texts ───────────────────────────────────────────────────────────────────────────────────


def _is_int(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d+", text)) and -(2**31) <= int(text) < 2**31


def _is_long(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d+", text)) and -(2**63) <= int(text) < 2**63


def _is_big(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d{1,38}", text))


def _is_double(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text))


def _is_date(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}", text)) and _parses(date.fromisoformat, text)


def _is_timestamp(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?", text)) and _parses(
        datetime.fromisoformat, re.sub(r"\.\d+$", "", text)
    )


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_NUMBERS: tuple[tuple[Callable[[str], bool], DataType], ...] = (
    (_is_int, IntegerType()),
    (_is_long, LongType()),
    (_is_big, DecimalType(38, 0)),
    (_is_double, DoubleType()),
)
_TIMES: tuple[tuple[Callable[[str], bool], DataType], ...] = (
    (_is_date, DateType()),
    (lambda text: _is_date(text) or _is_timestamp(text), TimestampType()),
)


def _common_type(texts: Sequence[str | None]) -> DataType:
    """The narrowest type that holds all texts; numbers and times do not mix."""
    known = [text for text in texts if text is not None]
    if not known:
        return StringType()
    for family in (_NUMBERS, _TIMES):
        for index, (_, kind) in enumerate(family):
            if all(any(test(text) for test, _ in family[: index + 1]) for text in known):
                return kind
    return StringType()

"""Reading the checkpoints of a Delta log: classic, in parts, and those of the `v2Checkpoint` feature with sidecars.

The rows of a checkpoint are mostly files. They come column by column from Arrow, and their statistics stay text, so
that the cost is a few microseconds for each file.

Source: the sections "Checkpoints" and "Sidecar Files" of Delta's PROTOCOL.md.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from headwater.io.storage import Storage
from headwater.lake.actions import (
    AddFile,
    DomainMetadata,
    Metadata,
    Protocol,
    Txn,
    decode_path,
    parse_add,
    parse_domain,
    parse_metadata,
    parse_protocol,
    parse_txn,
)

if TYPE_CHECKING:
    import pyarrow as pa

_MARK = ".checkpoint"
_NAME = re.compile(r"^(\d{20})\.checkpoint(?:\.(\d{10})\.(\d{10})|\.([0-9a-f-]{36}))?\.(parquet|json)$", re.IGNORECASE)
_SIDECARS = "_sidecars"
_ACTIONS = ("txn", "metaData", "protocol", "domainMetadata", "sidecar")
_KEPT = ("tags", "baseRowId", "defaultRowCommitVersion", "clusteringProvider")
_ADD = ("path", "partitionValues", "size", "modificationTime", "dataChange", "stats", "deletionVector", *_KEPT)
_NUMBER = "\x00#"
_MARKED_NUMBER = re.compile(r'"\\u0000#([^"]*)"')


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that is whole: its version and the names of its files."""

    version: int
    names: tuple[str, ...]


@dataclass
class Contents:
    """What a checkpoint says."""

    protocol: Protocol | None = None
    metadata: Metadata | None = None
    files: list[AddFile] = field(default_factory=list)
    txns: list[Txn] = field(default_factory=list)
    domains: list[DomainMetadata] = field(default_factory=list)


def is_checkpoint(name: str) -> bool:
    """Whether a file of the log is one, or part of one."""
    return _MARK in name and _NAME.match(name) is not None


def is_v2(name: str) -> bool:
    """Whether a file of the log is a checkpoint under a name that only the feature `v2Checkpoint` gives."""
    match = _NAME.match(name) if _MARK in name else None
    return match is not None and match[4] is not None


def find(names: Iterable[str], last: int | None = None) -> list[Checkpoint]:
    """The whole checkpoints among the names of the log, newest first, none after version `last`."""
    parts: dict[tuple[int, int], list[str]] = {}
    found = []
    for name in names:
        match = _NAME.match(name) if _MARK in name else None
        if match is None or (last is not None and int(match[1]) > last):
            continue
        if match[3] is None:
            found.append(Checkpoint(int(match[1]), (name,)))
        else:
            parts.setdefault((int(match[1]), int(match[3])), []).append(name)
    found += [Checkpoint(version, tuple(sorted(of))) for (version, total), of in parts.items() if len(of) == total]
    return sorted(found, key=lambda one: (one.version, one.names), reverse=True)


def read(folder: str, checkpoint: Checkpoint, storage: Storage) -> Contents:
    """Its contents. Raises ArrowException, OSError, ValueError or KeyError if it is damaged."""
    contents = Contents()
    sidecars: list[str] = []
    for name in checkpoint.names:
        data = storage.read(os.path.join(folder, name))
        sidecars += _read_json(data, contents) if name.endswith(".json") else _read_parquet(data, contents)
    for path in sidecars:
        # They all lie in one folder, whether or not the checkpoint names it.
        name = os.path.basename(decode_path(path))
        _read_parquet(storage.read(os.path.join(folder, _SIDECARS, name)), contents)
    return contents


def _read_json(data: bytes, contents: Contents) -> list[str]:
    sidecars = []
    for line in data.splitlines():
        for kind, body in json.loads(line).items() if line.strip() else ():
            if kind == "add":
                contents.files.append(parse_add(body))
            elif kind == "sidecar":
                sidecars.append(body["path"])
            else:
                _take(kind, body, contents)
    return sidecars


def _take(kind: str, body: Mapping[str, Any], contents: Contents) -> None:
    if kind == "txn":
        contents.txns.append(parse_txn(body))
    elif kind == "metaData":
        contents.metadata = parse_metadata({**body, "configuration": dict(body.get("configuration") or ())})
    elif kind == "protocol":
        contents.protocol = parse_protocol(body)
    elif kind == "domainMetadata":
        contents.domains.append(parse_domain(body))


# ── Parquet ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_parquet(data: bytes, contents: Contents) -> list[str]:
    """Take the rows in; the paths of the sidecars it names."""
    # Loaded on use: tables young enough to have no checkpoint do not pay for it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    schema = file.schema_arrow
    actions = [name for name in _ACTIONS if name in schema.names]
    table = file.read(columns=[*actions, *_add_columns(schema)])
    sidecars = []
    for name in actions:
        column = table.column(name).combine_chunks()
        for body in column.filter(column.is_valid()).to_pylist():
            if name == "sidecar":
                sidecars.append(body["path"])
            else:
                _take(name, body, contents)
    if "add" in table.column_names:
        contents.files.extend(_files(table.column("add").combine_chunks()))
    return sidecars


def _add_columns(schema: pa.Schema) -> list[str]:
    """The fields of `add` to read: not the bounds a second time in the form of columns."""
    if "add" not in schema.names:
        return []
    kind = schema.field("add").type
    there = {kind.field(i).name for i in range(kind.num_fields)}
    wanted = [*_ADD, *(["stats_parsed"] if "stats" not in there else [])]
    return [f"add.{name}" for name in wanted if name in there]


def _files(adds: pa.StructArray) -> Iterator[AddFile]:
    adds = adds.filter(adds.is_valid())
    columns = dict(zip((adds.type.field(i).name for i in range(adds.type.num_fields)), adds.flatten(), strict=True))
    rows = len(adds)

    def values(name: str, otherwise: Any = None) -> Sequence[Any]:
        column = columns.get(name)
        return [otherwise] * rows if column is None or column.null_count == rows else column.to_pylist()

    others = [(name, values(name)) for name in _KEPT if name in columns and columns[name].null_count < rows]
    return map(
        AddFile,
        values("path"),
        _maps(columns["partitionValues"]) if "partitionValues" in columns else [{}] * rows,
        values("size"),
        values("modificationTime"),
        [change is not False for change in values("dataChange", True)],
        values("stats") if "stats" in columns else [_stats_text(each) for each in values("stats_parsed")],
        [None if each is None else _present(each) for each in values("deletionVector")],
        [_other(others, row) for row in range(rows)] if others else [{}] * rows,
    )


def _maps(column: pa.MapArray) -> list[dict[str, str | None]]:
    """The maps, equal ones being one object."""
    if not len(column.keys):
        return [{}] * len(column)
    keys, items, ends = column.keys.to_pylist(), column.items.to_pylist(), column.offsets.to_pylist()
    known: dict[tuple[Any, ...], dict[str, str | None]] = {}
    found = []
    for start, end in pairwise(ends):
        pairs = tuple(zip(keys[start:end], items[start:end], strict=True)) if end > start else ()
        found.append(known.setdefault(pairs, dict(pairs)))
    return found


def _other(columns: Sequence[tuple[str, Sequence[Any]]], row: int) -> dict[str, Any]:
    found = {name: values[row] for name, values in columns if values[row] is not None}
    return {**found, "tags": dict(found["tags"])} if "tags" in found else found


def _present(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


# ── statistics in columns ───────────────────────────────────────────────────────────────────────────────────────


def _stats_text(stats: Mapping[str, Any] | None) -> str | None:
    """The text that a writer without `delta.checkpoint.writeStatsAsJson` has left out."""
    if stats is None:
        return None
    text = json.dumps(_written(stats), separators=(",", ":"), ensure_ascii=False)
    return _MARKED_NUMBER.sub(r"\1", text)


def _written(value: Any) -> Any:
    if isinstance(value, Mapping):
        parts = {key: _written(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not None}
    if isinstance(value, datetime):
        zone = "Z" if value.tzinfo is not None else ""
        moment = value.astimezone(UTC).replace(tzinfo=None) if zone else value
        return moment.isoformat(timespec="milliseconds") + zone
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{_NUMBER}{value}"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if isinstance(value, bytes) else value

"""Real files for tests of formats and sources, and the rows that a scan of them gives.

Invariant: every scan runs on a connection of its own, in UTC.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headwater.clock import ManualClock
from headwater.duck import Database, sql_text
from headwater.io.formats import FormatOptions, formats
from headwater.io.formats.base import Format, ScanRequest
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.io.storage import FileStatus
from headwater.settings import Settings
from headwater.sources.base import (
    BatchInput,
    ReadLimit,
    RecordsOffsets,
    SourceContext,
    SourceRequest,
    StreamSource,
    scanned,
    sources,
)
from headwater.streaming.views import set_variable
from headwater.types.ddl import parse_schema

DATABASE = Database(threads=2)
Row = tuple[Any, ...]
EVERY_LIMIT = ReadLimit()


def put(path: Path, text: str | bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def status(path: Path) -> FileStatus:
    """A file as a listing shows it."""
    found = path.stat()
    return FileStatus(str(path), found.st_size, found.st_mtime_ns // 1_000_000, f"file:{path}")


def file_format(name: str) -> Format:
    found = formats.get(name)
    assert found is not None
    return found


def scan(name: str, paths: Path | list[Path], schema: str, options: Mapping[str, str] = {}, **more: Any) -> list[Row]:
    """The rows of files read with a DDL schema."""
    files = tuple(status(path) for path in (paths if isinstance(paths, list) else [paths]))
    request = ScanRequest(files, parse_schema(schema), FormatOptions(options), **more)
    return rows_of(scanned(file_format(name), request))


def infer(name: str, path: Path, options: Mapping[str, str] = {}) -> str:
    """The inferred schema as Spark's simple string."""
    connection = DATABASE.connect()
    return file_format(name).infer(connection, [status(path)], FormatOptions(options)).simpleString()


def run(text: str) -> list[Row]:
    connection = DATABASE.connect()
    return connection.execute(text).fetchall()


def rows_of(found: BatchInput) -> list[Row]:
    """The rows of an input, on a connection of its own."""
    connection = DATABASE.connect()
    for name, data in found.inputs.items():
        connection.register(name, data)
    for name, files in found.variables.items():
        connection.execute(sql_text(set_variable(name, files))).fetchall()
    return connection.execute(sql_text(found.query)).fetchall()


class SourceBench:
    """One streaming source over folders below `root`, opened again and again on one checkpoint."""

    def __init__(self, kind: str, root: Path, schema: str | None, path: str | None = None, **options: str) -> None:
        self.kind, self.root = kind, root
        self.clock = ManualClock(1_700_000_000_000)
        self.schema = parse_schema(schema) if schema else None
        self.path = path or str(root / "in")
        self.options = options
        self.mounts = Mounts()
        self.settings = Settings()
        self.offset: str | None = None
        self.source: StreamSource | None = None

    @property
    def context(self) -> SourceContext:
        checkpoint = self.root / "checkpoint"
        storage = LocalStorage("none")
        context = SourceContext(DATABASE, storage, self.clock, self.settings, self.mounts)
        return replace(context, log_path=str(checkpoint / "sources" / "0"), checkpoint=str(checkpoint))

    @property
    def request(self) -> SourceRequest:
        return SourceRequest(self.kind, self.schema, FormatOptions(self.options), (self.path,) if self.path else ())

    def open(self) -> StreamSource:
        provider = sources.get(self.kind)
        assert provider is not None
        self.source = provider.open(self.request, self.context)
        if self.offset is None:
            self.offset = self.source.initial_offset()
        return self.source

    def step(self, limit: ReadLimit = EVERY_LIMIT) -> list[Row] | None:
        """The rows of the next batch, sorted; None if there is nothing new."""
        source = self.source or self.open()
        end = source.latest_offset(self.offset, limit)
        if end is None or end == self.offset:
            return None
        if isinstance(source, RecordsOffsets):
            source.record(end)
        rows = self.rows(self.offset, end)
        source.commit(end)
        self.offset = end
        return rows

    def rows(self, start: str | None, end: str) -> list[Row]:
        source = self.source or self.open()
        connection = DATABASE.connect()
        return sorted(rows_of(source.relation(connection, start, end)), key=repr)

    def batch(self) -> tuple[list[Row], str]:
        provider: Any = sources.get(self.kind)
        found, schema = provider.batch(self.request, self.context)
        return sorted(rows_of(found), key=repr), schema.simpleString()


def age(path: Path, milliseconds: int) -> None:
    """Set a file's modification time, milliseconds since the epoch."""
    os.utime(path, ns=(milliseconds * 1_000_000,) * 2)

"""State rows as Parquet bytes and back, bit for bit.

Parquet has no form for intervals: they are kept as their 16 bytes (months and days as 32-bit, nanoseconds as 64-bit
little-endian numbers), and the schema they had is noted in the file's metadata under `headwater.schema`.

Invariant: `decode(encode(rows))` is `rows`, types included, for every type DuckDB hands over.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_NOTE = b"headwater.schema"
_BYTES = pa.binary(16)


def encode(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """A Parquet file of the batches."""
    stored = _stored_schema(schema)
    sink = io.BytesIO()
    # state values hardly repeat: a dictionary costs twice the time and makes the file larger
    with pq.ParquetWriter(sink, stored, compression="zstd", use_dictionary=False, store_schema=True) as writer:
        for batch in batches:
            writer.write_batch(_swapped(batch, stored))
    return sink.getvalue()


def decode(data: bytes) -> pa.Table:
    """All rows. Raises ArrowException or OSError if it is not a whole file."""
    file = _file(data)
    rows = file.read(use_threads=False)
    schema = original_schema(file)
    return pa.Table.from_batches([_swapped(batch, schema) for batch in rows.to_batches()], schema)


def decode_batches(data: bytes) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema, and the rows bit by bit, so that they are never all in memory twice."""
    file = _file(data)
    schema = original_schema(file)
    return schema, (_swapped(batch, schema) for batch in file.iter_batches(batch_size=65_536))


def original_schema(file: pq.ParquetFile) -> pa.Schema:
    """The schema of the rows that were encoded."""
    schema = file.schema_arrow
    noted = (schema.metadata or {}).get(_NOTE)
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(noted))) if noted else schema.remove_metadata()


def _file(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(data))


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────────


def _stored_schema(schema: pa.Schema) -> pa.Schema:
    stored = pa.schema([field.with_type(_stored_type(field.type)) for field in schema])
    if stored.equals(schema.remove_metadata()):
        return stored
    note = base64.b64encode(schema.remove_metadata().serialize().to_pybytes())
    return stored.with_metadata({_NOTE: note})


def _stored_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_interval(kind):
        return _BYTES
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_stored_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        key, item = kind.key_field, kind.item_field
        return pa.map_(key.with_type(_stored_type(key.type)), item.with_type(_stored_type(item.type)))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_stored_type(kind.value_type)))
    return kind


def _swapped(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the types of `schema`, which differ in intervals only."""
    columns = [_swap(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _swap(array: Any, target: pa.DataType) -> Any:
    if array.type.equals(target):
        return array
    if array.offset:
        array = array.take(pa.array(range(len(array))))  # a copy that starts at its buffers' beginning
    buffers = array.buffers()
    if pa.types.is_struct(target):
        children = [_swap(array.field(i), field.type) for i, field in enumerate(target)]
        return pa.Array.from_buffers(target, len(array), buffers[:1], children=children)
    if pa.types.is_map(target):
        entries = [_swap(array.keys, target.key_type), _swap(array.items, target.item_type)]
        pairs = pa.StructArray.from_arrays(entries, fields=[target.key_field, target.item_field])
        return pa.Array.from_buffers(target, len(array), buffers[:2], children=[pairs])
    if pa.types.is_list(target):
        children = [_swap(array.values, target.value_type)]
        return pa.Array.from_buffers(target, len(array), buffers[:2], children=children)
    return pa.Array.from_buffers(target, len(array), buffers)

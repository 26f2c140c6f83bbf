"""Rows that Python code makes while DuckDB scans them, as an Arrow stream that can be scanned any number of times.

Invariants: compiling runs no code of the user; every scan runs it anew, on a connection of its own; a Spark error
passes through DuckDB whole.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.context import Context
from headwater.compile.frame import Frame, Slot, column_of
from headwater.duck import Connection
from headwater.errors import SparkError, carried
from headwater.types.arrow import arrow_schema, conform
from headwater.types.duck import to_duck

Run = Callable[[Connection, str], Iterator[pa.Table]]
"""From a connection and the session's time zone to the rows, columns by position."""


class PythonRows:
    """See the module.

    Args:
        run: makes the rows.
        inputs: Arrow data that the queries of `run` name.
    """

    def __init__(self, schema: StructType, run: Run, inputs: Mapping[str, Any], context: Context) -> None:
        self._spark_schema = schema
        self._schema = numbered(schema)
        self._run = run
        self._inputs = dict(inputs)
        self._time_zone = context.time_zone
        self._connection = context.binder().cursor()

    def __arrow_c_schema__(self) -> object:
        """The schema, by Arrow's PyCapsule interface."""
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows, by Arrow's PyCapsule interface."""
        reader = pa.RecordBatchReader.from_batches(self._schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        connection = self._connection.cursor()
        try:
            connection.execute("SET TimeZone = ?", [self._time_zone])
            for name, data in self._inputs.items():
                connection.register(name, data)
            for rows in self._run(connection, self._time_zone):
                yield from conform(rows, self._spark_schema).rename_columns(self._schema.names).to_batches()
        except SparkError as error:
            raise RuntimeError(carried(error)) from error
        finally:
            connection.close()


def rows_frame(schema: StructType, data: Any, compiler: Compiler, *, streaming: bool = False) -> Frame:
    """A frame over Arrow data whose columns are `out_<i>`."""
    name, alias = f"python_{uuid.uuid4().hex}", compiler.fresh("t")
    known = exp.TableAlias(this=exp.Identifier(this=alias, quoted=True))
    source = exp.Table(this=exp.Identifier(this=name, quoted=True), alias=known)
    slots = [
        Slot(
            compiler.attribute(field.name, field.dataType, field.nullable, field.metadata),
            exp.Cast(this=column_of(alias, f"out_{i}"), to=to_duck(field.dataType)),
        )
        for i, field in enumerate(schema.fields)
    ]
    return Frame(source, tuple(slots), inputs={name: data}, streaming=streaming)


def no_rows(schema: StructType) -> pa.Table:
    """Data without rows, for a relation that is never run."""
    return numbered(schema).empty_table()


def numbered(schema: StructType) -> pa.Schema:
    """The schema's Arrow types under names that never meet."""
    return pa.schema([field.with_name(f"out_{i}") for i, field in enumerate(arrow_schema(schema))])

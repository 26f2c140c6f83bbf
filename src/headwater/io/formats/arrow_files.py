"""Formats that DuckDB does not read itself: files as Arrow batches, which DuckDB draws in one after the other.

A scan's query names its Arrow data by `ScanRequest.table`; whoever runs it registers `inputs(request)` first.

Invariants: a file is opened when its turn comes and read a batch at a time; one of no bytes has no rows, as
in Spark; a scan may be run again; columns are
numbered in the Arrow data, as names may differ in case only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import AnalysisError, FileReadError, RuntimeSparkError, SparkError, carried
from headwater.io.formats.base import FormatOptions, ScanRequest
from headwater.io.formats.rescue import union
from headwater.io.formats.scan import FILE, aliased, attach, name, nothing, subquery
from headwater.io.formats.stored import columns
from headwater.io.instants import without_zone
from headwater.io.s3_files import of_each
from headwater.io.storage import FileStatus
from headwater.types.arrow import arrow_schema, conform
from headwater.types.duck import to_duck

Batches = Iterator[pa.RecordBatch]


class ArrowStream:
    """Batches as an Arrow stream that can be opened again and again.

    Args:
        schema: of the batches.
        batches: gives them; what it raises reaches the user as it is if it is a `SparkError`.
    """

    def __init__(self, schema: pa.Schema, batches: Callable[[], Batches]) -> None:
        self.schema = schema
        self._batches = batches

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self.schema, self._carrying())
        return reader.__arrow_c_stream__(requested_schema)

    def _carrying(self) -> Batches:
        try:
            yield from self._batches()
        except SparkError as error:
            raise RuntimeError(carried(error)) from error


class ArrowFiles(ABC):
    """A format whose files store their columns' names and types."""

    title: str
    extensions: tuple[str, ...]
    local_times = False
    """Whether instants are stored as local times of the session's zone."""

    @abstractmethod
    def stored(self, file: FileStatus, options: FormatOptions) -> StructType:
        """The columns that a file stores. Raises FAILED_READ_FILE."""

    @abstractmethod
    def batches(self, file: FileStatus, stored: StructType, wanted: Sequence[str], options: FormatOptions) -> Batches:
        """The wanted columns of a file, in order."""

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:  # noqa: ARG002
        """See `Format.infer`: of one file, or of all with `mergeSchema`."""
        if not files:
            raise AnalysisError("UNABLE_TO_INFER_SCHEMA", format=self.title)
        chosen = files if options.flag("mergeSchema") else files[:1]
        found = of_each(chosen, lambda file: self.stored(file, options))
        return merged([StructType([StructField(f.name, f.dataType, True, f.metadata) for f in s]) for s in found])

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`."""
        if not request.files:
            return nothing(request.schema)
        scans = []
        groups = self._groups(request)
        if not groups:
            return attach(request, _no_rows(request))
        for at, (stored, files) in enumerate(groups):
            numbered = {field.name: f"c{index}" for index, field in enumerate(stored.fields)}
            typed: list[exp.Expr] = [
                aliased(exp.cast(name(numbered[f.name]), to_duck(f.dataType)), numbered[f.name]) for f in stored.fields
            ]
            rows = exp.select(*typed, name(FILE)).from_(exp.to_table(f"{request.table}_{at}"))
            chosen = columns(request, stored, files, lambda column, known=numbered: name(known[column]))  # type: ignore[misc]
            scans.append(exp.select(*chosen or [exp.null()]).from_(subquery(rows, "stored")))
        return attach(request, union(scans))

    def inputs(self, request: ScanRequest) -> Mapping[str, Any]:
        """See `ReadsArrow.inputs`."""
        return {
            f"{request.table}_{at}": self._stream(stored, files, request.options)
            for at, (stored, files) in enumerate(self._groups(request))
        }

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """Not called: files of these formats are not written."""
        raise NotImplementedError(self.title)

    def _groups(self, request: ScanRequest) -> list[tuple[StructType, list[FileStatus]]]:
        groups: dict[str, tuple[StructType, list[FileStatus]]] = {}
        filled = [file for file in request.files if file.size != 0]
        found = of_each(filled, lambda file: self.stored(file, request.options))
        for file, stored in zip(filled, found, strict=True):
            groups.setdefault(stored.json(), (stored, []))[1].append(file)
        return list(groups.values())

    def _stream(self, stored: StructType, files: Sequence[FileStatus], options: FormatOptions) -> ArrowStream:
        kinds = [without_zone(f.dataType) if self.local_times else f.dataType for f in stored.fields]
        plain = StructType([StructField(f"c{at}", kind) for at, kind in enumerate(kinds)])
        schema = arrow_schema(plain).append(pa.field(FILE, pa.string()))
        names = [field.name for field in stored.fields]

        def batches() -> Batches:
            for file in files:
                with reading_errors(file):
                    for batch in self.batches(file, stored, names, options):
                        path = pa.array([file.path], pa.string()).take(pa.array([0] * batch.num_rows, pa.int64()))
                        whole = conform(batch, plain) if names else batch
                        yield pa.RecordBatch.from_arrays([*whole.columns, path], schema=schema)

        return ArrowStream(schema, batches)


def _no_rows(request: ScanRequest) -> exp.Select:
    rescued = [StructField(request.rescue, StringType())] if request.rescue else []
    return nothing(StructType([*request.schema.fields, *rescued, StructField(FILE, StringType())]))


class reading_errors:  # noqa: N801 (a context manager)
    """What a library raises of a damaged file becomes FAILED_READ_FILE.NO_HINT, naming the file."""

    def __init__(self, file: FileStatus) -> None:
        self._file = file

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, SparkError | GeneratorExit):
            return
        path = self._file.uri or self._file.path
        if isinstance(error, FileNotFoundError):
            raise FileReadError("FAILED_READ_FILE.FILE_NOT_EXIST", path=path) from error
        raise FileReadError("FAILED_READ_FILE.NO_HINT", path=path, reason=str(error) or type(error).__name__) from error


def merged(schemas: Sequence[StructType]) -> StructType:
    """All columns of all schemas, in order; the first type of a name stays. Raises CANNOT_MERGE_SCHEMAS."""
    fields: dict[str, StructField] = {}
    for schema in schemas:
        for field in schema.fields:
            known = fields.setdefault(field.name, field)
            if known.dataType != field.dataType:
                raise RuntimeSparkError(
                    "CANNOT_MERGE_SCHEMAS", left=schemas[0].simpleString(), right=schema.simpleString()
                )
    return StructType(list(fields.values()))

"""XML: every element of the name `rowTag` is a row, found with lxml; texts become typed values in DuckDB.

Invariants: a text that is not a value of its field's type is null, and the fields around it are read; a damaged
document gives one bad record beside the rows before the damage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import AnalysisError
from headwater.io.formats import xml_inference
from headwater.io.formats.arrow_files import ArrowStream, Batches, reading_errors
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.cells import CellRules, from_text
from headwater.io.formats.json_values import typed
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.rescue import json_text, misfit, pair, rescued_object
from headwater.io.formats.scan import FILE, LINE, aliased, attach, call, name, needs_file, nothing, subquery
from headwater.io.formats.xml_records import Damaged, rows
from headwater.io.formats.xml_values import XmlOptions, lost, markup, row_of
from headwater.io.storage import FileStatus
from headwater.types.arrow import arrow_schema

_ROWS = 4096
_LOST = "__lost"
_DAMAGED = "__damaged"


class Xml:
    """The format `xml`."""

    extensions: tuple[str, ...] = (".xml",)

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:  # noqa: ARG002
        """See `Format.infer`."""
        if not files:
            raise AnalysisError("UNABLE_TO_INFER_SCHEMA", format="XML")
        return xml_inference.infer(files, options)

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`. Raises XML_ROW_TAG_MISSING."""
        XmlOptions.of(request.options)
        if not request.files:
            return nothing(request.schema)
        mode = ReadMode.of(request.options, request.schema)
        rules = CellRules.of(request.options)
        read, taken = (
            _fields(request, mode),
            {field.name: _numbered(at) for at, field in enumerate(request.schema.fields)},
        )
        values = {f.name: typed(name(taken[f.name]), f.dataType, rules, leaf=from_text) for f in read}
        wrong = {f.name: misfit(name(taken[f.name]), values[f.name]) for f in read if f.dataType != StringType()}
        bad = exp.or_(name(_DAMAGED), *[_misread(taken[column], test) for column, test in wrong.items()])
        columns: list[exp.Expr] = []
        for field in request.schema.fields:
            value = mode.text(field.name, bad) or values[field.name]
            columns.append(aliased(value, field.name))
        if request.rescue is not None:
            pairs = [pair(column, test, name(taken[column])) for column, test in wrong.items()]
            columns.append(aliased(_rescued(request, pairs), request.rescue))
            bad = name(_DAMAGED)
        if needs_file(request):
            columns.append(name(FILE))
        source = exp.select(exp.Star()).from_(exp.to_table(f"{request.table}_0"))
        return attach(request, mode.apply(exp.select(*columns or [exp.null()]).from_(subquery(source, "records")), bad))

    def inputs(self, request: ScanRequest) -> Mapping[str, Any]:
        """See `ReadsArrow.inputs`: texts of the fields, of the record if it may be bad, of what no field takes."""
        if not request.files:
            return {}
        mode = ReadMode.of(request.options, request.schema)
        fields = _fields(request, mode)
        raw = StructType(
            [StructField(_numbered(at), _raw(f.dataType)) for at, f in enumerate(request.schema.fields) if f in fields]
            + [StructField(column, StringType()) for column in (LINE, _LOST, FILE)]
        )
        schema = arrow_schema(raw).append(pa.field(_DAMAGED, pa.bool_()))
        return {f"{request.table}_0": ArrowStream(schema, lambda: _batches(request, mode, schema))}

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """Not called: this format is not written."""
        raise NotImplementedError("xml")


formats.register("xml")(Xml())


def _fields(request: ScanRequest, mode: ReadMode) -> list[StructField]:
    return mode.data(request.schema)


def _numbered(at: int) -> str:
    """Columns of the Arrow data, which may have any names in any case."""
    return f"c{at}"


def _raw(kind: DataType) -> DataType:
    """The type with text at its leaves."""
    if isinstance(kind, StructType):
        return StructType([StructField(f.name, _raw(f.dataType)) for f in kind.fields])
    if isinstance(kind, ArrayType):
        return ArrayType(_raw(kind.elementType))
    return MapType(StringType(), _raw(kind.valueType)) if isinstance(kind, MapType) else StringType()


def _batches(request: ScanRequest, mode: ReadMode, schema: pa.Schema) -> Batches:
    for file in request.files:
        with reading_errors(file):
            records = _records(file, request, mode)
            while chunk := list(islice(records, _ROWS)):
                yield pa.RecordBatch.from_pylist(chunk, schema=schema)


def _records(file: FileStatus, request: ScanRequest, mode: ReadMode) -> Iterator[dict[str, Any]]:
    options = XmlOptions.of(request.options, rescuing=request.rescue is not None)
    fields = _fields(request, mode)
    places = {field.name: _numbered(at) for at, field in enumerate(request.schema.fields)}
    with_text = mode.careful or request.rescue is not None
    for row in rows(file, options, request.options.get("encoding", request.options.get("charset"))):
        if isinstance(row, Damaged):
            yield {LINE: row, FILE: file.path, _DAMAGED: True}
            continue
        record = {places[key]: value for key, value in row_of(row, fields, options).items()}
        record |= {FILE: file.path, _DAMAGED: False, LINE: markup(row) if with_text else None}
        unknown = lost(row, fields, options) if request.rescue is not None else None
        if unknown:
            record[_LOST] = json.dumps(unknown, ensure_ascii=False, separators=(",", ":"))[1:-1]
        yield record


def _misread(column: str, test: exp.Expr) -> exp.Expr:
    """Whether a value was not of its type; an empty element is null and well."""
    return exp.and_(test, exp.NEQ(this=exp.cast(name(column), "VARCHAR"), expression=exp.Literal.string("")))


def _rescued(request: ScanRequest, pairs: Sequence[exp.Expr]) -> exp.Expr:
    whole = call("concat", '"_corrupt_record":', json_text(name(LINE)))
    corrupt = exp.Case(ifs=[exp.If(this=name(_DAMAGED), true=whole)])
    return rescued_object(request.files, [*pairs, name(_LOST), corrupt])

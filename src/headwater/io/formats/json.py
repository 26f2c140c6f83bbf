"""JSON: one object a line, or whole documents with `multiLine`.

Invariants: a line that is not JSON becomes a row of nulls (PERMISSIVE), and the lines around it are read; a
value of another type than its field is null, and the fields around it are read.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import DataType, StringType, StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.cells import FRACTIONS, INTEGERS, CellRules, from_string, from_token
from headwater.io.formats.scan import FILE, aliased, attach, name, needs_file, reader
from headwater.io.storage import FileStatus
from headwater.types.duck import duck_name

_TOKENS = (*INTEGERS, *FRACTIONS)


class Json:
    """The format `json`."""

    extensions = (".json", ".jsonl", ".ndjson")

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
        """See `Format.infer`."""
        raise NotImplementedError

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`."""
        return attach(request, _plain(request))

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """See `Format.copy_options`."""
        return {"FORMAT": exp.Var(this="json")}


formats.register("json")(Json())


def raw_type(data_type: DataType) -> str:
    """What DuckDB reads a field as, before Spark's rules make it the field's type."""
    from pyspark.sql.types import ArrayType, BooleanType, MapType

    if isinstance(data_type, (*_TOKENS, BooleanType)):
        return "JSON"
    if isinstance(data_type, StructType | ArrayType | MapType):
        return duck_name(data_type)
    return "VARCHAR"


def typed(value: exp.Expression, data_type: DataType, rules: CellRules) -> exp.Expression:
    """A field read as `raw_type`, by Spark's rules."""
    raw = raw_type(data_type)
    if isinstance(data_type, StringType) or raw not in {"JSON", "VARCHAR"}:
        return value
    if raw == "JSON":
        return from_token(exp.cast(value, "VARCHAR"), data_type, rules)
    return from_string(value, data_type, rules)


def _plain(request: ScanRequest) -> exp.Select:
    """One native scan."""
    rules = CellRules.of(request.options)
    fields = request.schema.fields
    table = reader(
        "read_json",
        [file.path for file in request.files],
        columns={field.name: raw_type(field.dataType) for field in fields},
        format="newline_delimited",
        ignore_errors=True,
        auto_detect=False,
        **({"filename": FILE} if needs_file(request) else {}),
    )
    columns = [aliased(typed(name(field.name), field.dataType, rules), field.name) for field in fields]
    if needs_file(request):
        columns.append(name(FILE))
    return exp.select(*columns).from_(table)

"""JSON: one object a line, or a document a file with `multiLine`.

The plain scan is one native `read_json`. Options that need the text of bad records (corrupt-record column, FAILFAST,
DROPMALFORMED) and files that are not plain lines of objects take `json_careful`; `rescue` takes `json_rescue`.

Invariants: a line that is not JSON becomes a row of nulls (PERMISSIVE), and the lines around it are read; a value
of another type than its field is null, and the fields around it are read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.io.formats import json_careful, json_inference, json_rescue, json_variant
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.cells import CellRules
from headwater.io.formats.encodings import encoding_of, separator_of
from headwater.io.formats.json_lenient import Leniency
from headwater.io.formats.json_values import raw_type, typed
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.refusals import refuse
from headwater.io.formats.scan import FILE, aliased, attach, name, needs_file, nothing, reader
from headwater.io.paths import is_remote
from headwater.io.s3_files import of_each, reading
from headwater.io.storage import FileStatus

_BOM = b"\xef\xbb\xbf"


class Json:
    """The format `json`."""

    extensions: tuple[str, ...] = (".json", ".jsonl", ".ndjson")

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
        """See `Format.infer`."""
        refuse("json", options)
        whole = json_variant.schema_of(options)
        if whole is not None:
            return whole
        return json_inference.infer(connection, files, options)

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`."""
        if not request.files:
            return nothing(request.schema)
        refuse("json", request.options, request.time_zone)
        mode = ReadMode.of(request.options, request.schema)
        if json_variant.OPTION in request.options:
            return attach(request, json_variant.scan(request, mode))
        if request.rescue is not None:
            return attach(request, json_rescue.scan(request, mode))
        if mode.careful or _needs_text(request.options) or _any_unusual(request):
            return attach(request, json_careful.scan(request, mode))
        return attach(request, _plain(request))

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """See `Format.copy_options`."""
        parameters: dict[str, exp.Expression] = {"FORMAT": exp.Var(this="json")}
        codec = options.text("compression", "none").lower()
        if codec != "none":
            parameters["COMPRESSION"] = exp.Literal.string(codec)
        return parameters


formats.register("json")(Json())


def _plain(request: ScanRequest) -> exp.Select:
    """One native scan; the same query for all files that a variable names."""
    rules = CellRules.of(request.options)
    if request.variable and not needs_file(request):
        return _of_variable(request.variable, request.schema.json(), rules)
    return _native(request, rules, [file.path for file in request.files])


@lru_cache(maxsize=256)
def _of_variable(variable: str, schema: str, rules: CellRules) -> exp.Select:
    request = ScanRequest((), StructType.fromJson(json.loads(schema)))
    return _native(request, rules, exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(variable)]))


def _native(request: ScanRequest, rules: CellRules, paths: list[str] | exp.Expr) -> exp.Select:
    fields = request.schema.fields
    table = reader(
        "read_json",
        paths,
        columns={field.name: raw_type(field.dataType) for field in fields} or {"__none": "VARCHAR"},
        format="newline_delimited",
        ignore_errors=True,
        auto_detect=False,
        **({"filename": FILE} if needs_file(request) else {}),
    )
    columns = [aliased(typed(name(field.name), field.dataType, rules), field.name) for field in fields]
    if needs_file(request):
        columns.append(name(FILE))
    return exp.select(*columns).from_(table)


def _needs_text(options: FormatOptions) -> bool:
    """Whether options ask for what `read_json` cannot do."""
    odd_bytes = encoding_of(options) != "utf-8" or bool(separator_of(options))
    return options.flag("multiLine") or odd_bytes or Leniency.of(options).asked


def _any_unusual(request: ScanRequest) -> bool:
    if request.files and is_remote(request.files[0].path):
        return any(of_each(request.files, lambda file: _unusual(file, request)))
    return any(_unusual(file, request) for file in request.files)


def _unusual(file: FileStatus, request: ScanRequest) -> bool:
    """Whether `read_json` would lose rows: the file begins with a byte order mark, an array or a single-quoted name."""
    try:
        with reading(file.path) as stream:
            start: bytes = stream.read(64)
    except (OSError, EOFError):
        return False  # the scan itself says what is wrong with the file
    quoted = Leniency.of(request.options).single_quotes and start.lstrip()[1:].lstrip()[:1] == b"'"
    return quoted or start.startswith(_BOM) or start.lstrip()[:1] == b"["

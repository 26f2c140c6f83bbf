"""Building blocks of scans: DuckDB's reader functions as sqlglot tables, raw lines, the columns that belong to a file.

Invariants: file names go in as literals and are taken literally by DuckDB (no globbing of names that exist);
every reader has type detection switched off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pyspark.sql.types import (
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)
from sqlglot import exp

from headwater.io.formats.base import ScanRequest
from headwater.io.mounts import encode_uri
from headwater.io.storage import FileStatus
from headwater.types.duck import to_duck

Value: TypeAlias = "str | bool | int | Sequence[str] | Mapping[str, str] | exp.Expression"

FILE = "__file"
LINE = "__line"
_SEPARATOR = "\x01\x02\x03"

METADATA = StructType(
    [
        StructField("file_path", StringType(), False),
        StructField("file_name", StringType(), False),
        StructField("file_size", LongType(), False),
        StructField("file_block_start", LongType(), False),
        StructField("file_block_length", LongType(), False),
        StructField("file_modification_time", TimestampType(), False),
    ]
)
"""Type of the hidden column `_metadata`."""


def reader(function: str, paths: Sequence[str], **arguments: Value) -> exp.Table:
    """`function([paths…], name => value, …)` as a table."""
    named = [exp.Kwarg(this=exp.Var(this=name), expression=value_of(value)) for name, value in arguments.items()]
    call = exp.Anonymous(this=function, expressions=[value_of(list(paths)), *named])
    return exp.Table(this=call)


def value_of(value: Value) -> exp.Expression:
    """A Python value as a DuckDB literal; a mapping becomes a struct of texts."""
    if isinstance(value, exp.Expression):
        return value
    if isinstance(value, Mapping):
        pairs = [
            exp.PropertyEQ(this=exp.to_identifier(key, quoted=True), expression=exp.Literal.string(item))
            for key, item in value.items()
        ]
        return exp.Struct(expressions=pairs)
    if isinstance(value, list | tuple):
        return exp.Array(expressions=[exp.Literal.string(item) for item in value])
    return exp.convert(value)


def name(column: str, table: str | None = None) -> exp.Column:
    """A quoted column reference."""
    return exp.column(exp.to_identifier(column, quoted=True), table=table)


def aliased(value: exp.Expression, column: str) -> exp.Alias:
    """`value AS "column"`."""
    return exp.alias_(value, exp.to_identifier(column, quoted=True))


def call(function: str, *arguments: exp.Expression | str | int) -> exp.Expression:
    """A DuckDB function call."""
    return exp.Anonymous(this=function, expressions=[exp.convert(item) for item in arguments])


def lines(files: Sequence[FileStatus], *, header: bool = False, encoding: str = "utf-8") -> exp.Select:
    """Columns `__line` (blank lines are null or missing) and `__file`; `header` leaves out each file's first line."""
    table = reader(
        "read_csv",
        [file.path for file in files],
        columns={LINE: "VARCHAR"},
        auto_detect=False,
        header=header,
        delim=_SEPARATOR,
        quote="",
        escape="",
        strict_mode=False,
        new_line="\\n",
        max_line_size=_longest(files),
        encoding=encoding,
        filename=FILE,
    )
    return exp.select(name(LINE), name(FILE)).from_(table)


def _longest(files: Sequence[FileStatus]) -> int:
    """A line is at most its file; small files keep DuckDB's buffers small."""
    largest = max(file.size for file in files)
    return min(max(2_097_152, largest * 32 if _packed(files) else largest), 512 * 1024 * 1024)


def _packed(files: Sequence[FileStatus]) -> bool:
    return any(file.path.endswith((".gz", ".zst")) for file in files)


def needs_file(request: ScanRequest) -> bool:
    """Whether the rows of this scan must say which file they come from."""
    return request.metadata or bool(request.partition_schema.fields)


def attach(request: ScanRequest, rows: exp.Select, file: str = FILE) -> exp.Select:
    """Add partition columns and `_metadata` to `rows`, whose column `file` is the path; drop that column."""
    if not needs_file(request):
        return rows
    columns = [field.name for field in request.schema.fields] + ([request.rescue] if request.rescue else [])
    facts = exp.alias_(exp.Subquery(this=_facts(request)), "facts", table=True)
    selected = [aliased(name(column, "rows"), column) for column in columns]
    selected += [aliased(name(field.name, "facts"), field.name) for field in request.partition_schema.fields]
    if request.metadata:
        selected.append(aliased(name("_metadata", "facts"), "_metadata"))
    return (
        exp.select(*selected)
        .from_(exp.alias_(exp.Subquery(this=rows), "rows", table=True))
        .join(facts, on=exp.EQ(this=name(file, "rows"), expression=name(FILE, "facts")), join_type="inner")
    )


def _facts(request: ScanRequest) -> exp.Select:
    """One row a file: its path, partition values, `_metadata`."""
    fields = request.partition_schema.fields
    keys = [FILE, *(f"p{index}" for index in range(len(fields))), "uri", "size", "modified"]
    rows = [
        exp.Tuple(expressions=[exp.convert(item) for item in (file.path, *_values(request, file), *_basic(file))])
        for file in request.files
    ]
    values = exp.Values(
        expressions=rows,
        alias=exp.TableAlias(this=exp.to_identifier("v"), columns=[exp.to_identifier(key, quoted=True) for key in keys]),
    )
    selected: list[exp.Expression] = [name(FILE)]
    for index, field in enumerate(fields):
        typed = exp.TryCast(this=name(f"p{index}"), to=to_duck(field.dataType))
        selected.append(aliased(typed, field.name))
    if request.metadata:
        selected.append(aliased(_metadata(), "_metadata"))
    return exp.select(*selected).from_(values)


def _values(request: ScanRequest, file: FileStatus) -> Sequence[str | None]:
    return request.partition_values.get(file.path, (None,) * len(request.partition_schema.fields))


def _basic(file: FileStatus) -> tuple[str, int, int]:
    return encode_uri(file.uri or f"file:{file.path}"), file.size, file.modified_ms


def _metadata() -> exp.Expression:
    size = exp.cast(name("size"), "BIGINT")
    parts = {
        "file_path": name("uri"),
        "file_name": call("parse_filename", name("uri")),
        "file_size": size,
        "file_block_start": exp.cast(exp.Literal.number(0), "BIGINT"),
        "file_block_length": size.copy(),
        "file_modification_time": call("to_timestamp", exp.Div(this=name("modified"), expression=exp.Literal.number(1000))),
    }
    pairs = [exp.PropertyEQ(this=exp.to_identifier(key), expression=value) for key, value in parts.items()]
    return exp.Struct(expressions=pairs)


def nothing(schema: StructType) -> exp.Select:
    """A query with the columns of `schema` and no rows."""
    columns = [aliased(exp.cast(exp.null(), to_duck(field.dataType)), field.name) for field in schema.fields]
    return exp.select(*(columns or [exp.null()])).where(exp.false())

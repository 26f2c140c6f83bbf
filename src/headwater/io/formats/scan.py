"""Building blocks of scans: DuckDB's reader functions as sqlglot tables, raw lines, the columns that belong to a file.

Invariants: file names go in as literals and are taken literally by DuckDB (no globbing of names that exist);
every reader has type detection switched off.
"""

from __future__ import annotations

import re
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
from headwater.io.mounts import quote_uri
from headwater.io.storage import FileStatus
from headwater.types.duck import to_duck

Value: TypeAlias = "str | bool | int | Sequence[str] | Mapping[str, str] | exp.Expr"

_FEW = 16
_METADATA = "_metadata"
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
FILE_FIELD = StructField(_METADATA, METADATA, False)
"""The hidden column itself."""


def reader(function: str, paths: Sequence[str] | exp.Expr, **arguments: Value) -> exp.Table:
    """`function([paths…], name => value, …)` as a table; `paths` may be an expression that gives file names."""
    named = [exp.Kwarg(this=exp.Var(this=name), expression=value_of(value)) for name, value in arguments.items()]
    names = paths if isinstance(paths, exp.Expr) else value_of(file_names(paths))
    return exp.Table(this=exp.Anonymous(this=function, expressions=[names, *named]))


def file_names(paths: Sequence[str]) -> list[str]:
    """Paths as DuckDB's readers take them. They glob every name: wildcards of a real one are put in brackets."""
    return [re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", path) for path in paths]


def value_of(value: Value) -> exp.Expr:
    """A Python value as a DuckDB literal; a mapping becomes a struct of texts."""
    if isinstance(value, exp.Expr):
        return value
    if isinstance(value, Mapping):
        return struct_of({key: exp.Literal.string(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return exp.Array(expressions=[exp.Literal.string(item) for item in value])
    return exp.convert(value)


def name(column: str, table: str | None = None) -> exp.Column:
    """A quoted column reference."""
    return exp.column(exp.to_identifier(column, quoted=True), table=table)


def aliased(value: exp.Expr, column: str) -> exp.Expr:
    """`value AS "column"`."""
    return exp.alias_(value, exp.to_identifier(column, quoted=True))


def struct(**fields: exp.Expr) -> exp.Struct:
    """`{field: value, …}`."""
    return struct_of(fields)


def struct_of(fields: Mapping[str, exp.Expr]) -> exp.Struct:
    """`{field: value, …}` for any field names."""
    pairs = [
        exp.PropertyEQ(this=exp.to_identifier(key, quoted=True), expression=value) for key, value in fields.items()
    ]
    return exp.Struct(expressions=pairs)


def subquery(query: exp.Query, alias: str) -> exp.Subquery:
    """`(query) AS alias`."""
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(alias)))


def call(function: str, *arguments: exp.Expr | str | int) -> exp.Expr:
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
        max_line_size=_longest(files),
        encoding=encoding,
        filename=FILE,
    )
    return exp.select(name(LINE), name(FILE)).from_(table)


def pieces(files: Sequence[FileStatus], separator: str, *, header: bool = False) -> exp.Select:
    """The columns of `lines` for records that end with `separator`."""
    content = call("trim", name("content"), "\ufeff")
    cut = call("string_split", content, separator)
    if header:
        cut = call("list_slice", cut, 2, call("len", cut.copy()))
    table = reader("read_text", [file.path for file in files])
    each = exp.select(aliased(exp.Unnest(expressions=[cut]), LINE), aliased(name("filename"), FILE)).from_(table)
    text = exp.Nullif(this=name(LINE), expression=exp.Literal.string(""))
    return exp.select(aliased(text, LINE), name(FILE)).from_(subquery(each, "pieces"))


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
    selected: list[exp.Expr] = [name(column) for column in columns]
    selected += [name(field.name) for field in request.partition_schema.fields]
    if request.metadata:
        selected.append(name(_METADATA))
    if len(request.files) <= _FEW:
        return exp.select(*selected).from_(subquery(_with_cases(request, rows, file), "rows"))
    facts = subquery(_facts(request), "facts")
    same = exp.EQ(this=name(file, "rows"), expression=name(FILE, "facts"))
    return exp.select(*selected).from_(subquery(rows, "rows")).join(facts, on=same, join_type="left")


def _with_cases(request: ScanRequest, rows: exp.Select, file: str) -> exp.Select:
    """A few files: their facts as constants, chosen by path; the order of rows stays."""
    facts: list[exp.Expr] = []
    for index, field in enumerate(request.partition_schema.fields):
        texts = [_values(request, item)[index] for item in request.files]
        facts.append(aliased(exp.TryCast(this=_choose(request, file, texts), to=to_duck(field.dataType)), field.name))
    if request.metadata:
        basic = [_basic(item) for item in request.files]
        uri, size, modified = (_choose(request, file, [item[at] for item in basic]) for at in range(3))
        facts.append(aliased(_metadata(uri, size, modified), _METADATA))
    return exp.select(exp.Star(), *facts).from_(subquery(rows, "files"))


def _choose(request: ScanRequest, file: str, values: Sequence[str | int | None]) -> exp.Expr:
    if len(set(values)) == 1:
        return exp.convert(values[0])
    whens = [
        exp.If(this=exp.Literal.string(item.path), true=exp.convert(value))
        for item, value in zip(request.files, values, strict=True)
    ]
    return exp.Case(this=name(file), ifs=whens)


def _facts(request: ScanRequest) -> exp.Select:
    """One row a file: its path, partition values, `_metadata`."""
    fields = request.partition_schema.fields
    keys = [FILE, *(f"p{index}" for index in range(len(fields))), "uri", "size", "modified"]
    rows = [
        exp.Tuple(expressions=[exp.convert(item) for item in (file.path, *_values(request, file), *_basic(file))])
        for file in request.files
    ]
    columns = [exp.to_identifier(key, quoted=True) for key in keys]
    values = exp.Values(expressions=rows, alias=exp.TableAlias(this=exp.to_identifier("v"), columns=columns))
    selected: list[exp.Expr] = [name(FILE)]
    for index, field in enumerate(fields):
        typed = exp.TryCast(this=name(f"p{index}"), to=to_duck(field.dataType))
        selected.append(aliased(typed, field.name))
    if request.metadata:
        selected.append(aliased(_metadata(name("uri"), name("size"), name("modified")), _METADATA))
    return exp.select(*selected).from_(values)


def _values(request: ScanRequest, file: FileStatus) -> Sequence[str | None]:
    return request.partition_values.get(file.path, (None,) * len(request.partition_schema.fields))


def _basic(file: FileStatus) -> tuple[str, int, int]:
    return quote_uri(file.uri or f"file:{file.path}"), file.size, file.modified_ms


def _metadata(uri: exp.Expr, size: exp.Expr, modified: exp.Expr) -> exp.Expr:
    length = exp.cast(size, "BIGINT")
    seconds = exp.Div(this=exp.Paren(this=modified), expression=exp.Literal.number(1000))
    return struct(
        file_path=uri,
        file_name=call("parse_filename", uri.copy()),
        file_size=length,
        file_block_start=exp.cast(exp.Literal.number(0), "BIGINT"),
        file_block_length=length.copy(),
        file_modification_time=call("to_timestamp", seconds),
    )


def nothing(schema: StructType, *, metadata: bool = False) -> exp.Select:
    """A query with the columns of `schema` (then `_metadata` if asked) and no rows."""
    fields = [*schema.fields, *([FILE_FIELD] if metadata else [])]
    columns: list[exp.Expr] = [aliased(exp.cast(exp.null(), to_duck(field.dataType)), field.name) for field in fields]
    return exp.select(*(columns or [exp.null()])).where(exp.false())

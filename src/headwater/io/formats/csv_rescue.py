"""Auto Loader's rescued-data column for CSV: cells the schema could not take.

With a header, columns are found by name in each file's header; without one, by position. Cells of unknown columns,
surplus cells (`_c<n>`) and cells that are not of their type are kept.

Invariant: null for a clean record.
"""

from __future__ import annotations

from sqlglot import exp

from headwater.io.formats.base import ScanRequest
from headwater.io.formats.cells import CellRules, from_text
from headwater.io.formats.csv_dialect import CELLS, CsvDialect
from headwater.io.formats.csv_inference import header_of
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.rescue import misfit, pair, pair_text, rescued_object, union
from headwater.io.formats.scan import FILE, aliased, call, name, needs_file, subquery
from headwater.io.storage import FileStatus
from headwater.types.duck import to_duck


def scan(request: ScanRequest, mode: ReadMode, dialect: CsvDialect) -> exp.Select:
    """One scan per distinct header, all rows together. No record is corrupt: what does not fit is rescued."""
    groups: dict[tuple[str, ...], list[FileStatus]] = {}
    for file in request.files:
        groups.setdefault(header_of(file, dialect) if dialect.header else (), []).append(file)
    return union([_scan(request, mode, dialect, group) for group in groups.items()])


def _scan(
    request: ScanRequest, mode: ReadMode, dialect: CsvDialect, group: tuple[tuple[str, ...], list[FileStatus]]
) -> exp.Select:
    header, files = group
    rules = CellRules.of(request.options)
    fields = mode.data(request.schema)
    names = _in_case(request, header) or tuple(field.name for field in fields)
    columns: list[exp.Expr] = []
    rescued: list[exp.Expr] = []
    for field in request.schema.fields:
        text = mode.text(field.name, exp.false())
        if text is not None:
            columns.append(aliased(text, field.name))
            continue
        if field.name not in names:
            columns.append(aliased(exp.TryCast(this=exp.null(), to=to_duck(field.dataType)), field.name))
            continue
        cell = dialect.cell(names.index(field.name))
        value = from_text(cell, field.dataType, rules)
        columns.append(aliased(value, field.name))
        rescued.append(pair(field.name, misfit(cell, value), cell))
    for index, column in enumerate(names):
        if column not in {field.name for field in fields}:
            cell = dialect.cell(index)
            rescued.append(pair(column, exp.Not(this=exp.Is(this=exp.Paren(this=cell), expression=exp.null())), cell))
    wide = exp.GT(this=call("len", name(CELLS)), expression=exp.Literal.number(len(names)))
    columns.append(aliased(rescued_object(files, rescued, _surplus(len(names)), wide), str(request.rescue)))
    if needs_file(request):
        columns.append(name(FILE))
    return exp.select(*columns).from_(subquery(dialect.records(files), "records"))


def _in_case(request: ScanRequest, header: tuple[str, ...]) -> tuple[str, ...]:
    """A file's column names, without `readerCaseSensitive` as the schema writes them."""
    if request.options.flag("readerCaseSensitive", True):
        return header
    known = {field.name.lower(): field.name for field in request.schema.fields}
    return tuple(known.get(column.lower(), column) for column in header)


def _surplus(width: int) -> exp.Expr:
    """`"_c<n>":"cell"` of the cells beyond the header, joined by commas."""
    item, at = exp.to_identifier("item"), exp.to_identifier("at")
    cells = call("list_slice", name(CELLS), exp.Literal.number(width + 1), call("len", name(CELLS)))
    number = exp.Add(this=exp.column(at.copy()), expression=exp.Literal.number(width - 1))
    text = pair_text(call("concat", "_c", exp.Paren(this=number)), exp.column(item.copy()))
    listed = call("list_transform", cells, exp.Lambda(this=text, expressions=[item, at]))
    return exp.Nullif(this=call("array_to_string", listed, ","), expression=exp.Literal.string(""))

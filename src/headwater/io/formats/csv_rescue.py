"""Auto Loader's rescued-data column for CSV: cells the schema could not take, as a JSON string.

With a header, columns are found by name in each file's header; without one, by position (`_c0`, `_c1`, …). Cells
of unknown columns, surplus cells and cells that are not of their type are kept under their column's name.

Invariant: null for a clean record.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from headwater.io.formats.base import ScanRequest
from headwater.io.formats.cells import CellRules, from_text
from headwater.io.formats.csv_dialect import CELLS, CsvDialect
from headwater.io.formats.csv_inference import header_of
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.scan import FILE, aliased, call, name, needs_file, subquery
from headwater.io.storage import FileStatus


def scan(request: ScanRequest, mode: ReadMode, dialect: CsvDialect) -> exp.Select:
    """One scan per distinct header, all rows together."""
    groups: dict[tuple[str, ...], list[FileStatus]] = {}
    for file in request.files:
        groups.setdefault(header_of(file, dialect) if dialect.header else (), []).append(file)
    scans = [_scan(request, mode, dialect, (header, files)) for header, files in groups.items()]
    if len(scans) == 1:
        return scans[0]
    return exp.select(exp.Star()).from_(exp.Subquery(this=_union(scans), alias=exp.TableAlias(this=exp.to_identifier("all_files"))))


def _union(scans: Sequence[exp.Select]) -> exp.Query:
    whole: exp.Query = scans[0]
    for one in scans[1:]:
        whole = exp.Union(this=whole, expression=one, distinct=False)
    return whole


def _scan(
    request: ScanRequest, mode: ReadMode, dialect: CsvDialect, group: tuple[tuple[str, ...], list[FileStatus]]
) -> exp.Select:
    header, files = group
    rules = CellRules.of(request.options)
    fields = [field for field in request.schema.fields if field.name != mode.corrupt]
    names = header or tuple(field.name for field in fields)
    columns: list[exp.Expression] = []
    rescued: list[exp.Expression] = []
    for field in request.schema.fields:
        if field.name not in names or field.name == mode.corrupt:
            columns.append(aliased(exp.TryCast(this=exp.null(), to=exp.DataType.build("VARCHAR")), field.name))
            continue
        cell = dialect.cell(names.index(field.name))
        value = from_text(cell, field.dataType, rules)
        columns.append(aliased(value, field.name))
        rescued.append(_pair(field.name, exp.and_(_given(cell), exp.Is(this=exp.Paren(this=value.copy()), expression=exp.null()))  , cell))
    known = {field.name for field in fields}
    for index, column in enumerate(names):
        if column not in known:
            cell = dialect.cell(index)
            rescued.append(_pair(column, _given(cell), cell))
    columns.append(aliased(_object(rescued, len(names)), str(request.rescue)))
    if needs_file(request):
        columns.append(name(FILE))
    return exp.select(*columns).from_(subquery(dialect.records(files), "records"))


def _given(cell: exp.Expression) -> exp.Expression:
    return exp.Not(this=exp.Is(this=exp.Paren(this=cell.copy()), expression=exp.null()))


def _pair(column: str, when: exp.Expression, cell: exp.Expression) -> exp.Expression:
    """`"column":"cell"` if `when`, else null."""
    return exp.Case(ifs=[exp.If(this=when, true=_text(exp.Literal.string(column), cell.copy()))])


def _text(column: exp.Expression, cell: exp.Expression) -> exp.Expression:
    return call("concat", exp.cast(call("to_json", column), "VARCHAR"), ":", exp.cast(call("to_json", cell), "VARCHAR"))


def _object(pairs: Sequence[exp.Expression], width: int) -> exp.Expression:
    """The JSON object of all pairs there are, with surplus cells as `_c<n>` and the file's path; null if clean."""
    item, at = exp.to_identifier("item"), exp.to_identifier("at")
    surplus = call("list_slice", name(CELLS), exp.Literal.number(width + 1), call("len", name(CELLS)))
    place = call("concat", "_c", exp.Sub(this=exp.Add(this=exp.column(at.copy()), expression=exp.Literal.number(width)), expression=exp.Literal.number(1)))
    extra = call("list_transform", surplus, exp.Lambda(this=_text(place, exp.column(item.copy())), expressions=[item, at]))
    wide = exp.GT(this=call("len", name(CELLS)), expression=exp.Literal.number(width))
    tests = [exp.Not(this=exp.Is(this=exp.Paren(this=pair.copy()), expression=exp.null())) for pair in pairs]
    joined = call("concat_ws", ",", *[pair.copy() for pair in pairs], call("array_to_string", extra, ","))
    path = exp.cast(call("to_json", call("concat", "file:", name(FILE))), "VARCHAR")
    body = call("concat", "{", call("trim", joined, ","), ',"_file_path":', path, "}")
    return exp.Case(ifs=[exp.If(this=exp.or_(wide, *tests), true=body)])

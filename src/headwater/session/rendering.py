"""`show()` and notebook tables as text, laid out as Spark does.

Invariants: values are printed by Spark's cast to string, nulls as NULL; a full-width character takes two places;
at most `rows` rows are read, and one more to know whether there are others.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql.types import StringType, StructField, StructType

from headwater.compile.resolved import Resolved
from headwater.plan.expressions import Alias, Call, Column
from headwater.plan.relations import HtmlString, Limit, LocalData, Project, ShowString, ToDF
from headwater.session.leaves import empty, rows

if TYPE_CHECKING:
    from headwater.session.session import Session

_MOST_ROWS = 2_147_483_632
_NARROWEST = 3
_ESCAPES = str.maketrans(
    {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b", "\x0b": "\\v", "\x07": "\\a"}
)
_WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\u3247\u3250-\u4dbf\u4e00-\ua4c6\ua960-\ua97c\uac00-\ud7a3"
    "\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6]"
)


def shape(node: ShowString | HtmlString, _input: Resolved) -> Resolved:
    """The one-column relation that `render` gives, without its row."""
    return empty(_schema(node))


def render(node: ShowString | HtmlString, session: Session) -> LocalData:
    """The text as a relation of one row."""
    most = min(max(node.rows, 0), _MOST_ROWS)
    header, cells = _cells(node, most + 1, session)
    more = len(cells) > most
    grid = [[_truncate(cell, node.truncate) for cell in row] for row in (header, *cells[:most])]
    if isinstance(node, HtmlString):
        text = _html(grid, most, more)
    elif node.vertical:
        text = _vertical(grid, most, more)
    else:
        text = _table(grid, most, more, right=node.truncate > 0)
    return rows(_schema(node), [(text,)])


def _schema(node: ShowString | HtmlString) -> StructType:
    name = "show_string" if isinstance(node, ShowString) else "html_string"
    return StructType([StructField(name, StringType(), False)])


def _cells(node: ShowString | HtmlString, count: int, session: Session) -> tuple[list[str], list[list[str]]]:
    schema = session.resolve(node.input).schema
    names = [f"c{index}" for index in range(len(schema.fields))]
    texts = tuple(Alias(Call("to_pretty_string", (Column((name,)),)), (name,)) for name in names)
    plan = Project(Limit(ToDF(node.input, tuple(names)), count), texts)
    table = session.execute(plan).table()
    columns = [column.to_pylist() for column in table.columns]
    header = [name.translate(_ESCAPES) for name in schema.names]
    cells = [[str(cell).translate(_ESCAPES) for cell in row] for row in zip(*columns, strict=True)]
    return header, cells if columns else [[] for _ in range(table.num_rows)]


def _truncate(cell: str, width: int) -> str:
    if width <= 0 or len(cell) <= width:
        return cell
    return cell[:width] if width < 4 else cell[: width - 3] + "..."


def _width(cell: str) -> int:
    return len(cell) + len(_WIDE.findall(cell))


def _pad(cell: str, width: int, *, right: bool) -> str:
    gap = " " * (width - _width(cell))
    return gap + cell if right else cell + gap


def _table(grid: Sequence[Sequence[str]], most: int, more: bool, *, right: bool) -> str:
    widths = [max(_NARROWEST, *(_width(cell) for cell in column)) for column in zip(*grid, strict=True)]
    rule = "+" + "+".join("-" * width for width in widths) + "+\n"
    lines = [
        "|" + "|".join(_pad(cell, width, right=right) for cell, width in zip(row, widths, strict=True)) + "|\n"
        for row in grid
    ]
    if not widths:
        rule, lines = "++\n", ["||\n" for _ in grid]
    return rule + lines[0] + rule + "".join(lines[1:]) + rule + _footer(most, more)


def _vertical(grid: Sequence[Sequence[str]], most: int, more: bool) -> str:
    header, *cells = grid
    names = max([_NARROWEST, *map(_width, header)])
    values = max([_NARROWEST, *(_width(cell) for row in cells for cell in row)])
    parts = []
    for number, row in enumerate(cells):
        title = f"-RECORD {number}"
        parts.append(title.ljust(names + values + 5, "-") + "\n")
        for name, cell in zip(header, row, strict=True):
            parts.append(f" {_pad(name, names, right=False)} | {_pad(cell, values, right=False)} \n")
    if not cells and not more:
        return "(0 rows)"
    return "".join(parts) + _footer(most, more)


def _footer(most: int, more: bool) -> str:
    if not more:
        return ""
    return f"only showing top {most} {'row' if most == 1 else 'rows'}"


def _html(grid: Sequence[Sequence[str]], most: int, more: bool) -> str:
    lines = []
    for number, row in enumerate(grid):
        tag = "td" if number else "th"
        cells = f"</{tag}><{tag}>".join(html.escape(cell) for cell in row)
        lines.append(f"<tr><{tag}>{cells}</{tag}></tr>\n")
    return "<table border='1'>\n" + "".join(lines) + "</table>\n" + (_footer(most, True) + "\n" if more else "")

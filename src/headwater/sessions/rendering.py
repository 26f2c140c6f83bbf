"""`show()` and notebook tables as text, laid out as Spark does.

Invariants: values are printed by Spark's cast to string, nulls as NULL; a full-width character takes two places;
at most `rows` rows are read, and one more to know whether there are others.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql.types import StringType, StructField, StructType

from headwater.compile.resolved import Resolved
from headwater.plan.expressions import Alias, Call, Column
from headwater.plan.relations import HtmlString, Limit, Project, Relation, ShowString, ToDF
from headwater.sessions.execution import BATCH_ROWS, Execution
from headwater.sessions.leaves import empty
from headwater.sessions.observing import observations

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_MOST_ROWS = 2_147_483_632
_NARROWEST = 3
_ESCAPES = str.maketrans(
    {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f", "\b": "\\b", "\x0b": "\\v", "\x07": "\\a"}
)
_WIDE = re.compile(
    "[\u1100-\u115f\u2e80-\u303e\u3041-\u3247\u3250-\u4dbf\u4e00-\ua4c6\ua960-\ua97c\uac00-\ud7a3"
    "\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6b\uff01-\uff60\uffe0-\uffe6]"
)


def shape(node: ShowString | HtmlString) -> Resolved:
    """The one-column relation that a rendering gives, without its row."""
    name = "show_string" if isinstance(node, ShowString) else "html_string"
    return empty(StructType([StructField(name, StringType(), False)]))


class Rendering(Execution):
    """`show()` as an execution: runs the query for the cells, then gives the text as its one row."""

    def __init__(self, node: ShowString | HtmlString, session: Session) -> None:
        super().__init__(session.runtime.database, shape(node), session.time_zone, observations(node.input, session))
        self._node = node
        self._most = min(max(node.rows, 0), _MOST_ROWS)
        self._header = [name.translate(_ESCAPES) for name in session.resolve(node.input).schema.names]
        self._cells = session.execute(_texts(node.input, len(self._header), self._most + 1))

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """See `Execution.batches`."""
        del rows
        yield pa.record_batch([pa.array([self._text()])], schema=self.arrow_schema)

    def cancel(self) -> None:
        """See `Execution.cancel`."""
        self._cells.cancel()

    def close(self) -> None:
        """See `Execution.close`."""
        self._cells.close()

    def _text(self) -> str:
        node, table = self._node, self._cells.table()
        columns = [column.to_pylist() for column in table.columns] if self._header else []
        cells = [list(row) for row in zip(*columns, strict=True)] if columns else [[]] * table.num_rows
        more = len(cells) > self._most
        body = [[_truncate(cell.translate(_ESCAPES), node.truncate) for cell in row] for row in cells[: self._most]]
        grid = [self._header, *body]
        if isinstance(node, HtmlString):
            return _html(grid, self._most, more)
        if node.vertical:
            return _vertical(grid, self._most, more)
        return _table(grid, self._most, more, right=node.truncate > 0)


def _texts(plan: Relation, width: int, count: int) -> Relation:
    """The first rows, every value as text; columns are renamed by position, since names may repeat."""
    names = tuple(f"c{index}" for index in range(width))
    columns = tuple(Alias(Call("to_pretty_string", (Column((name,)),)), (name,)) for name in names)
    return Project(Limit(ToDF(plan, names), count), columns) if names else Limit(plan, count)


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

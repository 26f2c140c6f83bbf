"""The columns of CSV files as Spark infers them: names from the header, types from the cells if asked.

Invariants: without `inferSchema` every column is a string; the number of columns is that of the first record; names
are made unique as Spark makes them.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence

from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import IllegalArgumentError
from headwater.io.formats.base import FormatOptions, ScanRequest
from headwater.io.formats.cells import CellRules, from_text
from headwater.io.formats.csv_dialect import CELLS, CsvDialect
from headwater.io.formats.scan import call, name, subquery
from headwater.io.s3_files import reading
from headwater.io.storage import FileStatus

_WIDEST = 38


def infer(connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
    """See `Format.infer`."""
    dialect = CsvDialect.of(options)
    first = _first_record(connection, files, dialect)
    if first is None:
        return StructType()
    names = unique_names(first, dialect) if dialect.header else [f"_c{index}" for index in range(len(first))]
    types: Sequence[DataType] = [StringType()] * len(names)
    if options.flag("inferSchema"):
        types = _types(connection, files, (dialect, CellRules.of(options)), len(names))
    return StructType([StructField(column, kind, True) for column, kind in zip(names, types, strict=True)])


def unique_names(cells: Sequence[str | None], dialect: CsvDialect) -> list[str]:
    """Header cells as column names: empty ones by position, repeated ones (whatever their case) with position."""
    counts = Counter((cell or "").lower() for cell in cells)
    return [
        f"_c{index}"
        if not cell or cell == dialect.null_value
        else f"{cell}{index}"
        if counts[cell.lower()] > 1
        else cell
        for index, cell in enumerate(cells)
    ]


def header_of(file: FileStatus, dialect: CsvDialect) -> tuple[str, ...]:
    """The column names in a file's first line; empty for an empty file."""
    with reading(file.path) as stream:
        start = stream.read() if dialect.line_end else stream.readline()
    line = start.decode(dialect.encoding, "replace").lstrip("\ufeff")
    line = line.split(dialect.line_end)[0] if dialect.line_end else line.rstrip("\r\n")
    return tuple(unique_names(_cells(line, dialect), dialect)) if line else ()


def _cells(line: str, dialect: CsvDialect) -> list[str]:
    """The names in a header; one in quotes may have separators in it."""
    if not dialect.quote:
        return line.split(dialect.separator)
    if len(dialect.separator) == 1 and dialect.quote in line:
        escape = dialect.escape if dialect.escape != dialect.quote else None
        found = csv.reader([line], delimiter=dialect.separator, quotechar=dialect.quote, escapechar=escape or None)
        return [cell.strip() for cell in next(found)]
    return [cell.strip().strip(dialect.quote) for cell in line.split(dialect.separator)]


def check_headers(request: ScanRequest, fields: Sequence[StructField]) -> None:
    """`enforceSchema=false`: every header must name the fields. Raises naming the file."""
    dialect = CsvDialect.of(request.options)
    wanted = [field.name for field in fields]
    for file in request.files if dialect.header else ():
        header = header_of(file, dialect)
        if header and [column.lower() for column in header] != [column.lower() for column in wanted]:
            raise IllegalArgumentError(
                "CSV_HEADER_MISMATCH", header=", ".join(header), schema=", ".join(wanted), path=file.uri or file.path
            )


def _first_record(connection: Connection, files: Sequence[FileStatus], dialect: CsvDialect) -> list[str | None] | None:
    for file in files:
        query = exp.select(name(CELLS)).from_(subquery(dialect.records([file], header=False), "records")).limit(1)
        found = connection.execute(sql_text(query)).fetchone()
        if found is not None:
            return [cell.strip("\ufeff") if cell else cell for cell in found[0]]
    return None


def _types(
    connection: Connection, files: Sequence[FileStatus], rules: tuple[CsvDialect, CellRules], width: int
) -> list[DataType]:
    """The first type of Spark's order that every cell of a column has."""
    dialect, cells = rules
    facts: list[exp.Expr] = []
    for index in range(width):
        cell = dialect.cell(index)
        facts.append(call("bit_or", exp.BitwiseLeftShift(this=exp.convert(1), expression=_kind(cell, cells))))
        facts.append(exp.Max(this=call("length", cell.copy())))
    query = exp.select(*facts).from_(subquery(dialect.records(files), "records"))
    row = connection.execute(sql_text(query)).fetchall()[0]
    return [_choose(row[2 * index], row[2 * index + 1]) for index in range(width)]


_NUMBERS: tuple[DataType, ...] = (IntegerType(), LongType(), DecimalType(_WIDEST, 0), DoubleType())
_OTHERS: tuple[DataType, ...] = (DateType(), TimestampType(), BooleanType())
_KINDS = (*_NUMBERS, *_OTHERS)


def _kind(cell: exp.Expr, rules: CellRules) -> exp.Expr:
    """The place in `_KINDS` of the first type the cell has (their number if none), null for an empty cell.

    Looking for a shape first spares texts the costly attempts at casting them.
    """
    whole = call("regexp_full_match", cell.copy(), "[+-]?[0-9]+")
    whens = [exp.If(this=_null(cell), true=exp.null())]
    whens += [
        exp.If(this=exp.and_(whole.copy(), _fits(cell, _KINDS[at], rules)), true=exp.convert(at)) for at in (0, 1, 2)
    ]
    shapes = {
        3: "[+-]?[0-9.].*|[A-Za-z+-]{2,9}",
        4: ".*" if rules.date else "[0-9]{4}-[0-9]{2}-[0-9]{2}",
        5: ".*" if rules.timestamp else "[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*",
        6: "[A-Za-z]{4,5}",
    }
    for at, shape in shapes.items():
        test = exp.and_(call("regexp_full_match", cell.copy(), shape), _fits(cell, _KINDS[at], rules))
        whens.append(exp.If(this=test, true=exp.convert(at)))
    return exp.Case(ifs=whens, default=exp.convert(len(_KINDS)))


def _null(value: exp.Expr) -> exp.Expr:
    return exp.Is(this=exp.Paren(this=value.copy()), expression=exp.null())


def _fits(cell: exp.Expr, kind: DataType, rules: CellRules) -> exp.Expr:
    return exp.Not(this=_null(from_text(cell.copy(), kind, rules)))


def _choose(mask: int | None, longest: int | None) -> DataType:
    """The type for all kinds of cells met: numbers widen to numbers, dates to timestamps, all else is text."""
    met = [at for at in range(len(_KINDS) + 1) if (mask or 0) >> at & 1]
    if not met or met[-1] == len(_KINDS):
        return StringType()
    widest = _KINDS[met[-1]]
    if isinstance(widest, DecimalType):
        return DecimalType(min(max(longest or 1, 1), _WIDEST), 0)
    alike = met[-1] < len(_NUMBERS) or len(met) == 1 or met == [4, 5]
    return widest if alike else StringType()

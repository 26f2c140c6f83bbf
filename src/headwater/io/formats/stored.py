"""Columns of files that store their types: found by name, cast where that loses nothing, else rescued.

Invariants: a stored value that the wanted type cannot hold is null, and kept in the rescued-data column if there is
one, never bent to fit; with `readerCaseSensitive` (true unless said otherwise) a rescuing scan takes a column whose
name differs in case for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql.types import DataType, DecimalType, StructType
from sqlglot import exp

from headwater.io.formats.base import ScanRequest
from headwater.io.formats.cells import FRACTIONS, INTEGERS
from headwater.io.formats.cells import cast as try_cast
from headwater.io.formats.rescue import misfit, pair, rescued_object
from headwater.io.formats.scan import FILE, aliased, name, needs_file
from headwater.io.storage import FileStatus
from headwater.types.duck import to_duck

_NUMBERS = (*INTEGERS, *FRACTIONS, DecimalType)


def columns(
    request: ScanRequest, stored: StructType, files: Sequence[FileStatus], refer: Callable[[str], exp.Expr] = name
) -> list[exp.Expr]:
    """The request's columns of files that store `stored`: fields, rescued data, `__file`; `refer` names a column."""
    types = {field.name: field.dataType for field in stored.fields}
    found: list[exp.Expr] = []
    rescued: list[exp.Expr] = []
    for field in request.schema.fields:
        column = matching(field.name, list(types), request)
        if column is None:
            found.append(aliased(exp.TryCast(this=exp.null(), to=to_duck(field.dataType)), field.name))
            continue
        kind, given = types.pop(column), refer(column)
        value = given if kind == field.dataType else fitting(given, kind, field.dataType)
        found.append(aliased(value, field.name))
        if kind != field.dataType:
            rescued.append(pair(column, misfit(given, value), given))
    if request.rescue is not None:
        rescued += [pair(column, _given(refer(column)), refer(column)) for column in types]
        found.append(aliased(rescued_object(files, rescued), request.rescue))
    if needs_file(request):
        found.append(name(FILE))
    return found


def matching(wanted: str, names: Sequence[str], request: ScanRequest) -> str | None:
    """The stored name that a wanted column is read from, the same in all letters if there is one; None if none is."""
    if wanted in names:
        return wanted
    if request.rescue is not None and request.options.flag("readerCaseSensitive", True):
        return None
    return next((one for one in names if one.lower() == wanted.lower()), None)


def fitting(given: exp.Expr, kind: DataType, wanted: DataType) -> exp.Expr:
    """A stored value as the wanted type; null where a number would become another one."""
    value = try_cast(given, wanted)
    if not (isinstance(kind, _NUMBERS) and isinstance(wanted, (*INTEGERS, DecimalType))):
        return value
    same = exp.EQ(this=exp.cast(value.copy(), to_duck(kind)), expression=given.copy())
    if isinstance(kind, INTEGERS):
        same = exp.EQ(this=value.copy(), expression=given.copy())
    return exp.Case(ifs=[exp.If(this=same, true=value)])


def _given(value: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=value, expression=exp.null()))

"""A batch's times as its queries see them: one DuckDB variable, a struct of TIMESTAMPTZ, set once before the batch.

One, because DuckDB takes about as long to set a variable as to merge a small batch into its state.

Invariant: the struct has the same fields in every batch, so queries that name one are bound before the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlglot import exp

BATCH = "batch_timestamp"
"""The batch's `current_timestamp`."""
_VARIABLE = "batch_times"


def time(name: str) -> exp.Expression:
    """A time of the batch by its name."""
    every = exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(_VARIABLE)])
    return exp.Anonymous(this="struct_extract", expressions=[every, exp.Literal.string(name)])


def setting(times: Mapping[str, int | None]) -> str:
    """The statement that sets all times: milliseconds since 1970, or None for NULL."""
    fields = ", ".join(f"{name}: {_text(milliseconds)}::TIMESTAMPTZ" for name, milliseconds in times.items())
    return f"SET VARIABLE {_VARIABLE} = {{{fields}}}"


def _text(milliseconds: int | None) -> str:
    return "NULL" if milliseconds is None else f"'{datetime.fromtimestamp(milliseconds / 1000, UTC)}'"

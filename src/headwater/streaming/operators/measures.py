"""What a streaming aggregation keeps of one aggregate call: its exported state, or the values themselves.

Any DuckDB aggregate that can export its state is kept as that state. One that cannot (`mode`, `histogram`) is kept as
the list of its values, and computed from the list when a row goes on.

Invariants: states are combined in order of arrival (DuckDB's `combine(a, b)` puts the rows of `b` before those of `a`);
states come back from a file as the bits they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from pyspark.sql.types import DataType
from sqlglot import exp

from headwater.duck import ExportState, sql_text
from headwater.errors import unsupported
from headwater.state.column import StateColumn

_LISTED = {"mode": "mode", "histogram": "histogram"}
"""Aggregates without an exported state, by the function that computes them from a list."""
_EDGES = ("first", "any_value", "last")


@dataclass(frozen=True)
class Measure:
    """One aggregate call.

    Attributes:
        name: its column in the state and in the operator's result.
        call: the DuckDB call over the input's columns.
        type: of its value.
    """

    name: str
    call: exp.Expression
    type: DataType

    @property
    def column(self) -> StateColumn:
        """Its column in the state."""
        return StateColumn(self.name, self.type, loaded=self.loaded, shown=self.final)

    @cached_property
    def function(self) -> str:
        """The aggregate function's name in lower case."""
        inner = _inner(self.call)
        if isinstance(inner, exp.Func) and not isinstance(inner, exp.Anonymous):
            return inner.sql_name().lower()
        return str(inner.this).lower()

    @property
    def is_set(self) -> bool:
        """Whether it is the list of different values (`collect_set`), the one distinct aggregate that can be kept."""
        return self.function == "list" and isinstance(_inner(self.call).expressions[0], exp.Distinct)

    def check(self) -> None:
        """Refuse what cannot be kept."""
        if self.call.find(exp.Distinct) is not None and not self.is_set:
            raise unsupported(f"{sql_text(self.call)} on a stream", "Use approx_count_distinct.")
        if self.call.find(exp.Order) is not None and self.function not in _LISTED:
            raise unsupported(f"the ordered aggregate {sql_text(self.call)} on a stream", "Aggregate in foreachBatch.")

    # ── in SQL ──────────────────────────────────────────────────────────────────────────────────────────────

    def exported(self) -> exp.Expr:
        """The state of a group of input rows."""
        if self.is_set:  # DuckDB exports no state of a distinct aggregate: its value is made one of `list`
            return _exported(self.call.copy(), "list", _call("list_extract", self.call.copy(), exp.Literal.number(1)))
        return ExportState(this=self._kept)

    def combined(self, old: exp.Column, new: exp.Column) -> exp.Expression:
        """The state of the rows of `old`, then those of `new`."""
        if self.function in _EDGES:
            # DuckDB's combine of `last` keeps the first value of fixed-size types; a state without a value is NULL
            one, other = (new, old) if self.function == "last" else (old, new)
            return exp.case().when(one.is_(exp.null()), other).else_(one.copy())
        both = _call("combine", new, old)
        return _without_repeats(both, new) if self.is_set else both

    def merged(self, state: exp.Column, order: exp.Order) -> exp.Expression:
        """The state of several groups in an order: an aggregate over their states."""
        name = self.function if self.function in _EDGES else "combine_aggr"
        both: exp.Expression = _call(name, exp.Order(this=state, expressions=[one.copy() for one in order.expressions]))
        if self.function in _EDGES:
            both = exp.Filter(this=both, expression=exp.Where(this=exp.Not(this=state.is_(exp.null()))))
        return _without_repeats(both, _call("any_value", state.copy())) if self.is_set else both

    def final(self, state: exp.Column) -> exp.Expression:
        """The value of a state."""
        value = _call("finalize", state)
        listed = _LISTED.get(self.function)
        if listed is None:
            return value
        order = self.call.find(exp.Ordered)
        if order is not None:  # of values as frequent as others the first is taken
            value = _call("list_sort", value, exp.Literal.string("DESC" if order.args.get("desc") else "ASC"))
        return _call("list_aggregate", value, exp.Literal.string(listed))

    def loaded(self, stored: exp.Expression, kind: pa.DataType) -> exp.Expression:
        """A stored state as DuckDB's: it casts all but bare times and bytes, the states of `min` and `max`."""
        if not (pa.types.is_temporal(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            return stored
        if self.function not in ("min", "max"):
            raise unsupported(f"the state of {sql_text(self.call)} in a stream")
        return _exported(stored, self.function, stored.copy())

    @property
    def _kept(self) -> exp.Expression:
        if self.function not in _LISTED:
            return self.call.copy()
        kept = self.call.copy()
        inner = _inner(kept)
        value = inner.expressions[0] if inner.expressions else inner.this
        listed = _call("list", value.this if isinstance(value, exp.Order) else value)
        if inner is kept:
            return listed
        inner.replace(listed)
        return kept


def _inner(call: exp.Expression) -> exp.Expression:
    """The call without FILTER and IGNORE NULLS around it."""
    while isinstance(call, exp.Filter | exp.IgnoreNulls):
        call = call.this
    return call


def _without_repeats(state: exp.Expression, other: exp.Expression) -> exp.Expression:
    """A list state without the values that its parts brought again; `other` tells its type."""
    values = _call("list_distinct", _call("finalize", state))
    element = _call("list_extract", _call("finalize", other), exp.Literal.number(1))
    return _exported(values, "list", element)


def _exported(value: exp.Expression, aggregate: str, argument: exp.Expression) -> exp.Expression:
    """The state of `aggregate` over arguments like `argument` that holds `value`."""
    signature = exp.Array(expressions=[_call("typeof", argument)])
    return _call("to_aggregate_state", value, exp.Literal.string(aggregate), signature)


def _call(name: str, *arguments: exp.Expression) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))

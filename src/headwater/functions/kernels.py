"""Row functions in Python, for what DuckDB lacks: defined once per database, called from SQL by name.

Invariants: a kernel is pure; without `nulls` it is never called with a NULL and gives NULL for one; a SparkError it
raises reaches the client as that error. Slower than SQL (about 1 µs a row), so only rare functions live here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from headwater.duck import Connection, DuckError
from headwater.errors import SparkError, carried

Body = Callable[..., Any]
B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class Kernel:
    """A Python function known to DuckDB; `parameters` None: any number of any types."""

    name: str
    body: Body
    parameters: tuple[str, ...] | None
    result: str
    nulls: bool
    volatile: bool


_kernels: dict[str, Kernel] = {}
_alive: dict[str, Body] = {}  # DuckDB 2.0 keeps no reference of its own to a function it was given


def kernel(
    parameters: Sequence[str] | None, result: str, *, nulls: bool = False, volatile: bool = False
) -> Callable[[B], B]:
    """Decorator: let SQL call the function as `hw_<name>`."""

    def enter(body: B) -> B:
        name = "hw_" + body.__name__.strip("_")
        _kernels[name] = Kernel(name, body, None if parameters is None else tuple(parameters), result, nulls, volatile)
        return body

    return enter


def install(connection: Connection) -> None:
    """Define all kernels in the connection's database, once; all its connections see them."""
    package = importlib.import_module("headwater.functions")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"headwater.functions.{module.name}")
    first, *others = _kernels.values()
    try:
        _define(connection, first)
    except DuckError:  # there already, and with it all others; asking DuckDB's catalog first takes 50 ms
        return
    for entry in others:
        _define(connection, entry)


def _define(connection: Connection, entry: Kernel) -> None:
    parameters: Any = None if entry.parameters is None else list(entry.parameters)
    special: Any = "special"
    connection.create_function(
        entry.name,
        _alive.setdefault(entry.name, _guarded(entry)),
        parameters,
        entry.result,
        null_handling=special,
        side_effects=entry.volatile,
    )


def _guarded(entry: Kernel) -> Body:
    @wraps(entry.body)
    def run(*arguments: Any) -> Any:
        if not entry.nulls and any(argument is None for argument in arguments):
            return None
        try:
            return entry.body(*arguments)
        except SparkError as error:
            raise RuntimeError(carried(error)) from error

    if entry.parameters is None:
        return run
    return _with_arity(run, len(entry.parameters))


def _with_arity(run: Body, arity: int) -> Body:
    """DuckDB counts the parameters of the signature, so give it one of the right length."""
    shapes: dict[int, Body] = {
        0: lambda: run(),
        1: lambda a: run(a),
        2: lambda a, b: run(a, b),
        3: lambda a, b, c: run(a, b, c),
        4: lambda a, b, c, d: run(a, b, c, d),
        5: lambda a, b, c, d, e: run(a, b, c, d, e),
        6: lambda a, b, c, d, e, f: run(a, b, c, d, e, f),
        7: lambda a, b, c, d, e, f, g: run(a, b, c, d, e, f, g),
    }
    return shapes[arity]

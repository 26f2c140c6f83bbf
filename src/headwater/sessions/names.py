"""Listing names: SHOW patterns, and the tables, views and functions a session sees.

Invariants: a pattern is Spark's: `*` is any text, `|` separates alternatives, case does not matter; lists are
sorted by name, temporary views last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from headwater.catalog import GLOBAL_TEMP, Table, View
from headwater.functions.base import Function, functions

if TYPE_CHECKING:
    from headwater.sessions.session import Session

T = TypeVar("T")


def matching(items: Iterable[T], pattern: str | None, name: Callable[[T], str]) -> list[T]:
    """The items whose name fits the pattern; all without one."""
    if pattern is None:
        return list(items)
    rule = compiled(pattern)
    return [item for item in items if rule.fullmatch(name(item))]


def compiled(pattern: str) -> re.Pattern[str]:
    """A SHOW pattern as a regular expression over whole names."""
    parts = (re.escape(part.strip()).replace(r"\*", ".*") for part in pattern.split("|"))
    return re.compile("|".join(f"(?:{part})" for part in parts), re.IGNORECASE)


def tables_in(database: tuple[str, ...], pattern: str | None, session: Session) -> list[Table | View]:
    """Tables and views of a database, then the temporary views. Raises SCHEMA_NOT_FOUND."""
    catalog = session.catalog
    name = catalog.database_name(database)
    found: list[Table | View] = []
    if name == GLOBAL_TEMP:
        found += [catalog.global_views[key] for key in catalog.global_views]
    else:
        found += catalog.tables(catalog.database(database).name)
    found += [catalog.views[key] for key in catalog.views]
    return matching(found, pattern, lambda item: item.name)


def functions_named(pattern: str | None) -> list[tuple[str, Function]]:
    """Functions by name."""
    return matching(functions.items(), pattern, lambda item: item[0])


def usage(name: str, function: Function) -> str:
    """One line of help."""
    return function.usage.strip().splitlines()[0] if function.usage else name

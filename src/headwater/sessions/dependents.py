"""Which expressions of a Delta table name a column: CHECK constraints and generated columns stand in a change's way.

Invariant: an expression that names the column, a part of it or the struct around it counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from headwater.errors import AnalysisError
from headwater.lake.actions import Metadata
from headwater.lake.rules import constraints, generations
from headwater.lake.zorder import named
from headwater.plan.expressions import Column
from headwater.sql import parse_expression

Path = tuple[str, ...]


def check_unused(metadata: Metadata, path: Path) -> None:
    """Raise DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE or DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE."""
    checks, generated = _dependents(metadata, path)
    if checks:
        listed = _listed(checks)
        raise AnalysisError("DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE", columnName=named(path), constraints=listed)
    if generated:
        raise AnalysisError(
            "DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE",
            columnName=named(path),
            generatedColumns=_listed(generated),
        )


def _dependents(metadata: Metadata, path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The constraints and the generated columns, by name, whose expressions name the column."""

    def using(expressions: Mapping[str, str]) -> dict[str, str]:
        return {name: text for name, text in expressions.items() if _names(text, path)}

    return using(constraints(metadata)), using(generations(metadata))


def _names(text: str, path: Path) -> bool:
    wanted = [part.lower() for part in path]
    for node in parse_expression(text).walk():
        if isinstance(node, Column):
            parts = [part.lower() for part in node.parts]
            common = min(len(parts), len(wanted))
            if parts[:common] == wanted[:common]:
                return True
    return False


def _listed(expressions: Mapping[str, str]) -> str:
    return "\n".join(f"{name} -> {text}" for name, text in expressions.items())

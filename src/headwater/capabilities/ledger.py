"""The rows of `ledger.json`: every gap with its state and reason.

Invariants: a row names something that exists and is not supported; a gap without a row is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Literal, NamedTuple, cast

from headwater.capabilities.inventory import INVENTORY

State = Literal["todo", "upstream", "never"]
Rows = dict[str, dict[str, "Gap"]]
STATES = ("todo", "upstream", "never")


class Gap(NamedTuple):
    """Something Headwater lacks."""

    state: State
    reason: str


def gaps() -> Rows:
    """All rows, by area and name."""
    sections = json.loads(files(__package__).joinpath("ledger.json").read_text("utf-8"))
    return {
        area: {name: Gap(cast(State, state), reason) for name, (state, reason) in rows.items()}
        for area, rows in sections.items()
    }


def contradictions(rows: Mapping[str, Mapping[str, Gap]]) -> list[str]:
    """What the ledger says wrongly: listed though supported, listed though unknown, missing without a row."""
    found = []
    for name, area in INVENTORY.items():
        listed, missing, known = set(rows.get(name, ())), area.missing(), area.names()
        found += [f"{name} {each}: supported, but listed" for each in sorted((listed & known) - missing)]
        found += [f"{name} {each}: listed, but there is no such thing" for each in sorted(listed - known)]
        found += [f"{name} {each}: neither supported nor listed" for each in sorted(missing - listed)]
    return found


def updated(rows: Mapping[str, Mapping[str, Gap]]) -> str:
    """The text of `ledger.json` without rows of what is supported now, with a `todo` row for each new gap."""
    sections = []
    for name, area in INVENTORY.items():
        old = rows.get(name, {})
        lines = [
            f"  {_json(gap)}: {_json(old.get(gap, Gap('todo', 'Not built yet.')))}" for gap in sorted(area.missing())
        ]
        sections.append(f" {_json(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

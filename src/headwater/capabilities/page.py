"""The compatibility page: per area how much is there, what is not, in which state and why.

Invariant: the page is a function of the registries and the ledger alone, so it is written again, never edited.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from headwater.capabilities.inventory import INVENTORY, Area
from headwater.capabilities.ledger import STATES, Gap
from headwater.capabilities.python_functions import python_functions
from headwater.functions.base import functions

_INTRO = """\
# Compatibility

<!-- Written by `make docs`; change the code or `ledger.json` and run it again. -->

What of Spark and Databricks Headwater has. Supported things are read from the code's own registries. Everything else
is listed: `todo` is planned, `upstream` waits for a library below us, `never` will not come. Whatever is missing raises
`UNSUPPORTED_FEATURE` (a function: `UNRESOLVED_ROUTINE`) and names what to do instead.
"""


def page(rows: Mapping[str, Mapping[str, Gap]]) -> str:
    """The page in Markdown."""
    sections = [_section(area, rows.get(name, {})) for name, area in INVENTORY.items()]
    return "\n".join([_INTRO, _summary(), *sections])


def _summary() -> str:
    lines = ["| area | supported | all |", "|---|---:|---:|"]
    for area in INVENTORY.values():
        lines.append(f"| {area.title} | {len(area.names() & area.have())} | {len(area.names())} |")
    python = {name: called for name, called in python_functions().items() if called}
    have = sum(all(functions.get(name) for name in names) for names in python.values())
    lines.append(f"| of `pyspark.sql.functions`, those that are calls | {have} | {len(python)} |")
    return "\n".join(lines) + "\n"


def _section(area: Area, rows: Mapping[str, Gap]) -> str:
    supported = ", ".join(f"`{name}`" for name in sorted(area.names() & area.have()))
    parts = [f"## {area.title}", "", f"Supported: {supported or 'nothing yet'}.", ""]
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, gap in rows.items():
        grouped[gap.state, gap.reason].append(name)
    if grouped:
        parts += ["| not supported | state | why |", "|---|---|---|"]
    for (state, reason), names in sorted(grouped.items(), key=lambda item: (STATES.index(item[0][0]), item[0][1])):
        parts.append(
            f"| {', '.join(f'`{name}`' for name in sorted(names))} | {state} | {reason} |".replace("|>", "\\|>")
        )
    return "\n".join(parts) + "\n"

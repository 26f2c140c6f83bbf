"""Writes the reference pages that come from the code: `python docs/generate.py` (or `make docs`).

    docs/reference/cli.md          every command and option, from the command line's own help
    docs/reference/settings.md     every setting, from its row
    docs/reference/conditions.md   every error condition, from `conditions.json`

A test fails when a page is not what this program would write.
"""

from __future__ import annotations

from pathlib import Path

import click

from headwater.cli.main import main
from headwater.errors import conditions
from headwater.settings import SETTINGS

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/generate.py; change the code and run `make docs`. -->\n"


def _help(command: click.Command, context: click.Context) -> str:
    """Its help as a run of its own prints it: click keeps the help option of whoever asked first."""
    command._help_option = None
    return command.get_help(context).rstrip()


def cli() -> str:
    """The command line's help, command by command."""
    parts = [NOTE, "# The command line\n"]
    context = click.Context(main, info_name="headwater", **main.context_settings)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, terminal_width=100)
        parts += [f"## headwater {name}\n", "```", _help(command, inner), "```\n"]
        for sub, one in command.commands.items() if isinstance(command, click.Group) else ():
            below = click.Context(one, info_name=sub, parent=inner, terminal_width=100)
            parts += [f"### headwater {name} {sub}\n", "```", _help(one, below), "```\n"]
    codes = (
        "0 done",
        "1 a query or script failed",
        "2 usage",
        "3 checkpoint refused",
        "4 server unreachable",
        "130 interrupted",
    )
    return "\n".join([*parts, "## Exit codes\n", *(f"- {code}" for code in codes)]) + "\n"


def settings() -> str:
    """A table of all settings."""
    rows = [
        f"| `{row.key}` | {row.kind} | {'–' if row.default is None else f'`{row.default}`'} | {row.help} |"
        for row in sorted(SETTINGS.values(), key=lambda row: row.key)
    ]
    intro = "Set by `spark.conf.set`, `.config(…)` or SQL's `SET`. Other `spark.*` keys are kept and have no effect.\n"
    head = "| key | kind | default | what it does |\n|---|---|---|---|"
    return "\n".join([NOTE, "# Settings\n", intro, head, *rows]) + "\n"


def error_conditions() -> str:
    """A table of all error conditions."""
    rows = [f"| `{name}` | {row.sql_state} | {_cell(row.message)} |" for name, row in sorted(conditions().items())]
    head = "| condition | SQLSTATE | message |\n|---|---|---|"
    return "\n".join([NOTE, "# Error conditions\n", head, *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


PAGES = {"cli.md": cli, "settings.md": settings, "conditions.md": error_conditions}

if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for page, text in PAGES.items():
        (REFERENCE / page).write_text(text(), "utf-8")

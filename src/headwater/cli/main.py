"""The `headwater` command: finds its subcommands by file name and loads only the one that is asked for.

Invariants: `headwater --help` loads neither DuckDB nor PySpark; exit codes are 0 done, 1 query failed, 2 usage,
3 checkpoint refused, 4 server unreachable, 130 interrupted.
"""

from __future__ import annotations

import importlib
import pkgutil

import click

import headwater
from headwater import cli

HELPERS = {"main", "options", "process"}
"""Modules of this package that are not commands."""


class Commands(click.Group):
    """One command per module of this package; the module's `command` is loaded when it is run or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """The command names, sorted."""
        return sorted(m.name for m in pkgutil.iter_modules(cli.__path__) if m.name not in HELPERS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, or None."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"headwater.cli.{cmd_name}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(headwater.__version__, prog_name="headwater")
def main() -> None:
    """The Databricks streaming stack as one pip install: run PySpark streaming code without a JVM."""


if __name__ == "__main__":
    main()

"""`headwater catalog`: make the catalog's tables known to other catalogs.

Invariant: nothing but the other catalog is written.
"""

from __future__ import annotations

from pathlib import Path

import click

from headwater.cli.options import Where, find_config, open_runtime, where_options


@click.group()
def command() -> None:
    """Make the catalog's tables known to other catalogs."""


@command.command()
@click.argument("tables", nargs=-1, metavar="[DATABASE.TABLE]...")
@click.option("--glue", is_flag=True, help="Register them in AWS Glue, where Athena finds them.")
@where_options
def register(
    tables: tuple[str, ...], glue: bool, mounts: tuple[str, ...], config: Path | None, warehouse: Path
) -> None:
    """Register Delta tables that lie in S3: those named, or all.

    Run it again after a change of columns; what has not changed is left alone. AWS is reached as the variables AWS_*
    say.

    \b
    Example:
        headwater catalog register --glue sales.orders
    """
    if not glue:
        msg = "say where to register: --glue"
        raise click.UsageError(msg)
    from headwater.errors import SparkError
    from headwater.sessions.glue import register as register_in_glue
    from headwater.sessions.session import Session

    runtime = open_runtime(Where(mounts, config or find_config(), warehouse))
    session = Session(runtime)
    try:
        for one in register_in_glue(session, tables):
            click.echo(f"{one.outcome:<9}  {one.name}  ({one.note})")
    except SparkError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from error
    finally:
        session.close()
        runtime.close()

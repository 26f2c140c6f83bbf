"""`headwater run job.py`: an unchanged PySpark script on an embedded server in the same process.

The name `spark` is predefined, as in a Databricks notebook. When the script has ended, its streams keep running
until they end or Ctrl-C stops them gracefully.
"""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import click

from headwater.cli.options import Where, find_config, where_options
from headwater.cli.process import (
    DONE,
    accept_local_master,
    embedded_server,
    exit_code_of,
    stop_streams,
    wait_for_streams,
)


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@where_options
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    script: Path, arguments: tuple[str, ...], mounts: tuple[str, ...], config: Path | None, warehouse: Path
) -> None:
    """Run SCRIPT (PySpark, unchanged) with ARGUMENTS; its streams run until they end or Ctrl-C.

    \b
    Example:
        headwater run job.py --date 2026-01-01
        headwater run --mount s3://my-bucket=./raw job.py
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    with embedded_server(Where(mounts, config or find_config(script), warehouse)) as server:
        try:
            _execute(script, arguments)
            code = _finish(wait_for_streams(server))
        except BaseException as error:
            _report(error, script)
            code = exit_code_of(error)
        finally:
            stop_streams(server)
    sys.stdout.flush()
    raise SystemExit(code)


def _execute(script: Path, arguments: tuple[str, ...]) -> None:
    """Run the script as `python script.py arguments` would, with `spark` predefined."""
    from pyspark.sql import SparkSession

    accept_local_master()
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    names: dict[str, Any] = {
        "__name__": "__main__",
        "__file__": str(script),
        "__builtins__": __builtins__,
        "spark": SparkSession.builder.getOrCreate(),
    }
    exec(compile(script.read_text("utf-8"), str(script), "exec"), names)


def _finish(failure: BaseException | None) -> int:
    if failure is None:
        return DONE
    click.echo(f"{failure}", err=True)
    return exit_code_of(failure)


def _report(error: BaseException, script: Path) -> None:
    """Print a script's error with the traceback from the script's own first line on."""
    if isinstance(error, KeyboardInterrupt):
        click.echo("Interrupted: stopping the streams; the next run goes on where they stopped.", err=True)
    elif not isinstance(error, SystemExit):
        traceback.print_exception(type(error), error, _from_script(error.__traceback__, script))
    elif isinstance(error.code, str):
        click.echo(error.code, err=True)


def _from_script(trace: TracebackType | None, script: Path) -> TracebackType | None:
    """The traceback without the frames above the script."""
    start = trace
    while start is not None and start.tb_frame.f_code.co_filename != str(script):
        start = start.tb_next
    return start or trace


def _as_interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's signature)
    raise KeyboardInterrupt

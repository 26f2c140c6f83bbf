"""`headwater serve`: a Spark Connect server for other processes.

The token is random unless one is given by `SPARK_CONNECT_AUTHENTICATE_TOKEN`; it is kept in a file only the owner
can read. The printed URL says `localhost`: for any other name the client insists on TLS when there is a token.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading
from pathlib import Path

import click

from headwater.cli.options import Where, find_config, open_runtime, where_options
from headwater.cli.process import UNREACHABLE


@click.command()
@click.option("--port", default=15002, show_default=True, help="Port on the loopback interface; 0 takes a free one.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".headwater/token"),
    show_default=True,
    help="Where the bearer token is kept (mode 0600).",
)
@where_options
def command(port: int, token_file: Path, mounts: tuple[str, ...], config: Path | None, warehouse: Path) -> None:
    """Serve Spark Connect on this machine until Ctrl-C.

    \b
    Example:
        headwater serve --mount s3://my-bucket=./raw
        SPARK_REMOTE="sc://localhost:15002/;token=…" python job.py
    """
    from headwater.connect.server import Server

    token = os.environ.get("SPARK_CONNECT_AUTHENTICATE_TOKEN") or secrets.token_hex(16)
    server = Server(port=port, token=token, runtime=open_runtime(Where(mounts, config or find_config(), warehouse)))
    try:
        server.start()
    except OSError as error:
        click.echo(f"Cannot listen on port {port}: {error}. Choose another with --port.", err=True)
        raise SystemExit(UNREACHABLE) from error
    keep_token(token_file, token)
    click.echo(f"Headwater serves Spark Connect at\n\n    {server.url}\n")
    click.echo(f"The token is in {token_file}. Use it as\n")
    click.echo(f'    spark = SparkSession.builder.remote("{server.url}").getOrCreate()\n')
    click.echo("Ctrl-C stops it.")
    wait_for_signal()
    server.stop()


def keep_token(path: Path, token: str) -> None:
    """Write the token so that only its owner can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)


def wait_for_signal() -> None:
    """Return when the process is interrupted or told to end."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    done.wait()

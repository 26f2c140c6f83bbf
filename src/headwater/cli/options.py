"""Options that several commands share: mounts, warehouse folder, and the runtime made from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headwater.sessions.runtime import Runtime


@dataclass(frozen=True)
class Where:
    """Where a server keeps its tables and finds its files.

    Attributes:
        mounts: `prefix=folder` texts of `--mount`.
        config: path of a `headwater.toml`, or None for no such file.
        warehouse: folder of managed tables.
    """

    mounts: tuple[str, ...]
    config: Path | None
    warehouse: Path


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: add `--mount`, `--config` and `--warehouse`."""
    for option in (
        click.option(
            "--warehouse",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path("spark-warehouse"),
            show_default=True,
            help="Folder of managed tables.",
        ),
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A headwater.toml; default: the one in the current folder or beside the script.",
        ),
        click.option(
            "--mount",
            "mounts",
            multiple=True,
            metavar="PREFIX=DIR",
            help="Map a path prefix to a folder, such as s3://my-bucket=./raw or /mnt=./mnt. May be repeated.",
        ),
    ):
        command = option(command)
    return command


def parse_mounts(texts: tuple[str, ...]) -> dict[str, str]:
    """`prefix=folder` texts as a mapping. Raises click's usage error naming the text that is not one."""
    rows: dict[str, str] = {}
    for text in texts:
        prefix, separator, folder = text.partition("=")
        if not (prefix and separator and folder):
            msg = f"`{text}` is not PREFIX=DIR; write for example --mount s3://my-bucket=./raw"
            raise click.BadParameter(msg, param_hint="--mount")
        rows[prefix] = folder
    return rows


def find_config(beside: Path | None = None) -> Path | None:
    """The `headwater.toml` of the current folder, else the one beside a script, else None."""
    folders = [Path.cwd(), *([beside.resolve().parent] if beside else [])]
    return next((file for folder in folders if (file := folder / "headwater.toml").exists()), None)


def open_runtime(where: Where) -> Runtime:
    """The runtime of an embedded server."""
    from headwater.io.mounts import Mounts
    from headwater.sessions.runtime import Runtime

    config = str(where.config) if where.config else None
    mounts = Mounts.load(config, parse_mounts(where.mounts))
    return Runtime.local(warehouse=str(where.warehouse), mounts=mounts)

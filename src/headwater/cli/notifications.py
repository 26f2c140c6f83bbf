"""`headwater notifications`: queues and topics of Auto Loader's file notifications in AWS, listed, made, taken away.

Invariant: what another stream uses stays; exit codes are 0 done, 1 AWS refused, 2 usage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from headwater.sources.cloud_files.services import Services

_region = click.option("--region", help="AWS region; default: AWS_REGION.")


@click.group()
def command() -> None:
    """Queues and topics that tell Auto Loader of new files in S3 (`cloudFiles.useNotifications`)."""


@command.command(name="list")
@_region
def list_services(region: str | None) -> None:
    """Print the services of all streams: id, folder, queue, topic.

    \b
    Example:
        headwater notifications list --region eu-central-1
    """
    with _refusals():
        for service in _services(region).find():
            for place, topic in service.topics.items() or (("-", "-"),):
                click.echo(f"{service.stream_id}  {place}  {service.queue_url}  {topic}")


@command.command()
@click.argument("path")
@click.option("--name", required=True, help="The stream's id: letters, digits, `-` and `_`, at most 50.")
@_region
def set_up(path: str, name: str, region: str | None) -> None:
    """Make queue, topic and events of the folder PATH in S3, and print the queue's URL for `cloudFiles.queueUrl`.

    A stream does so itself when it is given no queue; this is for those that may not.
    """
    from headwater.io.mounts import Mounts
    from headwater.io.paths import is_remote
    from headwater.sources.cloud_files.subscription import place_of

    if not re.fullmatch(r"[\w-]{1,50}", name, re.ASCII):
        msg = f"`{name}` must be of letters, digits, `-` and `_`, at most 50"
        raise click.UsageError(msg)
    if not is_remote(Mounts().local(path)):
        msg = f"`{path}` is no path of S3"
        raise click.UsageError(msg)
    with _refusals():
        click.echo(_services(region).set_up(name, [place_of(Mounts().local(path))]))


@command.command()
@click.argument("stream_ids", nargs=-1, required=True, metavar="ID...")
@_region
def tear_down(stream_ids: tuple[str, ...], region: str | None) -> None:
    """Delete the queues of streams, and the topics and events that no other stream uses. Stop the streams first.

    An id is in the first column of `list`, and in `sources/0/notifications` of a checkpoint. A stream that is started
    again makes a new queue and lists its files once.
    """
    with _refusals():
        services = _services(region)
        for stream_id in stream_ids:
            gone = services.tear_down(stream_id)
            click.echo(f"{'deleted' if gone else 'not there:'} {stream_id}")


def _services(region: str | None) -> Services:
    from headwater.io.aws import Login
    from headwater.sources.cloud_files.services import Services

    return Services(Login(region))


@contextmanager
def _refusals() -> Iterator[None]:
    from headwater.errors import SparkError

    try:
        yield
    except SparkError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from error

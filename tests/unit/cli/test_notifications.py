"""`headwater notifications`: services are made, listed and taken away; what is refused is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from headwater.cli.main import main
from support.s3_server import Emulator, emulated


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("box") as one:
        yield one


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["notifications", *arguments])


def test_services_are_made_listed_and_taken_away(server: Emulator) -> None:
    made = run("set-up", "s3a://box/in/day=*/", "--name", "events")
    assert made.exit_code == 0, made.output
    url = made.output.strip()
    assert url.endswith("/databricks-auto-ingest-events")
    assert run("set-up", "s3://box/in", "--name", "events").output == made.output
    (line,) = run("list").output.splitlines()
    assert line.split()[:3] == ["events", "s3://box/in/", url]
    assert run("tear-down", "events", "nobody").output == "deleted events\nnot there: nobody\n"
    assert run("list").output == ""


def test_what_cannot_be_is_told(server: Emulator) -> None:
    assert run("set-up", "/tmp/in", "--name", "a").exit_code == 2
    assert run("set-up", "s3://box/in", "--name", "a b").exit_code == 2
    refused = run("set-up", "s3://nowhere/in", "--name", "a")
    assert refused.exit_code == 1
    assert "CF_EVENT_NOTIFICATION_SETUP_FAILED.INVALID_CONFIGURATION" in refused.output
    assert "Make the bucket first." in refused.output
    run("tear-down", "a")

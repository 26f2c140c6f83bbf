"""A server for the tests of a file, and a client's session on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql.connect.session import SparkSession

from headwater.connect.server import Server
from support.server import connected, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def spark(server: Server) -> Iterator[SparkSession]:
    with connected(server) as session:
        yield session

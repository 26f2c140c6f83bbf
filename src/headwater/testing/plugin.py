"""Fixtures that pytest finds by itself once Headwater is installed.

Invariant: loading it costs nothing; PySpark and the engine are imported by the first test that asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headwater.testing.memory_stream import MemoryStream


@pytest.fixture
def headwater_session() -> Iterator[SparkSession]:
    """A PySpark session on an engine in this process, with a warehouse of its own; gone after the test."""
    from headwater.testing.sessions import session

    with session() as spark:
        yield spark


@pytest.fixture
def memory_stream(headwater_session: SparkSession) -> Callable[[Any], MemoryStream]:
    """Makes streams that the test fills: `events = memory_stream("id INT, word STRING")`."""
    from headwater.testing.memory_stream import MemoryStream

    return lambda schema: MemoryStream(headwater_session, schema)


@pytest.fixture
def run_stream() -> Callable[..., list[dict[str, Any]]]:
    """`headwater.testing.run_stream`."""
    from headwater.testing.run import run_stream as run

    return run

"""The query under test, over a source of the test's rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.stream import StreamTest


@pytest.fixture
def stream(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StreamTest]:
    """Its rows have the `SCHEMA` of the module."""
    test = StreamTest(tmp_path, request.module.SCHEMA)
    yield test
    test.close()

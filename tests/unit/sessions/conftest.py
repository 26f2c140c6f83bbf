"""A session on a runtime of its own, with a warehouse in the test's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    runtime = Runtime.local({"spark.sql.warehouse.dir": str(tmp_path / "warehouse"), "headwater.durability": "none"})
    session = Session(runtime)
    yield session
    session.close()
    runtime.close()

"""A session with two small tables: d(a int, b string, d double) and e(a bigint, c string)."""

from __future__ import annotations

import pyarrow as pa
import pytest

from support.plans import Session, rows


@pytest.fixture
def session() -> Session:
    session = Session()
    session.views["d"] = rows(
        1, a=pa.array([1, 2, 3, None], pa.int32()), b=["x", "y", "x", None], d=[1.5, 2.5, 4.0, 1e10]
    )
    session.views["e"] = rows(2, a=pa.array([1, 2, 2, 9], pa.int64()), c=["p", "q", "r", "s"])
    return session

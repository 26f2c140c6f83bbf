"""PySpark's client without a server: for the messages it writes.

Invariant: nothing is sent; what needs an answer of a server fails.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql.connect.session import SparkSession

from headwater.connect.decode.base import Decoder


def offline() -> SparkSession:
    """A session that never connects."""
    session = SparkSession("sc://localhost:1/;token=none")
    session.release_session_on_close = False
    return session


def relation_of(frame: Any) -> Any:
    """The plan node of a DataFrame, by way of its protocol message."""
    return Decoder().relation(frame._plan.plan(frame._session.client))


def expression_of(column: Any) -> Any:
    """The plan node of a Column."""
    return Decoder().expression(column.to_plan(None))

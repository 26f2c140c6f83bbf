"""Headwater: the Databricks streaming stack as one pip install, served to the genuine PySpark client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headwater.connect.server import Server

__all__ = ["Server", "__version__", "session"]

__version__ = "0.1.0"


def session(**settings: str) -> SparkSession:
    """A genuine PySpark session on an embedded server in this process.

    The first call starts the server on a free loopback port; further calls give the session that is open, with
    these settings added. `spark.stop()` releases the session.

    Args:
        settings: `spark.*` and `headwater.*` settings, as in `session(**{"spark.sql.session.timeZone": "UTC"})`.

    Example:
        spark = headwater.session()
        spark.range(3).show()
    """
    from headwater.connect.embedded import session as embedded_session

    return embedded_session(settings)


def __getattr__(name: str) -> Any:
    if name == "Server":
        from headwater.connect.server import Server

        return Server
    raise AttributeError(f"module `headwater` has no attribute `{name}`")

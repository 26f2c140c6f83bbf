"""`spark.dataSource.register`.

Invariant: the class is unpickled when it is first used, in sight of the Python files that the session has by then.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.commands.base import Call, handler
from headwater.io.python_data_source import PythonDataSource
from headwater.udf.function import check_python


@handler("register_data_source")
def register(call: Call, message: Any) -> None:
    """Enter a data source in the session. Raises DATA_SOURCE_ALREADY_EXISTS, PYTHON_VERSION_MISMATCH."""
    pickled = message.python_data_source
    check_python(pickled.python_ver)
    source = PythonDataSource(message.name, pickled.command, call.holder.artifacts.python_paths)
    call.session.data_sources.register(source)

"""What a user's function raises: its own traceback, without our frames."""

from __future__ import annotations

import pytest

from headwater.errors import AnalysisError, PythonError
from headwater.udf.failures import user_code


def test_the_traceback_begins_with_the_users_code() -> None:
    def users() -> None:
        raise ValueError("boom")

    with pytest.raises(PythonError) as caught, user_code():
        users()

    assert "An exception was thrown from the Python worker" in caught.value.text
    assert caught.value.text.rstrip().endswith("ValueError: boom")
    assert "failures.py" not in caught.value.text.split("test_failures.py")[0]


def test_sparks_errors_pass() -> None:
    with pytest.raises(AnalysisError), user_code():
        raise AnalysisError("WRITE_STREAM_NOT_ALLOWED")


def test_an_exit_does_not_end_the_server() -> None:
    with pytest.raises(PythonError, match="SystemExit: 3"), user_code():
        raise SystemExit(3)

"""Loading functions: the Python they are written for, what they import, and a fresh copy each time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pyspark import cloudpickle
from pyspark.sql.types import LongType

from headwater.errors import SparkError
from headwater.plan.expressions import PythonUDF
from headwater.udf.function import check_python, load

MINE = "{}.{}".format(*sys.version_info[:2])


def udf(command: bytes, version: str = MINE, paths: tuple[str, ...] = ()) -> PythonUDF:
    return PythonUDF("f", (), LongType(), 0, command, python_version=version, paths=paths)


def test_a_function_comes_with_its_return_type_and_is_a_fresh_copy() -> None:
    seen: list[int] = []
    command = cloudpickle.dumps((lambda: seen.append(1) or len(seen), LongType()))

    assert [load(udf(command))() for _ in range(2)] == [1, 1]


def test_a_function_finds_the_files_the_client_has_sent(tmp_path: Path) -> None:
    (tmp_path / "sent_by_client.py").write_text("def answer():\n    return 42\n")
    sys.path.insert(0, str(tmp_path))
    import sent_by_client  # type: ignore[import-not-found]

    command = cloudpickle.dumps((sent_by_client.answer, LongType()))
    sys.path.remove(str(tmp_path))
    del sys.modules["sent_by_client"]

    try:
        assert load(udf(command, paths=(str(tmp_path),)))() == 42
    finally:
        sys.path.remove(str(tmp_path))


def test_a_pickle_that_cannot_be_read_is_the_users_error() -> None:
    with pytest.raises(SparkError, match="PYTHON_EXCEPTION"):
        load(udf(b"no pickle"))


def test_another_python_is_refused() -> None:
    check_python("")
    check_python(MINE)
    with pytest.raises(SparkError, match="PYTHON_VERSION_MISMATCH"):
        load(udf(b"", "2.7"))

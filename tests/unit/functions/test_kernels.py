"""Python kernels: defined once, seen by every connection, NULL in NULL out, Spark's errors through DuckDB."""

from __future__ import annotations

import pytest

from headwater.duck import Database, DuckError
from headwater.errors import RuntimeSparkError
from headwater.functions.kernels import install
from headwater.functions.raising import translate


@pytest.fixture(scope="module")
def database() -> Database:
    made = Database()
    install(made.connect())
    return made


def test_every_connection_sees_them(database: Database) -> None:
    assert database.connect().execute("SELECT hw_soundex('Robert')").fetchone() == ("R163",)


def test_installing_twice_is_harmless(database: Database) -> None:
    install(database.connect())


def test_null_gives_null(database: Database) -> None:
    assert database.connect().execute("SELECT hw_soundex(NULL)").fetchone() == (None,)


def test_an_error_of_a_kernel_comes_back_as_itself(database: Database) -> None:
    with pytest.raises(DuckError) as failure:
        database.connect().execute("SELECT hw_split_part('a.b', '.', 0)").fetchone()
    error = translate(failure.value)
    assert isinstance(error, RuntimeSparkError)
    assert error.condition == "INVALID_INDEX_OF_ZERO"

"""DuckDB's failures in Spark's terms: asked of the real DuckDB, so a new version that words them anew is noticed."""

import pytest

from headwater.duck import Database
from headwater.errors import (
    ArithmeticSparkError,
    DateTimeError,
    FileReadError,
    NumberFormatError,
    RuntimeSparkError,
    SparkError,
)
from headwater.sessions.translate import translate


@pytest.fixture(scope="module")
def connection():
    database = Database()
    yield database.connect()
    database.close()


def failure(connection, sql):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        connection.sql(sql).to_arrow_table()
    return translate(caught.value)


@pytest.mark.parametrize(
    ("sql", "kind", "condition"),
    [
        ("SELECT CAST(x AS INTEGER) FROM (VALUES ('a')) t(x)", NumberFormatError, "CAST_INVALID_INPUT"),
        ("SELECT CAST(x AS DOUBLE) FROM (VALUES ('a')) t(x)", NumberFormatError, "CAST_INVALID_INPUT"),
        ("SELECT CAST(x AS DECIMAL(5, 2)) FROM (VALUES ('a')) t(x)", NumberFormatError, "CAST_INVALID_INPUT"),
        ("SELECT CAST(x AS DATE) FROM (VALUES ('a')) t(x)", DateTimeError, "CAST_INVALID_INPUT"),
        ("SELECT CAST(x AS TIMESTAMP) FROM (VALUES ('a')) t(x)", DateTimeError, "CAST_INVALID_INPUT"),
        ("SELECT CAST(x AS TINYINT) FROM (VALUES (300)) t(x)", ArithmeticSparkError, "CAST_OVERFLOW"),
        ("SELECT CAST(x AS BIGINT) FROM (VALUES (1e30)) t(x)", ArithmeticSparkError, "CAST_OVERFLOW"),
        ("SELECT x + x FROM (VALUES (100::TINYINT)) t(x)", ArithmeticSparkError, "BINARY_ARITHMETIC_OVERFLOW"),
        ("SELECT x * x FROM (VALUES (300::SMALLINT)) t(x)", ArithmeticSparkError, "BINARY_ARITHMETIC_OVERFLOW"),
        ("SELECT 0::TINYINT - x FROM (VALUES ((-128)::TINYINT)) t(x)", ArithmeticSparkError, "ARITHMETIC_OVERFLOW"),
        ("SELECT x + 1 FROM (VALUES (2147483647::INTEGER)) t(x)", ArithmeticSparkError, "ARITHMETIC_OVERFLOW"),
        ("SELECT x * x FROM (VALUES (9223372036854775807)) t(x)", ArithmeticSparkError, "ARITHMETIC_OVERFLOW"),
        (
            "SELECT sum(x)::BIGINT FROM (VALUES (9223372036854775807), (1)) t(x)",
            ArithmeticSparkError,
            "ARITHMETIC_OVERFLOW",
        ),
        ("SELECT CAST(x AS BOOLEAN) FROM (VALUES ('q')) t(x)", RuntimeSparkError, "CAST_INVALID_INPUT"),
        (
            "SELECT CAST(x AS DECIMAL(3, 1)) FROM (VALUES (12345.6::DECIMAL(10, 3))) t(x)",
            ArithmeticSparkError,
            "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        ),
        (
            "SELECT CAST(x AS DECIMAL(3, 1)) FROM (VALUES (12345)) t(x)",
            ArithmeticSparkError,
            "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        ),
    ],
)
def test_a_value_that_does_not_fit_has_sparks_condition(connection, sql, kind, condition):
    error = failure(connection, sql)
    assert (type(error), error.condition) == (kind, condition), error


def test_a_bad_cast_names_value_and_type(connection):
    error = failure(connection, "SELECT CAST(x AS INTEGER) FROM (VALUES ('it''s')) t(x)")
    assert error.parameters["expression"] == "'it's'"
    assert error.parameters["targetType"] == '"INT"'


def test_a_missing_file_is_named(connection, tmp_path):
    error = failure(connection, f"SELECT * FROM read_parquet('{tmp_path}/gone.parquet')")
    assert isinstance(error, FileReadError)
    assert error.condition == "FAILED_READ_FILE.FILE_NOT_EXIST"
    assert "gone.parquet" in str(error)


def test_a_broken_file_is_named(connection, tmp_path):
    (tmp_path / "broken.parquet").write_bytes(b"this is not parquet at all")
    error = failure(connection, f"SELECT * FROM read_parquet('{tmp_path}/broken.parquet')")
    assert error.condition == "FAILED_READ_FILE.NO_HINT"
    assert "broken.parquet" in str(error)


def test_a_full_disk_says_so():
    error = translate(OSError('IO Error: Could not write all bytes to file "/x": No space left on device'))
    assert error.condition == "DISK_FULL"
    assert "could not write /x" in str(error)


def test_what_is_unknown_keeps_its_text():
    error = translate(ValueError("something new"))
    assert error.condition == "INTERNAL_ERROR"
    assert "something new" in str(error)


def test_a_spark_error_passes():
    error = SparkError("OPERATION_CANCELED")
    assert translate(error) is error

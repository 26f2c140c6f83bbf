"""`df.write`: modes, formats, folders, and what a failure leaves behind."""

import datetime
import decimal
import gzip
import os
import signal
import subprocess
import sys
import textwrap

import pyarrow as pa
import pytest
from pyspark.sql.types import (
    ArrayType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from headwater.errors import AnalysisError, SparkError
from headwater.plan.commands import Write
from headwater.plan.relations import LocalData, Range, ReadSource
from headwater.sessions.leaves import rows


def people(*values):
    schema = StructType(
        [StructField("name", StringType()), StructField("age", IntegerType()), StructField("day", DateType())]
    )
    return rows(schema, values)


def read(session, kind, path, schema=None, **options):
    table = session.execute(ReadSource(kind, schema, tuple(options.items()), (str(path),))).table()
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=str)


def refused(condition, session, command):
    with pytest.raises(SparkError) as caught:
        session.run(command)
    assert caught.value.condition == condition, caught.value


@pytest.mark.parametrize("kind", ["parquet", "json", "csv", "delta"])
def test_what_is_written_is_read_back(session, tmp_path, kind):
    day = datetime.date(2020, 1, 2)
    data = people(("Ada", 36, day), ('é "x", y', None, None), (None, 1, day))
    session.run(Write(data, kind, "errorifexists", str(tmp_path / "out")))
    found = read(session, kind, tmp_path / "out", None if kind == "delta" else data.schema)
    assert found == sorted([("Ada", 36, day), ('é "x", y', None, None), (None, 1, day)], key=str)


def test_file_names_are_sparks(session, tmp_path):
    session.run(Write(Range(0, 3, 1), "parquet", "errorifexists", str(tmp_path / "out")))
    names = sorted(os.listdir(tmp_path / "out"))
    assert names[0] == "_SUCCESS"
    assert len(names) == 2
    assert names[1].startswith("part-00000-")
    assert names[1].endswith("-c000.snappy.parquet")


def test_modes(session, tmp_path):
    path = str(tmp_path / "out")
    for _ in range(2):
        session.run(Write(Range(0, 2, 1), "parquet", "append", path))
    assert read(session, "parquet", path) == [(0,), (0,), (1,), (1,)]
    session.run(Write(Range(5, 6, 1), "parquet", "ignore", path))
    refused("PATH_ALREADY_EXISTS", session, Write(Range(5, 6, 1), "parquet", "errorifexists", path))
    assert len(read(session, "parquet", path)) == 4
    session.run(Write(Range(5, 6, 1), "parquet", "overwrite", path))
    assert read(session, "parquet", path) == [(5,)]


def test_a_folder_may_be_overwritten_with_what_it_held(session, tmp_path):
    path = str(tmp_path / "out")
    session.run(Write(Range(0, 4, 1), "parquet", "append", path))
    session.run(Write(ReadSource("parquet", None, (), (path,)), "parquet", "overwrite", path))
    assert read(session, "parquet", path) == [(0,), (1,), (2,), (3,)]


def test_partition_columns_become_folders(session, tmp_path):
    path = tmp_path / "out"
    data = people(("a b/c=%", 1, None), (None, 2, None), ("", 3, None))
    session.run(Write(data, "parquet", "append", str(path), partition_by=("name",)))
    folders = sorted(name for name in os.listdir(path) if "=" in name)
    assert folders == ["name=__HIVE_DEFAULT_PARTITION__", "name=a b%2Fc%3D%25"]
    found = {(row[0], row[-1]) for row in read(session, "parquet", path)}
    assert found == {(1, "a b/c=%"), (2, None), (3, None)}


def test_dynamic_overwrite_replaces_only_partitions_that_get_rows(session, tmp_path):
    path = str(tmp_path / "out")
    session.run(Write(people(("a", 1, None), ("b", 2, None)), "parquet", "append", path, partition_by=("name",)))
    change = Write(
        people(("b", 3, None)),
        "parquet",
        "overwrite",
        path,
        partition_by=("name",),
        options=(("partitionOverwriteMode", "dynamic"),),
    )
    session.run(change)
    assert {(row[0], row[-1]) for row in read(session, "parquet", path)} == {(1, "a"), (3, "b")}


def test_replace_where_replaces_the_rows_that_meet_it(session, tmp_path):
    path = str(tmp_path / "out")
    session.run(Write(Range(0, 6, 1), "delta", "append", path))
    where = (("replaceWhere", "id % 2 = 1 AND id > 2"),)
    session.run(Write(Range(7, 8, 1), "delta", "overwrite", path, options=where))
    assert sorted(row[0] for row in read(session, "delta", path)) == [0, 1, 2, 4, 7]
    refused("DELTA_REPLACE_WHERE_MISMATCH", session, Write(Range(8, 9, 1), "delta", "overwrite", path, options=where))


def test_a_write_that_fails_leaves_what_was_there(session, tmp_path):
    path = tmp_path / "out"
    session.run(Write(Range(0, 3, 1), "parquet", "append", str(path)))
    before = sorted(os.listdir(path))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.parquet").write_bytes(b"PAR1 no parquet PAR1")
    schema = StructType([StructField("id", LongType())])
    with pytest.raises(SparkError):
        session.run(
            Write(ReadSource("parquet", schema, (), (str(tmp_path / "broken"),)), "parquet", "overwrite", str(path))
        )
    assert sorted(os.listdir(path)) == before
    new = str(tmp_path / "new")
    with pytest.raises(SparkError):
        session.run(Write(ReadSource("parquet", schema, (), (str(tmp_path / "broken"),)), "parquet", "append", new))
    assert not os.path.exists(new)


def test_a_stream_cannot_be_saved(session, tmp_path):
    shape = StructType([StructField("a", LongType())])
    stream = ReadSource("json", shape, (), (str(tmp_path),), streaming=True)
    refused("CALL_ON_STREAMING_DATASET_UNSUPPORTED", session, Write(stream, "parquet", "append", str(tmp_path / "o")))


def test_what_cannot_be_written_is_refused_before(session, tmp_path):
    path = str(tmp_path / "out")
    twice = LocalData(
        pa.table([[1], [2]], names=["id", "ID"]),
        StructType([StructField("id", LongType()), StructField("ID", LongType())]),
    )
    refused("COLUMN_ALREADY_EXISTS", session, Write(twice, "parquet", "append", path))
    refused("DATA_SOURCE_NOT_FOUND", session, Write(Range(0, 1, 1), "nope", "append", path))
    refused("PATH_NOT_SPECIFIED", session, Write(Range(0, 1, 1), "parquet", "append"))
    whole = Write(Range(0, 1, 1), "parquet", "append", path, partition_by=("id",))
    refused("ALL_PARTITION_COLUMNS_NOT_ALLOWED", session, whole)
    refused(
        "PARTITION_COLUMN_NOT_FOUND_IN_SCHEMA",
        session,
        Write(Range(0, 1, 1), "parquet", "append", path, partition_by=("x",)),
    )
    assert not os.path.exists(path)


def test_text_takes_one_string_column(session, tmp_path):
    path = str(tmp_path / "out")
    refused("UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE", session, Write(Range(0, 1, 1), "text", "append", path))
    line = rows(StructType([StructField("value", StringType())]), [('a, "b"',), ("c",)])
    session.run(Write(line, "text", "append", path))
    assert read(session, "text", path) == [('a, "b"',), ("c",)]


def test_delta_is_the_default(session, tmp_path):
    path = str(tmp_path / "out")
    session.run(Write(Range(0, 2, 1), None, "append", path))
    assert read(session, "delta", path) == [(0,), (1,)]
    with pytest.raises(AnalysisError):
        session.run(Write(Range(0, 2, 1), None, "errorifexists", path))


def test_noop_computes_and_keeps_nothing(session):
    assert session.run(Write(Range(0, 2, 1), "noop", "append")) is None


def test_json_and_csv_values_are_written_as_spark_writes_them(session, tmp_path):
    session.settings.set("spark.sql.session.timeZone", "Asia/Kolkata")
    inner = StructType([StructField("x", LongType()), StructField("y", StringType())])
    schema = StructType(
        [
            StructField("t", TimestampType()),
            StructField("d", DecimalType(5, 2)),
            StructField("n", StringType()),
            StructField("s", inner),
            StructField("a", ArrayType(DoubleType())),
            StructField("m", MapType(StringType(), LongType())),
        ]
    )
    moment = datetime.datetime(2020, 1, 1, 0, 0, 0, 123456, datetime.UTC)
    row = (moment, decimal.Decimal("1.50"), None, {"x": None, "y": 'a"/'}, [1.0, None], [("k", None), ("l", 2)])
    path = tmp_path / "out"
    session.run(Write(rows(schema, [row]), "json", "append", str(path)))
    (file,) = path.glob("part-*.json")
    assert file.read_text() == (
        '{"t":"2020-01-01T05:30:00.123+05:30","d":1.50,"s":{"y":"a\\"/"},"a":[1.0,null],"m":{"k":null,"l":2}}\n'
    )
    flat = StructType(schema.fields[:3])
    options = (("header", "true"), ("compression", "gzip"))
    session.run(Write(rows(flat, [row[:3]]), "csv", "append", str(tmp_path / "csv"), options=options))
    (file,) = (tmp_path / "csv").glob("part-*.csv.gz")
    assert gzip.decompress(file.read_bytes()).decode() == "t,d,n\n2020-01-01T05:30:00.123+05:30,1.50,\n"
    refused("UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE", session, Write(rows(schema, []), "csv", "append", str(path)))


def test_a_save_killed_before_it_is_published_changes_nothing(session, tmp_path):
    path = str(tmp_path / "out")
    session.run(Write(Range(0, 3, 1), "parquet", "append", path))
    script = """
        import sys
        from headwater.plan.commands import Write
        from headwater.plan.relations import Range
        from headwater.sessions.runtime import Runtime
        from headwater.sessions.session import Session
        Session(Runtime.local(warehouse=sys.argv[1])).run(Write(Range(7, 9, 1), "parquet", "overwrite", sys.argv[1]))
    """
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), path],
        env={**os.environ, "HEADWATER_CRASH_AT": "save.data_written"},
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    assert read(session, "parquet", path) == [(0,), (1,), (2,)]
    session.run(Write(Range(7, 9, 1), "parquet", "overwrite", path))
    assert read(session, "parquet", path) == [(7,), (8,)]
    assert not os.path.exists(os.path.join(path, "_temporary"))

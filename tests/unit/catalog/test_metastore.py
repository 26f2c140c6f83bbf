"""The metastore: what is stored is there after a restart, whoever else writes at the same time."""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

from pyspark.sql.types import LongType, StringType, StructField, StructType

from headwater.catalog import Database, Metastore, Table

SCHEMA = StructType([StructField("a", LongType(), True, {"comment": "first"}), StructField("b", StringType())])


def test_reading_makes_no_file(tmp_path):
    metastore = Metastore(str(tmp_path / "warehouse"))
    assert [database.name for database in metastore.databases()] == ["default"]
    assert metastore.table("default", "t") is None
    assert not (tmp_path / "warehouse").exists()


def test_a_table_comes_back_as_it_was_stored(tmp_path):
    table = Table(
        "default",
        "t",
        "EXTERNAL",
        "csv",
        "/data/t",
        SCHEMA,
        ("b",),
        {"header": "true"},
        {"k": "v"},
        "a comment",
        created_ms=5,
    )
    assert Metastore(str(tmp_path)).add_table(table)
    assert Metastore(str(tmp_path)).table("default", "t") == table


def test_a_name_is_taken_once(tmp_path):
    metastore = Metastore(str(tmp_path))
    assert metastore.add_table(Table("default", "t", "MANAGED", "delta"))
    assert not metastore.add_table(Table("default", "t", "MANAGED", "csv"))
    assert metastore.table("default", "t").provider == "delta"


def test_of_many_threads_one_creates_the_table(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        won = list(
            pool.map(lambda i: Metastore(str(tmp_path)).add_table(Table("default", "t", "MANAGED", str(i))), range(16))
        )
    assert sum(won) == 1


def test_a_schema_with_tables_is_dropped_only_with_cascade(tmp_path):
    metastore = Metastore(str(tmp_path))
    metastore.add_database(Database("d", "/d"))
    metastore.add_table(Table("d", "t", "MANAGED", "delta"))
    assert metastore.drop_database("d", cascade=False) is None
    assert [table.name for table in metastore.drop_database("d", cascade=True)] == ["t"]
    assert metastore.database("d") is None
    assert metastore.tables("d") == []


def test_default_cannot_be_added(tmp_path):
    assert not Metastore(str(tmp_path)).add_database(Database("default", "/x"))


def test_a_writer_killed_in_its_transaction_leaves_what_was_there(tmp_path):
    metastore = Metastore(str(tmp_path))
    metastore.add_table(Table("default", "kept", "MANAGED", "delta"))
    script = """
        import sys
        from headwater.catalog import Metastore
        metastore = Metastore(sys.argv[1])
        with metastore._write() as connection:
            connection.execute("DELETE FROM tables")
            print("ready", flush=True)
            sys.stdin.read()
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=30)
    assert metastore.table("default", "kept") is not None
    assert metastore.add_table(Table("default", "next", "MANAGED", "delta"))

"""`headwater run`: unchanged scripts, streams that outlive them, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from support.command import headwater, interrupt, start_headwater, wait_for

STREAM = """
rows = spark.readStream.schema("id INT, name STRING").csv("/in/")
query = rows.writeStream.format("delta").option("checkpointLocation", "/out/checkpoint").start("/out/table")
"""


def script(folder: Path, text: str) -> Path:
    path = folder / "job.py"
    path.write_text(text, "utf-8")
    return path


def count(table: Path) -> int:
    return DeltaTable(str(table)).to_pyarrow_table().num_rows if (table / "_delta_log").exists() else 0


@pytest.mark.parametrize(
    "builder",
    [
        "SparkSession.builder",
        'SparkSession.builder.appName("mine")',
        'SparkSession.builder.appName("mine").config("spark.sql.shuffle.partitions", 4)',
        'SparkSession.builder.master("local[*]").appName("mine")',
        'SparkSession.builder.config("spark.master", "local[2]")',
    ],
)
def test_a_script_gets_its_session_however_it_asks(tmp_path: Path, builder: str) -> None:
    job = script(tmp_path, f"from pyspark.sql import SparkSession\nprint({builder}.getOrCreate().range(7).count())\n")

    done = headwater("run", job, cwd=tmp_path)

    assert (done.stdout, done.returncode) == ("7\n", 0), done.stderr


def test_spark_is_predefined_and_arguments_arrive(tmp_path: Path) -> None:
    job = script(tmp_path, "import sys\nprint(spark.range(3).count(), sys.argv[1:], __name__)\n")

    done = headwater("run", job, "--date", "2026-01-01", cwd=tmp_path)

    assert done.stdout == "3 ['--date', '2026-01-01'] __main__\n", done.stderr


def test_a_failing_script_ends_with_its_own_traceback_and_code_1(tmp_path: Path) -> None:
    job = script(tmp_path, "spark.range(1).select('nope').collect()\n")

    done = headwater("run", job, cwd=tmp_path)

    assert done.returncode == 1
    assert "UNRESOLVED_COLUMN" in done.stderr
    assert "job.py" in done.stderr
    assert "cli/run.py" not in done.stderr


def test_a_scripts_own_exit_code_is_kept(tmp_path: Path) -> None:
    assert headwater("run", script(tmp_path, "raise SystemExit(7)\n"), cwd=tmp_path).returncode == 7


def test_streams_outlive_the_script_until_ctrl_c_and_go_on_next_time(tmp_path: Path) -> None:
    landing = tmp_path / "in"
    landing.mkdir()
    (landing / "1.csv").write_text("1,a\n2,b\n")
    job, mounts = script(tmp_path, STREAM), ("--mount", "/in=in", "--mount", "/out=out")
    table = tmp_path / "out" / "table"

    running = start_headwater("run", *mounts, job, cwd=tmp_path)
    wait_for(lambda: count(table) == 2, running)
    (landing / "2.csv").write_text("3,c\n")
    wait_for(lambda: count(table) == 3, running)
    _, err = interrupt(running)
    assert running.returncode == 130, err

    (landing / "3.csv").write_text("4,d\n")
    running = start_headwater("run", *mounts, job, cwd=tmp_path)
    wait_for(lambda: count(table) == 4, running)
    interrupt(running)
    assert sorted(DeltaTable(str(table)).to_pyarrow_table()["id"].to_pylist()) == [1, 2, 3, 4]


def test_a_stream_that_ends_lets_the_command_end(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("1,a\n")
    text = STREAM.replace(".start(", ".trigger(availableNow=True).start(")

    done = headwater("run", "--mount", "/in=in", "--mount", "/out=out", script(tmp_path, text), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert count(tmp_path / "out" / "table") == 1


def test_a_stream_that_fails_after_the_script_gives_code_1_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("x,a\n")
    text = STREAM.replace(".csv(", '.option("mode", "FAILFAST").csv(')

    done = headwater("run", "--mount", "/in=in", "--mount", "/out=out", script(tmp_path, text), cwd=tmp_path)

    assert done.returncode == 1
    assert "MALFORMED" in done.stderr
    assert "1.csv" in done.stderr


def test_a_checkpoint_of_another_source_is_refused_with_code_3(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("1,a\n")
    (tmp_path / "out" / "checkpoint" / "offsets").mkdir(parents=True)
    (tmp_path / "out" / "checkpoint" / "metadata").write_text('{"id":"6f1c9a52-3f0e-4c5b-9a63-0b0a0a0a0a0a"}')
    (tmp_path / "out" / "checkpoint" / "offsets" / "1").write_text("v1\n{}\n-")

    done = headwater("run", "--mount", "/in=in", "--mount", "/out=out", script(tmp_path, STREAM), cwd=tmp_path)

    assert done.returncode == 3, done.stderr


def test_an_unmounted_bucket_says_how_to_mount_it(tmp_path: Path) -> None:
    job = script(tmp_path, 'spark.read.json("s3://bucket/x").show()\n')

    done = headwater("run", job, cwd=tmp_path)

    assert done.returncode == 1
    assert "--mount s3://bucket=" in done.stderr

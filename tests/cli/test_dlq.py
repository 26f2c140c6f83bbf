"""`headwater dlq`: shows dead letters and gives each back once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import headwater
from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


def stream(spark: Any, folder: Path, kind: str, expression: str, **options: str) -> None:
    """Everything in `in` that is not in `out` or `letters` yet."""
    rows = spark.readStream.schema("id BIGINT, k STRING").options(**options).format(kind).load(f"{folder}/in")
    writer = rows.selectExpr("id", expression).writeStream.format("delta").trigger(availableNow=True)
    writer = writer.option("checkpointLocation", f"{folder}/checkpoint").option("deadLetterPath", f"{folder}/letters")
    writer.start(f"{folder}/out").awaitTermination()


def rows(spark: Any, folder: Path, name: str, *columns: str) -> list[tuple[Any, ...]]:
    return sorted(
        tuple(row) for row in spark.read.format("delta").load(f"{folder}/{name}").selectExpr(*columns).collect()
    )


def put(folder: Path, *lines: str) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "a").write_text("".join(f"{line}\n" for line in lines))


def test_show_counts_and_lists(spark: Any, tmp_path: Path) -> None:
    put(tmp_path, '{"id":1,"k":"x"}', "no record", '{"id":2,"k":"7"}')
    stream(spark, tmp_path, "json", "CAST(k AS INT) AS k")

    done = headwater("dlq", "show", f"{tmp_path}/letters", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "|CAST_INVALID_INPUT         |false   |1    |" in done.stdout
    assert "no record" in done.stdout

    some = headwater("dlq", "show", "letters", "--where", "row = 0", "--json", cwd=tmp_path)
    (letter,) = [json.loads(line) for line in some.stdout.splitlines()]
    assert (letter["record"], letter["error_class"]) == ('{"id":1,"k":"x"}', "CAST_INVALID_INPUT")

    missing = headwater("dlq", "show", f"{tmp_path}/nothing", cwd=tmp_path)
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr


def test_what_is_mended_comes_back_once(spark: Any, tmp_path: Path) -> None:
    put(tmp_path, "id,k", "1,7", '2,"a,b"', "3,x", "4,5,6")
    stream(spark, tmp_path, "csv", "CAST(k AS INT) AS k", header="true")
    assert rows(spark, tmp_path, "out", "id", "k") == [(1, 7)]
    spark.sql(f"UPDATE delta.`{tmp_path}/letters` SET record = '4,56' WHERE record = '4,5,6'")

    for count in (3, 0):
        done = headwater("dlq", "replay", f"{tmp_path}/letters", "--to", f"{tmp_path}/in", cwd=tmp_path)
        assert f"replayed {count} records" in done.stdout, done.stderr
    (file,) = (tmp_path / "in").glob("replay-*.csv")
    assert sorted(file.read_text().splitlines()) == sorted(["id,k", '2,"a,b"', "3,x", "4,56"])
    stream(spark, tmp_path, "csv", "length(k) AS k", header="true")

    assert rows(spark, tmp_path, "out", "id", "k") == [(1, 7), (2, 3), (3, 1), (4, 2)]
    assert rows(spark, tmp_path, "letters", "replayed_at IS NOT NULL") == [(True,)] * 3


@pytest.mark.parametrize("point", ["dlq.file:1", "dlq.file:2", "dlq.written:1"])
def test_a_replay_that_is_killed_is_finished(spark: Any, tmp_path: Path, point: str) -> None:
    put(tmp_path, '{"id":1,"k":"x"}', "no record", '{"id":2,"k":"7"}')
    stream(spark, tmp_path, "json", "CAST(k AS INT) AS k")
    other = "'csv' WHERE record = 'no record'"
    spark.sql(f"UPDATE delta.`{tmp_path}/letters` SET format = {other}")

    command = [sys.executable, "-m", "headwater.cli.main", "dlq", "replay", "letters", "--to", f"{tmp_path}/again"]
    died = subprocess.run(command, cwd=tmp_path, env={**os.environ, "HEADWATER_CRASH_AT": point}, check=False)
    assert died.returncode == -signal.SIGKILL
    done = headwater("dlq", "replay", "letters", "--to", f"{tmp_path}/again", cwd=tmp_path)

    assert "finished a replay that was interrupted: 2 records" in done.stdout, done.stderr
    assert "replayed 0 records" in done.stdout
    written = [path.read_text() for path in (tmp_path / "again").iterdir() if not path.name.startswith(".")]
    assert sorted(written) == ["no record\n", '{"id":1,"k":"x"}\n']

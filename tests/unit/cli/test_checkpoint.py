"""`headwater checkpoint` tells where a query stands, finds what is damaged, and deletes only what nobody needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pyspark.sql.types import LongType, StringType, StructField, StructType

from headwater.cli import checkpoint
from headwater.plan.expressions import Alias, Call, Column
from headwater.plan.relations import Aggregate
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType())])


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[StreamTest]:
    test = StreamTest(tmp_path, SCHEMA)
    total = Alias(Call("sum", (Column(("v",)),)), ("s",))
    test.plan(lambda rows: Aggregate(rows, "groupby", (Column(("k",)),), (total,)), "update")
    for value in range(3):
        test.start().add_data([{"k": f"k{value}", "v": value}]).check_last((f"k{value}", value)).stop()
    yield test
    test.close()


def folder_of(stream: StreamTest) -> Path:
    return stream.folder / "checkpoint"


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(checkpoint.command, [str(argument) for argument in arguments])


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_inspect_tells_where_the_query_stands(stream: StreamTest) -> None:
    folder = folder_of(stream)
    text = run("inspect", folder).output

    assert "committed  batch 2, lag 0" in text
    assert "operator 0 stateStoreSave: version 3, no snapshot, 3 files of" in text
    (folder / "commits" / "2").unlink()
    found = json.loads(run("inspect", folder, "--json").output)
    assert (found["planned"], found["committed"], found["lag"]) == (2, 1, 1)
    assert found["stores"][0]["version"] == 2


def test_a_good_checkpoint_is_good(stream: StreamTest) -> None:
    result = run("verify", folder_of(stream))

    assert result.exit_code == 0
    assert result.output.endswith("0 orphan, 0 damaged\n")
    assert "good       offsets/0" in run("verify", folder_of(stream), "--all").output
    assert run("repair", folder_of(stream)).output == ""


@pytest.mark.parametrize("name", ["offsets/1", "commits/2", "state/0/*.changelog.parquet", "metadata"])
def test_a_changed_or_missing_file_is_named(stream: StreamTest, name: str) -> None:
    folder = folder_of(stream)
    path = sorted(folder.glob(name))[-1]
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    result = run("verify", folder)
    assert result.exit_code == 3
    assert f"damaged    {path.relative_to(folder)}" in result.output


@pytest.mark.parametrize("name", ["offsets/1", "commits/1", "state/0/1.*.changelog.parquet"])
def test_a_file_that_is_gone_is_named(stream: StreamTest, name: str) -> None:
    folder = folder_of(stream)
    next(folder.glob(name)).unlink()

    result = run("verify", folder)
    assert result.exit_code == 3
    assert f"damaged    {name.partition('.')[0]}" in result.output


def test_repair_deletes_what_nothing_reads(stream: StreamTest) -> None:
    folder = folder_of(stream)
    before = files(folder)
    (folder / "offsets" / ".3.0d6f.tmp").write_text("v1")
    (folder / "commits" / ".9.crc").write_bytes(b"crc")
    (folder / "state" / "0" / "2.00ff.00ee.changelog.parquet").write_bytes(
        next((folder / "state" / "0").glob("2.*.parquet")).read_bytes()
    )
    after = files(folder)

    assert run("verify", folder).exit_code == 0
    assert run("repair", folder, "--dry-run").output.count("would delete") == 3
    assert files(folder) == after
    assert run("repair", folder).exit_code == 0
    assert files(folder) == before


def test_a_torn_newest_entry_is_dropped_and_the_query_goes_on(stream: StreamTest) -> None:
    folder = folder_of(stream)
    (folder / "commits" / "2").write_bytes(b"")
    (folder / "commits" / ".2.crc").unlink()

    assert run("inspect", folder).exit_code == 3
    result = run("repair", folder)
    assert (result.exit_code, result.output) == (0, "deleted damaged    commits/2  (the file is empty)\n")
    stream.start().add_data([{"k": "k2", "v": 10}]).check_last(("k2", 12)).stop()

    (folder / "offsets" / "4").write_bytes(b"v1\n{")
    assert run("repair", folder).exit_code == 0
    stream.start().add_data([{"k": "k2", "v": 1}]).check_last(("k2", 13)).stop()


def test_other_damage_is_left_and_told(stream: StreamTest) -> None:
    folder = folder_of(stream)
    (folder / "offsets" / "2").write_bytes(b"")

    result = run("repair", folder)
    assert result.exit_code == 3
    assert "cannot repair damaged    offsets/2" in result.output
    assert (folder / "offsets" / "2").exists()


def test_another_folder_is_refused(tmp_path: Path) -> None:
    result = run("inspect", tmp_path)

    assert result.exit_code == 2
    assert "is not a checkpoint" in result.output

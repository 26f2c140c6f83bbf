"""When small files are joined without being asked, and that nothing of it can fail a write."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from headwater.crash import set_trap
from headwater.errors import SparkError
from headwater.lake.actions import AddFile
from headwater.lake.auto_compact import Rule, compact, rule_of
from headwater.lake.file_sizes import Limits
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.types.ddl import parse_schema
from support.lake import connection, numbers, query, rows

PAIRS = parse_schema("id bigint, name string")
NOTHING = dict[str, str]().get
PREFIX = "spark.databricks.delta.autoCompact."
PROPERTY = "delta.autoOptimize.autoCompact"


def file(size: int, part: str = "x") -> AddFile:
    return AddFile(f"{part}-{size}", {"part": part}, size, 0)


def test_it_is_off_unless_the_session_or_the_table_says_so() -> None:
    assert rule_of(NOTHING, {}) is None
    assert rule_of(NOTHING, {PROPERTY: "true"}) == Rule(Limits(64 << 20, 128 << 20), 50)
    assert rule_of({PREFIX + "enabled": "false"}.get, {PROPERTY: "true"}) is None
    assert rule_of({PREFIX + "enabled": "true"}.get, {}) == Rule()


def test_settings_say_what_is_small_and_how_many() -> None:
    settings = {PREFIX + "enabled": "true", PREFIX + "maxFileSize": "1m", PREFIX + "minNumFiles": "4"}
    assert rule_of(settings.get, {}) == Rule(Limits(1 << 19, 1 << 20), 4)
    assert rule_of({**settings, PREFIX + "minFileSize": "10"}.get, {}) == Rule(Limits(10, 1 << 20), 4)
    for key, value in (("enabled", "maybe"), ("minNumFiles", "1"), ("maxFileSize", "big")):
        with pytest.raises(SparkError, match="DELTA_ILLEGAL_OPTION"):
            rule_of({**settings, PREFIX + key: value}.get, {})


def test_small_files_of_one_partition_are_counted() -> None:
    rule = Rule(Limits(100, 1000), 3)
    assert not rule.due([file(1), file(2), file(300)])
    assert not rule.due([file(1), file(2), file(3, "y")])
    assert rule.due([file(1), file(2), file(3)])


def test_only_partitions_with_enough_small_files_are_written_again(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), parse_schema("id bigint, part string"), ("part",))
    for index, part in enumerate("xxxxyy"):
        table.append(connection(), query(f"SELECT {index}, '{part}'"), table.schema)
    report = compact(table, connection(), Rule(least_files=3))
    assert report is not None
    assert (len(report.removed), len(report.added)) == (4, 1)
    assert compact(table, connection(), Rule(least_files=3)) is None
    assert sorted(rows(table)) == [(index, part) for index, part in enumerate("xxxxyy")]
    assert table.history(1)[0].info["operationParameters"]["auto"] is True


def test_somebody_elses_commit_comes_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    for index in range(3):
        table.append(connection(), numbers(1, index), PAIRS)

    class Delete:
        def spring(self, name: str) -> None:
            if name == "lake.optimize_written":
                LakeTable.open(table.path).clear(Operation("DELETE"))

    set_trap(Delete())
    try:
        with caplog.at_level(logging.WARNING):
            assert compact(table, connection(), Rule(least_files=3)) is None
    finally:
        set_trap(None)
    assert "were not joined" in caplog.text
    assert rows(LakeTable.open(table.path)) == []

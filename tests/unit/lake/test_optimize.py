"""OPTIMIZE against the log: which files are joined, what a commit in between does to it, and sorted files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headwater.crash import set_trap
from headwater.errors import ConcurrentWriteError, SparkError
from headwater.lake import clustering
from headwater.lake.actions import AddFile
from headwater.lake.file_sizes import Limits
from headwater.lake.optimize import Optimize, Report, optimize
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, query, rows, unnamed_files

PAIRS = parse_schema("id bigint, name string")


def filled(path: Path, files: int = 4, size: int = 10) -> LakeTable:
    table = LakeTable.at(str(path))
    for index in range(files):
        table.append(connection(), numbers(size, index * size), PAIRS)
    return table


def live(table: LakeTable) -> tuple[AddFile, ...]:
    return table.snapshot().files


def run(table: LakeTable, **asked: object) -> Report:
    return optimize(table, connection(), Optimize(**asked))  # type: ignore[arg-type]


class Meanwhile:
    """Does something once, when the files are written and not yet committed."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action: Callable[[], object] | None = action

    def spring(self, name: str) -> None:
        if name == "lake.optimize_written" and self.action is not None:
            action, self.action = self.action, None
            action()

    def __enter__(self) -> None:
        set_trap(self)

    def __exit__(self, *_: object) -> None:
        set_trap(None)


def test_small_files_become_one_and_the_rows_stay(tmp_path: Path) -> None:
    table = filled(tmp_path / "t")
    before = rows(table)
    report = run(table)
    assert (len(report.added), len(report.removed), report.considered, report.bins) == (1, 4, 4, 1)
    assert rows(table) == before == by_deltalake(table.path)
    commit = table.history(1)[0]
    assert not commit.changes_data
    assert commit.info["operation"] == "OPTIMIZE"
    assert commit.info["operationParameters"] == {"predicate": "[]", "zOrderBy": "[]", "clusterBy": "[]", "auto": False}
    assert commit.info["isolationLevel"] == "SnapshotIsolation"
    assert commit.info["operationMetrics"]["numRemovedFiles"] == "4"
    assert (run(table).bins, table.version) == (0, 4), "what is done needs no commit"


def test_only_files_below_the_limit_are_joined_up_to_the_limit(tmp_path: Path) -> None:
    table = filled(tmp_path / "t", 6)
    size = max(file.size for file in live(table))
    report = run(table, limits=Limits(1 << 30, size * 3))
    assert (report.bins, len(live(table))) == (2, 2)
    big = min(file.size for file in live(table))
    table.append(connection(), numbers(1, 1000), PAIRS)
    assert run(table, limits=Limits(big, 1 << 30)).removed == (), "one small file has nothing to be joined to"
    table.append(connection(), numbers(1, 1001), PAIRS)
    assert len(run(table, limits=Limits(big, 1 << 30)).removed) == 2
    assert sorted(row[0] for row in rows(table)) == [*range(60), 1000, 1001]


def test_partitions_stay_apart_and_a_predicate_picks_some(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), parse_schema("id bigint, part int, day date"), ("part", "day"))
    for start in (0, 100):
        source = query(f"SELECT {start} + i, CASE WHEN i > 1 THEN i % 3 END, DATE '2026-01-01' FROM range(6) r(i)")
        table.append(connection(), source, table.schema)
    before = rows(table)
    report = run(table, where=query("SELECT part >= 1 AND day = DATE '2026-01-01'").expressions[0])
    assert (report.partitions, report.considered, len(report.added)) == (2, 4, 2)
    rest = run(table)
    assert (rest.partitions, len(live(table))) == (2, 4)
    assert rows(table) == before == by_deltalake(table.path)


def test_rows_appended_meanwhile_are_kept(tmp_path: Path) -> None:
    table = filled(tmp_path / "t")
    with Meanwhile(lambda: LakeTable.open(table.path).append(connection(), numbers(5, 900), PAIRS)):
        run(table)
    assert sorted(row[0] for row in rows(table)) == [*range(40), *range(900, 905)]
    assert table.history(1)[0].info["readVersion"] == 4
    assert len(live(table)) == 2


def test_a_file_removed_meanwhile_is_a_conflict_and_leaves_nothing_behind(tmp_path: Path) -> None:
    table = filled(tmp_path / "t")
    remove = Operation("DELETE", {"predicate": "[]"})
    with (
        Meanwhile(lambda: LakeTable.open(table.path).clear(remove)),
        pytest.raises(ConcurrentWriteError, match="DELTA_CONCURRENT_DELETE_READ"),
    ):
        run(table)
    assert rows(LakeTable.open(table.path)) == []
    assert len(list(Path(table.path).glob("*.parquet"))) == 4, (
        "the joined file is gone, the removed ones wait for VACUUM"
    )


def test_a_removal_of_other_files_is_no_conflict(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), parse_schema("id bigint, part int"), ("part",))
    for start in (0, 100):
        table.append(connection(), query(f"SELECT {start} + i, i % 2 FROM range(6) r(i)"), table.schema)
    other = LakeTable.open(table.path)

    def drop_odd() -> None:
        gone = tuple(file for file in other.snapshot().files if file.partition_values["part"] == "1")
        other.commit(Draft(Operation("DELETE"), other.version, removes=tuple(gone)))

    with Meanwhile(drop_odd):
        run(table, where=query("SELECT part = 0").expressions[0])
    assert sorted(rows(table)) == [(start + i, 0) for start in (0, 100) for i in (0, 2, 4)]


def test_an_error_takes_the_written_files_away(tmp_path: Path) -> None:
    table = filled(tmp_path / "t", 6)
    size = max(file.size for file in live(table))
    victim = sorted(live(table), key=lambda file: file.size)[-1]
    (tmp_path / "t" / victim.path).unlink()
    with pytest.raises(Exception, match="parquet"):
        run(table, limits=Limits(1 << 30, size * 3))
    assert len(list(Path(table.path).glob("*.parquet"))) == 5


# ── z-order ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_point_query_needs_few_files_of_a_z_ordered_table(tmp_path: Path) -> None:
    schema = parse_schema("a int, b string, c double")
    source = query(
        "SELECT (hash(i) % 10000)::int, 's' || lpad((hash(i + 1) % 10000)::varchar, 4, '0'), i::double "
        "FROM range(100000) r(i)"
    )
    table = LakeTable.at(str(tmp_path / "t"))
    for _ in range(2):
        table.append(connection(), source, schema)
    before = rows(table)
    size = sum(file.size for file in live(table))
    report = run(table, zorder_by=(("a",), ("B",)), limits=Limits(1 << 30, size // 64))
    files = live(table)
    assert len(files) >= 60
    assert report.sorted_by == "zorder"
    bounds = [(json.loads(file.stats or "")["minValues"], json.loads(file.stats or "")["maxValues"]) for file in files]

    def share(column: str, value: object) -> float:
        return sum(bool(low[column] <= value <= high[column]) for low, high in bounds) / len(files)

    found = [share("a", value) for value in range(5, 10000, 500)]
    assert sum(found) / len(found) < 0.25
    found = [share("b", f"s{value:04}") for value in range(5, 10000, 500)]
    assert sum(found) / len(found) < 0.25
    assert rows(table) == before

    run(table, zorder_by=(("a",),), limits=Limits(1 << 30, size // 64))
    files = live(table)
    bounds = [(json.loads(file.stats or "")["minValues"], json.loads(file.stats or "")["maxValues"]) for file in files]
    assert max(share("a", value) for value in range(5, 10000, 37)) <= 0.1
    assert table.history(1)[0].info["operationParameters"]["zOrderBy"] == '["a"]'


def test_fields_partitions_and_nulls_can_be_sorted(tmp_path: Path) -> None:
    schema = parse_schema("id bigint, p int, s struct<x: int, y: struct<z: string>>")
    table = LakeTable.create(str(tmp_path / "t"), schema, ("p",))
    source = query(
        "SELECT i, i % 2, CASE WHEN i % 5 > 0 THEN {'x': i::int, 'y': {'z': 'z' || i}} END FROM range(100) r(i)"
    )
    table.append(connection(), source, schema)
    before = rows(table)
    report = run(table, zorder_by=(("s", "Y", "z"), ("s", "x")))
    assert (report.bins, report.partitions) == (2, 2)
    assert run(table, zorder_by=(("s",),)).bins == 2, "sorting is done again whenever it is asked for"
    assert rows(table) == before == by_deltalake(table.path)


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        (("p",), "DELTA_ZORDERING_ON_PARTITION_COLUMN"),
        (("nope",), "DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST"),
        (("id", "x"), "DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST"),
        (("late",), "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS"),
        (("many",), "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS"),
    ],
)
def test_columns_that_cannot_be_sorted_by_are_refused(tmp_path: Path, column: tuple[str, ...], condition: str) -> None:
    schema = parse_schema("id bigint, p int, many array<int>, late int")
    properties = {"delta.dataSkippingNumIndexedCols": "3"}
    table = LakeTable.create(str(tmp_path / "t"), schema, ("p",), properties)
    with pytest.raises(SparkError, match=condition):
        run(table, zorder_by=(column,))
    if column == ("late",):
        table.append(connection(), query("SELECT 1, 2, [3], 4"), schema)
        assert run(table, zorder_by=(column,), check_stats=False).bins == 1


# ── clustering ──────────────────────────────────────────────────────────────────────────────────────────────


def clustered(path: Path, *columns: str) -> LakeTable:
    table = filled(path)
    domain = clustering.domain([(name,) for name in columns])
    table.commit(Draft(Operation("CLUSTER BY"), table.version, domains=(domain,)))
    return table


def test_a_clustered_table_is_clustered_by_its_columns_and_its_cube_is_left_alone(tmp_path: Path) -> None:
    table = clustered(tmp_path / "t", "id", "name")
    before = rows(table)
    report = run(table)
    assert (report.sorted_by, len(report.removed), len(report.added)) == ("clustering", 4, 1)
    (file,) = live(table)
    assert file.other["clusteringProvider"] == "liquid"
    assert file.other["tags"]["ZCUBE_ZORDER_BY"] == '["id","name"]'
    parameters = table.history(1)[0].info["operationParameters"]
    assert (parameters["clusterBy"], parameters["isFull"]) == ('["id","name"]', False)
    assert run(table).removed == ()
    table.append(connection(), numbers(10, 500), PAIRS)
    assert len(run(table).removed) == 2
    assert rows(table) == sorted([*before, *((i, f"row {i}") for i in range(500, 510))], key=repr)


def test_other_columns_are_a_matter_for_full(tmp_path: Path) -> None:
    table = clustered(tmp_path / "t", "id")
    run(table)
    table.commit(Draft(Operation("CLUSTER BY"), table.version, domains=(clustering.domain([("name",)]),)))
    assert run(table).removed == ()
    assert len(run(table, full=True).removed) == 1
    assert live(table)[0].other["tags"]["ZCUBE_ZORDER_BY"] == '["name"]'
    assert run(table, full=True).removed == ()


def test_what_a_clustered_table_or_another_cannot_do_is_refused(tmp_path: Path) -> None:
    table = clustered(tmp_path / "t", "id")
    with pytest.raises(SparkError, match="DELTA_CLUSTERING_WITH_ZORDER_BY"):
        run(table, zorder_by=(("id",),))
    with pytest.raises(SparkError, match="DELTA_CLUSTERING_WITH_PARTITION_PREDICATE"):
        run(table, predicate="id > 3")
    with pytest.raises(SparkError, match="DELTA_OPTIMIZE_FULL_NOT_SUPPORTED"):
        run(filled(tmp_path / "plain"), full=True)
    with pytest.raises(SparkError, match="DELTA_TABLE_NOT_FOUND"):
        run(LakeTable.at(str(tmp_path / "nothing")))


def test_no_file_is_left_that_the_log_does_not_know(tmp_path: Path) -> None:
    table = filled(tmp_path / "t")
    run(table)
    removed = {file.path for commit in table.changes(0) for file in commit.removes}
    assert {Path(path).name for path in unnamed_files(table.path)} == removed

"""Table features: what is not here is refused by name, for reading and for writing."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import UnsupportedError
from headwater.io.local import LocalStorage
from headwater.lake.actions import Commit, Metadata, Protocol
from headwater.lake.features import protocol_for
from headwater.lake.log import DeltaLog
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query

IDS = parse_schema("id bigint")
ONE = query("SELECT 1::BIGINT AS id")


def made(path: Path, protocol: Protocol, **configuration: str) -> str:
    """A table with a hand-written first commit."""
    metadata = Metadata("id", IDS.json(), (), configuration)
    DeltaLog(str(path), LocalStorage()).write(Commit(0, metadata=metadata, protocol=protocol))
    return str(path)


@pytest.mark.parametrize("feature", ["variantType", "madeUp"])
def test_an_unknown_reader_feature_is_named(tmp_path: Path, feature: str) -> None:
    path = made(tmp_path, Protocol(3, 7, (feature,), (feature,)))
    with pytest.raises(UnsupportedError, match=f"`{feature}` of table `{path}`.*Apache Spark"):
        LakeTable.open(path)


@pytest.mark.parametrize(
    ("protocol", "configuration", "named"),
    [
        (Protocol(1, 7, (), ("rowTracking",)), {}, "rowTracking"),
        (Protocol(1, 8), {}, "writer version 8"),
    ],
)
def test_a_table_that_asks_more_of_its_writers_is_read_but_not_written(
    tmp_path: Path, protocol: Protocol, configuration: dict[str, str], named: str
) -> None:
    table = LakeTable.open(made(tmp_path, protocol, **configuration))
    assert table.snapshot().files == ()
    with pytest.raises(UnsupportedError, match=named):
        table.append(connection(), ONE, IDS)


def test_an_unused_feature_of_an_old_writer_version_does_not_stand_in_the_way(tmp_path: Path) -> None:
    assert LakeTable.open(made(tmp_path, Protocol(1, 4))).append(connection(), ONE, IDS).committed


def test_column_mapping_is_the_reader_feature_with_a_version_of_its_own() -> None:
    mapped = {"delta.columnMapping.mode": "name"}
    assert protocol_for(IDS, mapped) == Protocol(2, 7, (), ("appendOnly", "columnMapping", "invariants"))
    more = protocol_for(IDS, {**mapped, "delta.enableDeletionVectors": "true"})
    assert more.reader_version == 3
    assert more.reader_features == ("columnMapping", "deletionVectors")
    assert protocol_for(IDS, {**mapped, "delta.minReaderVersion": "2", "delta.minWriterVersion": "5"}) == Protocol(2, 5)


def test_a_timestamp_without_zone_asks_for_its_feature() -> None:
    assert protocol_for(IDS) == Protocol(1, 2)
    nested = parse_schema("a array<struct<t:timestamp_ntz>>")
    assert protocol_for(nested).reader_features == ("timestampNtz",)

"""The logs' text is Spark's, byte for byte, and damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import ConcurrentWriteError, RuntimeSparkError
from headwater.io.local import LocalStorage
from headwater.streaming.logs import PINNED, CommitEntry, OffsetEntry, commit_log, offset_log, query_id

STORAGE = LocalStorage("none")
SPARK_METADATA = b'{"id":"bb58b0f8-ad06-4169-b108-5658227193b3"}'
SPARK_METADATA_CRC = bytes.fromhex("63726300000002001e0bd54c")
SPARK_COMMIT_CRC = bytes.fromhex("6372630000000200f32abfdd")
SPARK_OFFSETS_CRC = bytes.fromhex("6372630000000200f906b50633824b1bc830fdd4")
SPARK_OFFSETS = (
    'v1\n{"batchWatermarkMs":0,"batchTimestampMs":1795300828578,"conf":'
    '{"spark.sql.streaming.stateStore.providerClass":'
    '"org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",'
    '"spark.sql.dropDuplicates.deterministicKeyOrder.enabled":"true",'
    '"spark.sql.streaming.stateStore.rocksdb.mergeOperatorVersion":"2",'
    '"spark.sql.streaming.stateStore.rocksdb.formatVersion":"5",'
    '"spark.sql.streaming.queryEvolution.enableSourceEvolution":"false",'
    '"spark.sql.streaming.stateStore.encodingFormat":"unsaferow",'
    '"spark.sql.streaming.statefulOperator.useStrictDistribution":"true",'
    '"spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion":"2",'
    '"spark.sql.streaming.multipleWatermarkPolicy":"min",'
    '"spark.sql.streaming.stateStore.rowChecksum.enabled":"false",'
    '"spark.sql.streaming.statefulOperator.alwaysNullableOutput.enabled":"true",'
    '"spark.sql.streaming.aggregation.stateFormatVersion":"2",'
    '"spark.sql.function.protobufExtensions.enabled":"false",'
    '"spark.sql.shuffle.partitions":"1",'
    '"spark.sql.streaming.join.stateFormatVersion":"2",'
    '"spark.sql.streaming.stateStore.compression.codec":"lz4",'
    '"spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan":"false"}}\n{"logOffset":0}'
)
"""Written by Apache Spark 4.3.0 on a local file system, with their side files."""


def test_an_offset_entry_is_sparks_bytes_and_side_file(tmp_path: Path) -> None:
    conf = {**PINNED, "spark.sql.shuffle.partitions": "1"}
    offset_log(STORAGE, str(tmp_path)).add(0, OffsetEntry(('{"logOffset":0}',), 0, 1795300828578, conf))

    assert (tmp_path / "offsets/0").read_text() == SPARK_OFFSETS
    assert (tmp_path / "offsets/.0.crc").read_bytes() == SPARK_OFFSETS_CRC


def test_a_commit_entry_is_sparks_bytes_and_side_file(tmp_path: Path) -> None:
    commit_log(STORAGE, str(tmp_path)).add(0, CommitEntry())

    assert (tmp_path / "commits/0").read_text() == 'v1\n{"nextBatchWatermarkMs":0}'
    assert (tmp_path / "commits/.0.crc").read_bytes() == SPARK_COMMIT_CRC


def test_a_checkpoint_of_spark_is_read(tmp_path: Path) -> None:
    (tmp_path / "offsets").mkdir()
    (tmp_path / "metadata").write_bytes(SPARK_METADATA)
    (tmp_path / ".metadata.crc").write_bytes(SPARK_METADATA_CRC)
    (tmp_path / "offsets/0").write_text(SPARK_OFFSETS)
    (tmp_path / "offsets/.0.crc").write_bytes(SPARK_OFFSETS_CRC)

    entry = offset_log(STORAGE, str(tmp_path)).get(0)

    assert query_id(STORAGE, str(tmp_path)) == "bb58b0f8-ad06-4169-b108-5658227193b3"
    assert entry is not None
    assert entry.offsets == ('{"logOffset":0}',)
    assert entry.conf["spark.sql.shuffle.partitions"] == "1"


def test_what_was_added_is_read_back(tmp_path: Path) -> None:
    log = offset_log(STORAGE, str(tmp_path))
    entry = OffsetEntry((None, '{"a":"ü\\n"}'), 5, 7, {"k": "v"})

    log.add(3, entry)

    assert log.get(3) == entry
    assert log.get(4) is None
    assert log.ids() == [3]


def test_an_entry_is_never_overwritten(tmp_path: Path) -> None:
    log = commit_log(STORAGE, str(tmp_path))
    log.add(0, CommitEntry(1))

    with pytest.raises(ConcurrentWriteError, match=r"CONCURRENT_STREAM_LOG_UPDATE.*batch 0"):
        log.add(0, CommitEntry(2))
    assert log.get(0) == CommitEntry(1)


def test_only_names_of_digits_are_batches(tmp_path: Path) -> None:
    log = commit_log(STORAGE, str(tmp_path))
    log.add(0, CommitEntry())
    for name in (".1.1f.tmp", "1.tmp", "backup", "-1", ".2"):
        (tmp_path / "commits" / name).write_text("x")

    assert log.ids() == [0]


def test_a_gap_names_the_missing_file(tmp_path: Path) -> None:
    log = commit_log(STORAGE, str(tmp_path))
    for batch in (4, 5, 7):
        log.add(batch, CommitEntry())

    with pytest.raises(RuntimeSparkError, match=r"commits/6.*missing"):
        log.ids()


def test_an_entry_cut_off_anywhere_is_an_error_that_names_file_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "offsets").mkdir()
    for length in range(len(SPARK_OFFSETS)):
        (tmp_path / "offsets/0").write_text(SPARK_OFFSETS[:length])

        with pytest.raises(RuntimeSparkError, match=r"INCOMPLETE_STREAM_LOG.*offsets/0.*(delete|version)"):
            offset_log(STORAGE, str(tmp_path)).get(0)


def test_a_flipped_bit_is_found_by_the_side_file(tmp_path: Path) -> None:
    log = commit_log(STORAGE, str(tmp_path))
    log.add(0, CommitEntry(12))
    path = tmp_path / "commits/0"
    path.write_text(path.read_text().replace("12", "13"))

    with pytest.raises(RuntimeSparkError, match="checksum"):
        log.get(0)
    (tmp_path / "commits/.0.crc").unlink()
    assert log.get(0) == CommitEntry(13)


def test_logs_without_a_query_id_are_refused(tmp_path: Path) -> None:
    commit_log(STORAGE, str(tmp_path)).add(0, CommitEntry())

    with pytest.raises(RuntimeSparkError, match="STREAMING_CHECKPOINT_MISSING_METADATA_FILE"):
        query_id(STORAGE, str(tmp_path))


def test_a_query_id_is_kept(tmp_path: Path) -> None:
    first = query_id(STORAGE, str(tmp_path))

    assert query_id(STORAGE, str(tmp_path)) == first

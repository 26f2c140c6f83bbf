"""The file source: folders as streams and as batches."""

import json

import pytest

from headwater.errors import AnalysisError, ConcurrentWriteError, FileReadError, IllegalArgumentError
from headwater.sources.base import ReadLimit, sources
from support.files import SourceBench, age, put


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def line(folder, name, value):
    return put(folder / name, f'{{"v":{value}}}\n')


def bench(folder, schema="v int", **options):
    return SourceBench("json", folder.parent, schema, **options)


def test_each_file_is_read_once_oldest_first(folder):
    stream = bench(folder, maxFilesPerTrigger="1")
    for number, name in enumerate("cab"):
        age(line(folder, f"{name}.json", number), 1_700_000_000_000 + number)
    assert [stream.step() for _ in range(4)] == [[(0,)], [(1,)], [(2,)], None]
    line(folder, "d.json", 3)
    assert stream.step() == [(3,)]
    assert stream.offset == '{"logOffset":3}'


def test_the_log_is_sparks_text(folder):
    path = line(folder, "a b.json", 1)
    age(path, 1_700_000_000_123)
    stream = bench(folder)
    stream.step()
    log = (folder.parent / "checkpoint" / "sources" / "0" / "0").read_text()
    assert log == f'v1\n{{"path":"file://{folder}/a%20b.json","timestamp":1700000000123,"batchId":0}}'


def test_a_restart_reads_nothing_twice_and_the_same_offsets_again(folder):
    stream = bench(folder, maxFilesPerTrigger="1")
    for number in range(15):
        line(folder, f"{number:02d}.json", number)
        stream.step()
    end = stream.offset
    stream.open()
    assert stream.step() is None
    assert stream.rows('{"logOffset":7}', end) == stream.rows('{"logOffset":7}', end)
    assert len(stream.rows('{"logOffset":7}', end)) == 7
    line(folder, "new.json", 99)
    assert stream.step() == [(99,)]


def test_files_given_before_a_crash_come_first_after_it(folder):
    line(folder, "a.json", 1)
    stream = bench(folder, maxFilesPerTrigger="1")
    end = stream.open().latest_offset(None, ReadLimit())
    assert end == '{"logOffset":0}'
    stream.source.record(end)
    line(folder, "b.json", 2)
    stream.open()
    assert [stream.step(), stream.step()] == [[(1,)], [(2,)]]


def test_two_runs_on_one_checkpoint_do_not_both_take_a_file(folder):
    line(folder, "a.json", 1)
    first, second = bench(folder).open(), bench(folder).open()
    ends = [run.latest_offset(None, ReadLimit()) for run in (first, second)]
    first.record(ends[0])
    with pytest.raises(ConcurrentWriteError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        second.record(ends[1])


def test_max_bytes_lets_one_file_through_and_once_takes_all(folder):
    for number in range(4):
        line(folder, f"{number}.json", number)
    stream = bench(folder, maxBytesPerTrigger="1")
    assert stream.step() == [(0,)]
    assert stream.step(ReadLimit(all=True)) == [(1,), (2,), (3,)]


def test_latest_first(folder):
    for number in range(3):
        age(line(folder, f"{number}.json", number), 1_700_000_000_000 + number)
    stream = bench(folder, maxFilesPerTrigger="1", latestFirst="true")
    assert [stream.step(), stream.step()] == [[(2,)], [(1,)]]


def test_files_older_than_max_file_age_are_passed_over(folder):
    age(line(folder, "old.json", 1), 1_700_000_000_000)
    age(line(folder, "new.json", 2), 1_700_000_000_000 + 3_600_000)
    assert bench(folder, maxFileAge="30m").step() == [(2,)]


def test_file_name_only_takes_a_name_once(folder):
    line(folder, "x/a.json", 1)
    stream = bench(folder, fileNameOnly="true", recursiveFileLookup="true")
    assert stream.step() == [(1,)]
    line(folder, "y/a.json", 2)
    line(folder, "y/b.json", 3)
    assert stream.step() == [(3,)]


def test_globs_filters_and_hidden_files(folder):
    for name in ("a.json", "b.json", "_c.json", ".d.json", "a.txt"):
        line(folder, name, 1)
    assert bench(folder, path=f"{folder}/a*").step() == [(1,), (1,)]
    other = SourceBench("json", folder.parent / "x", "v int", str(folder), pathGlobFilter="*.json")
    assert other.step() == [(1,), (1,)]


def test_available_now_stops_at_what_was_there(folder):
    line(folder, "a.json", 1)
    stream = bench(folder, maxFilesPerTrigger="1")
    stream.open().prepare_available_now()
    line(folder, "b.json", 2)
    assert [stream.step(), stream.step()] == [[(1,)], None]


@pytest.mark.parametrize("clean", ["delete", "archive"])
def test_finished_files_are_cleaned(folder, clean, tmp_path):
    path = line(folder, "a.json", 1)
    stream = bench(folder, cleanSource=clean, sourceArchiveDir=str(tmp_path / "archive"))
    stream.step()
    assert not path.exists()
    archived = tmp_path / "archive" / str(path).lstrip("/")
    assert archived.exists() is (clean == "archive")
    stream.source.commit(stream.offset)


def test_a_file_that_vanishes_is_named_or_skipped_on_request(folder):
    path = line(folder, "a.json", 1)
    for missing_ok in ("false", "true"):
        stream = SourceBench("json", folder.parent / missing_ok, "v int", str(folder), ignoreMissingFiles=missing_ok)
        end = stream.open().latest_offset(None, ReadLimit())
        stream.source.record(end)
        path.unlink()
        if missing_ok == "true":
            assert stream.rows(None, end) == []
        else:
            with pytest.raises(FileReadError, match=r"FAILED_READ_FILE.FILE_NOT_EXIST.*a\.json"):
                stream.rows(None, end)
        path = line(folder, "a.json", 1)


def test_half_written_and_empty_files_lose_no_good_row(folder):
    put(folder / "a.json", '{"v":1}\n{"v":2')
    put(folder / "b.json", "")
    put(folder / "c.json", '{"v":3}\n')
    assert bench(folder).step() == [(1,), (3,), (None,)]


def test_partition_columns_come_from_folders(folder):
    line(folder, "p=1/a.json", 5)
    stream = bench(folder)
    assert stream.step() == [(5, 1)]
    line(folder, "p=2/a.json", 6)
    assert stream.step() == [(6, 2)]
    assert stream.source.schema.simpleString() == "struct<v:int,p:int>"


def test_a_stream_needs_a_schema(folder):
    with pytest.raises(IllegalArgumentError, match="Schema must be specified"):
        bench(folder, schema=None).open()


def test_a_schema_is_inferred_if_the_session_allows_it(folder):
    line(folder, "a.json", 1)
    stream = bench(folder, schema=None)
    stream.settings.set("spark.sql.streaming.schemaInference", "true")
    assert stream.open().schema.simpleString() == "struct<v:bigint>"


def test_a_missing_folder_is_an_error_at_the_start(folder):
    with pytest.raises(AnalysisError, match=r"PATH_NOT_FOUND.*nope"):
        bench(folder, path=f"{folder}/nope").open()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maxFilesPerTrigger": "0"}, "must be a positive integer"),
        ({"maxBytesPerTrigger": "1k"}, "must be a positive integer"),
        ({"maxFilesPerTrigger": "1", "maxBytesPerTrigger": "1"}, "can't be both set"),
        ({"modifiedBefore": "2020-01-01"}, "not allowed in file stream sources"),
        ({"cleanSource": "burn"}, "archive, delete, off"),
        ({"cleanSource": "archive"}, "sourceArchiveDir"),
    ],
)
def test_impossible_options_are_refused(folder, options, message):
    with pytest.raises(IllegalArgumentError, match=message):
        bench(folder, **options).open()


def test_a_batch_reads_partitions_several_types_and_schemas(folder):
    line(folder, "p=1/a.json", 5)
    line(folder, "p=2/a.json", '"x"')
    rows, schema = bench(folder, schema=None).batch()
    assert (rows, schema) == ([("5", 1), ("x", 2)], "struct<v:string,p:int>")
    assert bench(folder, path=f"{folder}/p=1", basePath=str(folder)).batch() == ([(5, 1)], "struct<v:int,p:int>")
    assert bench(folder, path=f"{folder}/p=1").batch() == ([(5,)], "struct<v:int>")


def test_a_batch_of_an_empty_folder_needs_a_schema(folder):
    assert bench(folder).batch() == ([], "struct<v:int>")
    with pytest.raises(AnalysisError, match=r"UNABLE_TO_INFER_SCHEMA.*JSON"):
        bench(folder, schema=None).batch()


def test_a_batch_of_a_file_sinks_folder_reads_only_files_in_its_log(folder):
    kept, _ = line(folder, "a.json", 1), line(folder, "orphan.json", 2)
    entry = {"path": f"file://{kept}", "size": 8, "isDir": False, "modificationTime": 1, "action": "add"}
    put(folder / "_spark_metadata" / "0", "v1\n" + json.dumps(entry))
    assert bench(folder).batch()[0] == [(1,)]


def test_ten_thousand_old_files_are_not_looked_at_again(folder, monkeypatch):
    from headwater.io import file_queue

    for number in range(300):
        line(folder, f"{number}.json", number)
    stream = bench(folder)
    stream.step()
    looked = []
    original = file_queue.os.stat
    monkeypatch.setattr(file_queue.os, "stat", lambda path, **more: looked.append(path) or original(path, **more))
    line(folder, "new.json", 1)
    assert stream.step() == [(1,)]
    assert len([path for path in looked if str(path).endswith(".json")]) <= 3


@pytest.mark.parametrize("kind", ["json", "csv", "parquet", "text"])
def test_every_format_is_a_source(kind):
    assert sources.get(kind) is not None

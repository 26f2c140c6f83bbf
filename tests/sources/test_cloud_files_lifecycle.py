"""Auto Loader: files written anew, files cleaned, what is known of each."""

import gzip
import json
import os

import pytest

from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.io.formats import FormatOptions
from headwater.sources.base import ReadLimit, SourceRequest, sources
from sources.test_cloud_files import CloudBench
from support.files import age, rows_of

DAY = 86_400_000
T0 = 1_700_000_000_000


class Stream(CloudBench):
    """A bench that writes `offsets/` and `commits/` as the engine does."""

    def run(self):
        source = self.source or self.open()
        end = source.latest_offset(self.offset, ReadLimit())
        if end is None or end == self.offset:
            return None
        source.record(end)
        number = json.loads(end)["seqNum"]
        self.note("offsets", number, f"v1\n{{}}\n{end}")
        rows = self.rows(self.offset, end)
        self.note("commits", number, "v1\n{}")
        source.commit(end)
        self.offset = end
        return rows

    def note(self, kind, number, text):
        folder = self.root / "checkpoint" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_text(text)
        age(folder / str(number), self.clock.now_ms())
        (self.root / "checkpoint" / "metadata").write_text("{}")

    def state(self):
        provider = sources.get("cloud_files_state")
        request = SourceRequest("cloud_files_state", None, FormatOptions(), (str(self.root / "checkpoint"),))
        found, schema = provider.batch(request, self.context)
        return [dict(zip(schema.names, row, strict=True)) for row in rows_of(found)]


def test_a_file_written_anew_is_read_anew_only_with_allow_overwrites(tmp_path):
    for number, allowed in enumerate(("false", "true")):
        stream = Stream(tmp_path / str(number), allowOverwrites=allowed)
        age(stream.put("a.json", '{"id":1}'), T0)
        assert stream.run() == [("1", None)]
        age(stream.put("a.json", '{"id":2}'), T0 + 1000)
        assert stream.run() == ([("2", None)] if allowed == "true" else None)
        stream.source = None
        assert stream.run() is None
        age(stream.put("sub/b.json", '{"id":3}'), T0)
        assert stream.run() == [("3", None)]
        age(stream.put("sub/b.json", '{"id":4}'), T0 + 2000)
        stream.source = None
        assert stream.run() == ([("4", None)] if allowed == "true" else None)
        assert stream.run() is None


def test_files_are_deleted_after_their_retention(tmp_path):
    stream = Stream(tmp_path, cleanSource="DELETE", **{"cleanSource.retentionDuration": "8 days"})
    path = stream.put("a.json", '{"id":1}')
    stream.run()
    stream.clock.advance(8 * DAY - 1)
    stream.put("b.json", '{"id":2}')
    stream.run()
    assert path.exists()
    stream.source = None  # a later run goes on with what is due
    stream.clock.advance(1)
    stream.put("c.json", '{"id":3}')
    stream.run()
    assert sorted(os.listdir(tmp_path / "in")) == ["b.json", "c.json"]


def test_files_are_moved_with_their_path_below_the_source_and_none_is_replaced(tmp_path):
    done = tmp_path / "done"
    options = {"cleanSource.retentionDuration": "0 seconds", "cleanSource.moveDestination": str(done)}
    stream = Stream(tmp_path, cleanSource="MOVE", **options)
    stream.put("sub/a.json", '{"id":1}')
    stream.run()
    assert (done / "sub" / "a.json").read_text() == '{"id":1}'
    stream.put("x.json", '{"id":2}')
    (done / "x.json").write_text("other")
    stream.run()
    assert (done / "x.json").read_text() == "other"
    assert (tmp_path / "in" / "x.json").exists()


def test_a_move_that_was_cut_short_between_copy_and_deletion_is_finished(tmp_path):
    done = tmp_path / "done"
    options = {"cleanSource.retentionDuration": "0 seconds", "cleanSource.moveDestination": str(done)}
    stream = Stream(tmp_path, cleanSource="MOVE", **options)
    path = stream.put("a.json", '{"id":1}')
    done.mkdir()
    (done / "a.json").write_bytes(path.read_bytes())
    stream.run()
    assert not path.exists()
    assert (done / "a.json").read_text() == '{"id":1}'


def test_what_was_not_read_is_never_cleaned(tmp_path):
    options = {"cleanSource.retentionDuration": "0 seconds", "cleanSource.moveDestination": str(tmp_path / "done")}
    stream = Stream(tmp_path, cleanSource="MOVE", includeExistingFiles="false", **options)
    old = stream.put("old.json", '{"id":0}')
    stream.open()
    stream.put("a.json", '{"id":1}')
    assert stream.run() == [("1", None)]
    changed = stream.put("b.json", '{"id":2}')
    source = stream.source
    end = source.latest_offset(stream.offset, ReadLimit())
    source.record(end)
    age(changed, T0)  # written anew between its reading and the batch's commit
    source.commit(end)
    assert sorted(os.listdir(tmp_path / "in")) == ["b.json", "old.json"]
    assert old.exists()


def test_a_file_passed_over_as_corrupt_or_missing_is_never_cleaned(tmp_path):
    options = {"cleanSource.retentionDuration": "0 seconds", "cleanSource.moveDestination": str(tmp_path / "done")}
    passing = {"ignoreCorruptFiles": "true", "ignoreMissingFiles": "true"}
    stream = Stream(tmp_path, schema="id int", cleanSource="MOVE", reader=passing, **options)
    packed = gzip.compress(b'{"id":1}' * 100)
    stream.put("cut.json.gz", packed[: len(packed) // 2])
    stream.put("good.json", '{"id":2}')
    hidden = stream.put("missing.json", '{"id":3}')
    source = stream.open()
    end = source.latest_offset(None, ReadLimit())
    source.record(end)
    text = hidden.read_text()
    modified = hidden.stat().st_mtime_ns // 1_000_000
    hidden.unlink()
    assert stream.rows(None, end) == [(2,)]
    age(stream.put("missing.json", text), modified)  # there again, after it was passed over
    source.commit(end)
    stream.offset = end
    assert sorted(os.listdir(tmp_path / "in")) == ["cut.json.gz", "missing.json"]
    stream.source, stream.options = None, {k: v for k, v in stream.options.items() if not k.startswith("ignore")}
    stream.put("later.json", '{"id":4}')
    assert stream.run() == [(4,)]
    assert sorted(os.listdir(tmp_path / "in")) == ["cut.json.gz", "missing.json"]


@pytest.mark.parametrize("glob", ["*", "*/*.json", "{a,b}*"])
def test_a_destination_that_a_glob_may_find_is_refused(tmp_path, glob):
    """A file moved there would be a new one, and its rows would come twice."""
    stream = Stream(tmp_path, cleanSource="MOVE", **{"cleanSource.moveDestination": str(tmp_path / "in" / "done")})
    stream.path = str(tmp_path / "in" / glob)
    stream.put("a/a.json", '{"id":1}')
    with pytest.raises(IllegalArgumentError, match="must not lie below"):
        stream.open()


def test_files_that_a_glob_found_keep_their_paths_where_they_are_moved(tmp_path):
    done = tmp_path / "done"
    options = {"cleanSource.retentionDuration": "0 seconds", "cleanSource.moveDestination": str(done)}
    stream = Stream(tmp_path, cleanSource="MOVE", partitionColumns="", **options)
    stream.path = str(tmp_path / "in" / "*")
    stream.put("a/x.json", '{"id":1}')
    stream.put("b/x.json", '{"id":2}')
    assert stream.run() == [("1", None), ("2", None)]
    assert sorted(str(path.relative_to(done)) for path in done.rglob("*.json")) == ["a/x.json", "b/x.json"]


def test_a_destination_below_the_source_is_refused(tmp_path):
    stream = Stream(tmp_path, cleanSource="MOVE", **{"cleanSource.moveDestination": str(tmp_path / "in" / "done")})
    stream.put("a.json", '{"id":1}')
    with pytest.raises(IllegalArgumentError, match="must not lie below"):
        stream.open()


def test_the_state_says_what_became_of_each_file(tmp_path):
    options = {"cleanSource.retentionDuration": "1 hour", "cleanSource.moveDestination": str(tmp_path / "done")}
    stream = Stream(tmp_path, cleanSource="MOVE", maxFilesPerTrigger="1", **options)
    for number in range(25):
        age(stream.put(f"{number:02}.json", f'{{"id":{number}}}'), T0 + number)
    for _ in range(24):
        stream.run()
        stream.clock.advance(600_000)
    end = stream.source.latest_offset(stream.offset, ReadLimit())
    stream.source.record(end)
    rows = stream.state()
    assert [row["path"].rpartition("/")[2] for row in rows] == [f"{number:02}.json" for number in range(25)]
    states = [row["ingestion_state"] for row in rows]
    assert states[-1] == "DISCOVERED"
    assert states[-2] == "COMMITTED"
    assert states[0] == "ARCHIVED"
    first = rows[0]
    assert (first["archive_mode"], first["move_location"]) == ("MOVE", f"file:{tmp_path}/done/00.json")
    assert first["size"] == len('{"id":0}')
    for row in rows[:-1]:
        assert row["create_time"] <= row["discovery_time"] <= row["processed_time"] <= row["commit_time"]
    assert first["archive_time"] > first["commit_time"]


def test_times_outlive_the_batches_that_are_purged(tmp_path):
    stream = Stream(tmp_path, maxFilesPerTrigger="1")
    for number in range(25):
        age(stream.put(f"{number:02}.json", f'{{"id":{number}}}'), T0 + number)
    for _ in range(25):
        stream.run()
        stream.clock.advance(1000)
        stream.source = None  # every batch by a run of its own
    before = stream.state()
    for number in range(15):
        (tmp_path / "checkpoint" / "commits" / str(number)).unlink()
        (tmp_path / "checkpoint" / "offsets" / str(number)).unlink()
    assert stream.state()[:15] == before[:15]
    assert all(row["commit_time"] for row in before)


def test_only_a_checkpoint_has_a_state(tmp_path):
    stream = Stream(tmp_path)
    with pytest.raises(AnalysisError, match="PATH_NOT_FOUND"):
        stream.state()

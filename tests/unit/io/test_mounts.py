"""Paths of programs written for a cluster, found on this machine."""

import pytest

from headwater.errors import UnsupportedError
from headwater.io.mounts import Mounts, decode_uri, encode_uri


@pytest.fixture
def mounts():
    return Mounts({"s3://raw": "/data/raw", "s3://raw/special": "/data/special", "/FileStore": "/data/store"})


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("s3://raw/events/a.json", "/data/raw/events/a.json"),
        ("s3a://raw/events/", "/data/raw/events"),
        ("s3n://raw", "/data/raw"),
        ("s3://raw/special/x", "/data/special/x"),
        ("/FileStore/x", "/data/store/x"),
        ("dbfs:/FileStore/x", "/data/store/x"),
        ("/dbfs/FileStore/x", "/data/store/x"),
        ("/FileStores/x", "/FileStores/x"),
        ("file:///FileStore/x", "/FileStore/x"),
        ("file:/tmp/a b", "/tmp/a b"),
        ("/tmp/../tmp/x/", "/tmp/x"),
        ("dbfs:/tmp/x", "/tmp/x"),
    ],
)
def test_a_path_is_found_on_this_machine(mounts, path, local):
    assert mounts.local(path) == local


def test_a_relative_path_counts_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Mounts().local("in/x") == str(tmp_path / "in" / "x")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/tmp/x", "file:/tmp/x"),
        ("s3a://raw/x", "s3://raw/x"),
        ("/FileStore/x", "dbfs:/FileStore/x"),
        ("file:///tmp/x", "file:/tmp/x"),
    ],
)
def test_a_path_is_printed_as_spark_prints_it(mounts, path, uri):
    assert mounts.uri(path) == uri
    assert mounts.local(uri) == mounts.local(path)


def test_a_store_that_is_not_spoken_to_says_how_to_mount_it(mounts):
    with pytest.raises(UnsupportedError, match=r"--mount gs://other="):
        mounts.local("gs://other/events/")


def test_mounts_are_read_from_headwater_toml_relative_to_it(tmp_path):
    (tmp_path / "headwater.toml").write_text('[mounts]\n"s3://raw" = "./raw"\n"/mnt" = "/abs"\n')
    mounts = Mounts.load(str(tmp_path / "headwater.toml"), {"/mnt": "/other"})
    assert mounts.local("s3://raw/x") == str(tmp_path / "raw" / "x")
    assert mounts.local("/mnt/x") == "/other/x"


@pytest.mark.parametrize("path", ["/a b/ü?#%[1]{x}.json", "/plain/x-1_2.json", "/a=1/b%20c"])
def test_encoding_a_path_for_a_log_can_be_undone(path):
    assert decode_uri(encode_uri(f"file:{path}")) == f"file:{path}"


def test_a_path_in_a_log_is_encoded_as_java_does():
    assert encode_uri("file:/a b/ü=1/x%.json") == "file:///a%20b/ü=1/x%25.json"
    assert encode_uri("s3://raw/a b") == "s3://raw/a%20b"


@pytest.mark.parametrize(
    ("path", "place", "uri"),
    [
        ("s3a://other/events/", "s3://other/events", "s3://other/events"),
        ("s3://other", "s3://other", "s3://other"),
        ("s3://rawest/x", "s3://rawest/x", "s3://rawest/x"),
        ("/lake/x", "s3://prod/lake/x", "dbfs:/lake/x"),
        ("dbfs:/lake/", "s3://prod/lake", "dbfs:/lake"),
        ("s3://old/a/b", "s3://prod/old/a/b", "s3://old/a/b"),
    ],
)
def test_what_is_not_mounted_lies_in_s3_and_a_mount_may_lead_there(path, place, uri):
    mounts = Mounts({"s3://raw": "/data/raw", "/lake": "s3a://prod/lake/", "s3://old": "s3://prod/old"})
    assert mounts.local(path) == place
    assert mounts.uri(path).rstrip("/") == uri
    assert mounts.local(mounts.uri(path)) == place


def test_a_row_of_the_file_may_lead_to_s3(tmp_path):
    (tmp_path / "headwater.toml").write_text('[mounts]\n"/mnt/raw" = "s3://raw/in"\n')
    assert Mounts.load(str(tmp_path / "headwater.toml")).local("/mnt/raw/x") == "s3://raw/in/x"

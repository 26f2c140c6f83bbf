"""Globs as Hadoop reads them, hidden files, and the listing options of Spark's readers."""

import os

import pytest

from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.io.formats import FormatOptions
from headwater.io.listing import ListingOptions, expand, list_files
from headwater.io.mounts import Mounts
from support.files import age, put


@pytest.fixture
def tree(tmp_path):
    for name in ("a1.json", "a2.json", "b1.csv", "_hidden", ".dot", "x._COPYING_", "sub/c.json", "_temporary/t.json"):
        put(tmp_path / name, "{}")
    put(tmp_path / "_p=1" / "d.json", "{}")
    return tmp_path


def names(tree, *paths, **options):
    found = list_files(Mounts(), [str(tree / path) for path in paths], ListingOptions.of(FormatOptions(options)))
    return [os.path.relpath(file.path, tree) for file in found.files]


def test_hidden_files_and_folders_are_passed_over_but_partitions_are_not(tree):
    assert names(tree, "") == ["_p=1/d.json", "a1.json", "a2.json", "b1.csv", "sub/c.json"]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.json", ["a1.json", "a2.json"]),
        ("a?.json", ["a1.json", "a2.json"]),
        ("a[2-9].json", ["a2.json"]),
        ("a[^2].json", ["a1.json"]),
        ("{a1.json,b1.csv}", ["a1.json", "b1.csv"]),
        ("{sub/c,a1}.json", ["a1.json", "sub/c.json"]),
        ("s*", ["sub/c.json"]),
        ("*/c.json", ["sub/c.json"]),
    ],
)
def test_globs(tree, glob, found):
    assert names(tree, glob) == found


def test_a_name_with_wildcards_that_exists_is_taken_literally(tmp_path):
    put(tmp_path / "a[1]*.json", "{}")
    put(tmp_path / "a1x.json", "{}")
    assert expand(str(tmp_path / "a[1]*.json")) == [str(tmp_path / "a[1]*.json")]


def test_path_glob_filter_looks_at_the_file_name_only(tree):
    assert names(tree, "", pathGlobFilter="*.json") == ["_p=1/d.json", "a1.json", "a2.json", "sub/c.json"]


def test_files_can_be_chosen_by_modification_time(tree):
    age(tree / "a1.json", 1_577_836_800_000)
    assert names(tree, "*.json", modifiedBefore="2020-06-01T00:00:00") == ["a1.json"]
    assert names(tree, "*.json", modifiedAfter="2020-06-01T00:00:00") == ["a2.json"]


def test_a_time_that_is_none_is_refused(tree):
    with pytest.raises(IllegalArgumentError, match="modifiedBefore"):
        names(tree, "", modifiedBefore="yesterday")


def test_a_path_that_matches_nothing_is_an_error_that_names_it(tree):
    with pytest.raises(AnalysisError, match=r"PATH_NOT_FOUND.*file:.*/nope"):
        names(tree, "nope")


def test_files_carry_the_users_own_spelling(tmp_path):
    put(tmp_path / "in" / "x.json", "{}")
    found = list_files(Mounts({"s3://raw": str(tmp_path)}), ["s3a://raw/in/*.json"])
    assert [file.uri for file in found.files] == ["s3://raw/in/x.json"]

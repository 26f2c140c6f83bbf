"""The shared parts of a server, made from its settings."""

import os

import pytest

from headwater.errors import SparkError
from headwater.sessions.runtime import Runtime


def test_mounts_come_from_settings(tmp_path):
    (tmp_path / "raw").mkdir()
    runtime = Runtime.local({"spark.headwater.mounts.s3://bucket": str(tmp_path / "raw")}, warehouse=str(tmp_path))
    assert runtime.mounts.local("s3://bucket/a.json") == str(tmp_path / "raw" / "a.json")
    runtime.close()


def test_the_warehouse_is_absolute_and_made_when_needed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runtime = Runtime.local()
    assert runtime.warehouse == str(tmp_path / "spark-warehouse")
    assert not os.path.exists(runtime.warehouse)
    runtime.close()


def test_the_named_warehouse_is_the_setting(tmp_path):
    runtime = Runtime.local({"spark.sql.warehouse.dir": "/elsewhere"}, warehouse=str(tmp_path / "w"))
    assert runtime.warehouse == runtime.static_settings["spark.sql.warehouse.dir"] == str(tmp_path / "w")
    runtime.close()


def test_an_impossible_durability_is_refused(tmp_path):
    with pytest.raises(SparkError) as caught:
        Runtime.local({"headwater.durability": "maybe"}, warehouse=str(tmp_path))
    assert "full or spark or none" in str(caught.value)

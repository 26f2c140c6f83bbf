"""Settings through `spark.conf`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException
from pyspark.sql.connect.session import SparkSession

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


def test_a_setting_is_kept_and_unset(spark: SparkSession) -> None:
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    assert spark.conf.get("spark.sql.shuffle.partitions") == "3"
    spark.conf.unset("spark.sql.shuffle.partitions")
    assert spark.conf.get("spark.sql.shuffle.partitions") == "200"


def test_an_unknown_key_needs_a_default(spark: SparkSession) -> None:
    assert spark.conf.get("my.key", "x") == "x"
    assert spark.conf.get("my.key", None) is None
    with pytest.raises(AnalysisException) as caught:
        spark.conf.get("my.key")
    assert caught.value.getCondition() == "SQL_CONF_NOT_FOUND"
    assert caught.value.getSqlState() == "42K0I"


def test_an_impossible_value_is_refused(spark: SparkSession) -> None:
    with pytest.raises(IllegalArgumentException) as caught:
        spark.conf.set("spark.sql.shuffle.partitions", "many")
    assert caught.value.getCondition() == "INVALID_CONF_VALUE.TYPE_MISMATCH"


def test_the_time_zone_has_a_default(spark: SparkSession) -> None:
    assert spark.conf.get("spark.sql.session.timeZone")


def test_settings_of_the_server_cannot_be_changed(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException) as caught:
        spark.conf.set("spark.sql.warehouse.dir", "/x")
    assert caught.value.getCondition() == "CANNOT_MODIFY_STATIC_CONFIG"
    assert not spark.conf.isModifiable("spark.sql.warehouse.dir")
    assert spark.conf.isModifiable("spark.sql.ansi.enabled")


def test_a_builder_only_warns_about_them(spark: SparkSession) -> None:
    with pytest.warns(UserWarning, match="CANNOT_MODIFY_STATIC_CONFIG"):
        spark.conf._set_all({"spark.sql.warehouse.dir": "/x"}, silent=True)


def test_all_settings_can_be_listed(spark: SparkSession) -> None:
    everything = spark.conf.getAll
    assert everything["spark.sql.ansi.enabled"] == "true"

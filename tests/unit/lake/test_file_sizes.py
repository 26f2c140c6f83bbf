"""What options, settings and properties say about the size of files."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from headwater.errors import SparkError
from headwater.lake.file_sizes import Limits, Sizes, of_optimize, of_write, size_bytes

MAX_RECORDS = "spark.sql.files.maxRecordsPerFile"
ENABLED = "spark.databricks.delta.optimizeWrite.enabled"
NOTHING = dict[str, str]().get
BIN = "spark.databricks.delta.optimizeWrite.binSize"


@pytest.mark.parametrize(
    ("options", "settings", "properties", "sizes"),
    [
        ({}, {}, {}, Sizes()),
        ({"maxrecordsperfile": "30"}, {MAX_RECORDS: "7"}, {}, Sizes(30)),
        ({}, {MAX_RECORDS: "7"}, {}, Sizes(7)),
        ({"maxrecordsperfile": "0"}, {}, {}, Sizes()),
        ({"optimizewrite": "true"}, {}, {}, Sizes(None, 512 << 20)),
        ({"optimizewrite": "false"}, {ENABLED: "true"}, {"delta.autoOptimize.optimizeWrite": "true"}, Sizes()),
        ({}, {ENABLED: "true", BIN: "64mb"}, {}, Sizes(None, 64 << 20)),
        ({}, {ENABLED: "false"}, {"delta.autoOptimize.optimizeWrite": "true"}, Sizes()),
        ({}, {}, {"delta.autoOptimize.optimizeWrite": "true"}, Sizes(None, 512 << 20)),
        ({}, {}, {"delta.targetFileSize": "100mb"}, Sizes(None, 100 << 20)),
    ],
)
def test_the_writer_comes_before_the_session_and_the_session_before_the_table(
    options: Mapping[str, str], settings: Mapping[str, str], properties: Mapping[str, str], sizes: Sizes
) -> None:
    assert of_write(options, settings.get, properties) == sizes


def test_optimize_goes_by_its_settings_then_by_the_tables_target() -> None:
    large = {"spark.databricks.delta.optimize.maxFileSize": "4096"}
    assert of_optimize(NOTHING, {}) == Limits(1 << 30, 1 << 30)
    assert of_optimize(large.get, {}) == Limits(1 << 30, 4096)
    assert of_optimize(large.get, {"delta.targetFileSize": "1m"}) == Limits(1 << 20, 4096)


@pytest.mark.parametrize(
    ("options", "properties"),
    [
        ({"maxrecordsperfile": "x"}, {}),
        ({"optimizewrite": "yes"}, {}),
        ({}, {"delta.targetFileSize": "-1"}),
        ({}, {"delta.autoOptimize.optimizeWrite": "maybe"}),
    ],
)
def test_what_cannot_be_read_is_refused(options: Mapping[str, str], properties: Mapping[str, str]) -> None:
    with pytest.raises(SparkError, match="DELTA_ILLEGAL_OPTION"):
        of_write(options, NOTHING, properties)


def test_sizes_have_units() -> None:
    sizes = [size_bytes("key", text) for text in ("12", "12b", "3k", "3 KB", "2g", "1t")]
    assert sizes == [12, 12, 3072, 3072, 2 << 30, 1 << 40]

"""Settings: every key of Spark's streams is known, checked as Spark checks it, and kept."""

from __future__ import annotations

import pytest

from headwater.errors import IllegalArgumentError
from headwater.settings import SETTINGS, Settings

PREFIX = "spark.sql.streaming."


@pytest.mark.parametrize("key", sorted(key for key in SETTINGS if key.startswith(PREFIX)))
def test_a_default_is_a_value_that_can_be_set(key: str) -> None:
    row = SETTINGS[key]
    assert row.help.endswith(".")
    if row.default is not None:
        settings = Settings()
        settings.set(key, row.default)
        assert settings[key] == row.default


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("minBatchesToRetain", "bogus", "It should be a/an 'int' value."),
        ("minBatchesToRetain", "0", "minBatchesToRetain must be positive"),
        ("multipleWatermarkPolicy", "middle", "Valid values are 'min' and 'max'"),
        ("noDataMicroBatches.enabled", "maybe", "It should be a/an 'boolean' value."),
        ("pollingDelay", "soon", "It should be a/an 'time in MILLISECONDS' value."),
        ("stateStore.maintenanceShutdownTimeout", "x", "It should be a/an 'time in SECONDS' value."),
        ("aggregation.stateFormatVersion", "3", "Valid versions are 1 and 2"),
        ("stateStore.encodingFormat", "json", "Valid values are 'unsaferow' and 'avro'"),
        ("ratioExtraSpaceAllowedInCheckpoint", "much", "It should be a/an 'double' value."),
        ("stateStore.rowChecksum.readVerificationRatio", "-5", "Must be greater than or equal to 0"),
    ],
)
def test_what_spark_refuses_is_refused_in_its_words(key: str, value: str, text: str) -> None:
    with pytest.raises(IllegalArgumentError) as caught:
        Settings().set(PREFIX + key, value)
    assert text in str(caught.value)
    assert PREFIX + key in str(caught.value)


def test_choices_are_read_without_case_and_unknown_keys_are_kept() -> None:
    settings = Settings()
    settings.set(f"{PREFIX}multipleWatermarkPolicy", "MAX")
    settings.set(f"{PREFIX}stateStore.rocksdb.changelogCheckpointing.enabled", "true")
    assert settings[f"{PREFIX}multipleWatermarkPolicy"] == "MAX"
    assert settings[f"{PREFIX}stateStore.rocksdb.changelogCheckpointing.enabled"] == "true"


def test_all_keys_that_spark_has_are_here() -> None:
    assert sum(key.startswith(PREFIX) for key in SETTINGS) == 104

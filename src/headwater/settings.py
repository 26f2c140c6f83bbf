"""Settings: a row each (key, type, default, help), and a session's view of them.

`spark.*` keys mean what they mean in Spark; `headwater.*` keys are ours. Unknown `spark.*` keys are kept and
returned as they were set, without effect, as a real cluster does with keys of absent components.

Invariants: a value is checked when it is set; `get` of a known key never fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal
from zoneinfo import ZoneInfo

from headwater.errors import IllegalArgumentError

Kind = Literal["text", "flag", "int", "long", "float", "duration_ms", "duration_s", "bytes", "zone"]


@dataclass(frozen=True)
class Setting:
    """One row.

    Attributes:
        default: text, or None for a setting that is absent until it is set.
        requirement: what Spark says of a value that is not among `choices` or between `least` and `most`.
    """

    key: str
    kind: Kind
    default: str | None
    help: str
    requirement: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


def _rows() -> tuple[Setting, ...]:
    return (
        Setting("spark.app.name", "text", "headwater", "Name of the application, shown in listings."),
        Setting(
            "spark.master", "text", "local[*]", "Accepted for scripts that set it; Headwater runs in this process."
        ),
        Setting("spark.sql.ansi.enabled", "flag", "true", "ANSI errors for overflow, bad casts and division by zero."),
        Setting("spark.sql.caseSensitive", "flag", "false", "Whether column names differ by case."),
        Setting("spark.sql.mapKeyDedupPolicy", "text", "EXCEPTION", "Repeated keys of a map: EXCEPTION or LAST_WIN."),
        Setting("spark.sql.session.timeZone", "zone", None, "IANA time zone of timestamps; default: the machine's."),
        Setting("spark.sql.warehouse.dir", "text", "spark-warehouse", "Folder of managed tables."),
        Setting(
            "spark.sql.sources.default", "text", "delta", "Format of tables and of `load`/`save` without `format`."
        ),
        Setting("spark.sql.shuffle.partitions", "int", "200", "Accepted and pinned in checkpoints; no effect."),
        Setting(
            "spark.sql.streaming.checkpointLocation", "text", None, "Folder for checkpoints of queries without one."
        ),
        Setting("spark.sql.streaming.schemaInference", "flag", "false", "Let file streams infer their schema."),
        Setting(
            "spark.sql.streaming.minBatchesToRetain",
            "int",
            "100",
            "Log entries and state versions kept.",
            "minBatchesToRetain must be positive",
            least=1,
        ),
        Setting("spark.sql.streaming.pollingDelay", "duration_ms", "10ms", "Pause between looks for new data."),
        Setting("spark.sql.streaming.numRecentProgressUpdates", "int", "100", "Progress reports kept per query."),
        Setting("spark.sql.streaming.noDataProgressEventInterval", "duration_ms", "10s", "Pause between idle reports."),
        Setting("spark.sql.streaming.stopTimeout", "duration_ms", "0", "How long `stop()` waits; 0 waits for ever."),
        Setting(
            "spark.sql.streaming.stateStore.stateSchemaCheck",
            "flag",
            "true",
            "Refuse a query whose kept keys or values have other types than those in its checkpoint.",
        ),
        Setting(
            "spark.sql.streaming.noDataMicroBatches.enabled",
            "flag",
            "true",
            "Run a batch when only the watermark moved.",
        ),
        Setting(
            "spark.sql.streaming.multipleWatermarkPolicy",
            "text",
            "min",
            "Watermark of several: min or max.",
            "Invalid value for 'spark.sql.streaming.multipleWatermarkPolicy'. Valid values are 'min' and 'max'",
            choices=("min", "max"),
        ),
        Setting(
            "spark.sql.streaming.forceDeleteTempCheckpointLocation",
            "flag",
            "false",
            "Delete a temporary checkpoint even if its query failed.",
        ),
        Setting(
            "spark.sql.streaming.realTimeMode.allowlistCheck",
            "flag",
            "true",
            "Refuse operators and sinks that Spark's real-time mode lacks.",
        ),
        Setting(
            "spark.sql.streaming.realTimeMode.minBatchDuration",
            "duration_ms",
            "5000ms",
            "Least duration of a batch of a real-time trigger.",
        ),
        Setting(
            "spark.sql.streaming.streamingQueryListeners",
            "text",
            None,
            "Classes of listeners that each session gets: dotted names of Python classes, separated by commas.",
        ),
        Setting(
            "spark.sql.streaming.unsupportedOperationCheck",
            "flag",
            "true",
            "Refuse at its start a query that Spark would refuse.",
        ),
        Setting(
            "spark.sql.streaming.statefulOperator.checkCorrectness.enabled",
            "flag",
            "true",
            "Refuse stateful operators above one that may emit late rows.",
        ),
        Setting(
            "spark.sql.streaming.stopActiveRunOnRestart",
            "flag",
            "true",
            "Starting a running query stops its first run.",
        ),
        Setting(
            "headwater.durability",
            "text",
            "full",
            "full: fsync files and folders; spark: rename only; none: for tests.",
        ),
        Setting(
            "headwater.query.restart.maxAttempts",
            "int",
            "0",
            "How often a query starts itself again after failures that pass, without a batch ended between them.",
        ),
        Setting(
            "headwater.query.restart.backoff",
            "duration_ms",
            "1s",
            "The pause before it does; doubled each time, give or take a fifth.",
        ),
        Setting("headwater.query.restart.maxBackoff", "duration_ms", "1m", "The longest such pause."),
    )


def _client_rows() -> tuple[Setting, ...]:
    """What the PySpark client asks the server before it converts data; the defaults are Spark's."""
    return (
        Setting("spark.sql.timestampType", "text", "TIMESTAMP_LTZ", "What `timestamp` means without a suffix."),
        Setting("spark.sql.execution.arrow.pyspark.enabled", "flag", "true", "Accepted; rows always travel as Arrow."),
        Setting("spark.sql.execution.arrow.pyspark.fallback.enabled", "flag", "true", "Accepted; no effect."),
        Setting("spark.sql.execution.arrow.pyspark.selfDestruct.enabled", "flag", "false", "toPandas frees early."),
        Setting("spark.sql.execution.arrow.maxRecordsPerBatch", "int", "10000", "Accepted; no effect."),
        Setting("spark.sql.execution.arrow.useLargeVarTypes", "flag", "false", "Client sends large Arrow strings."),
        Setting("spark.sql.execution.pandas.convertToArrowArraySafely", "flag", "false", "Client refuses lossy casts."),
        Setting("spark.sql.execution.pandas.inferPandasDictAsMap", "flag", "false", "Client infers dicts as maps."),
        Setting("spark.sql.execution.pandas.structHandlingMode", "text", "legacy", "toPandas: legacy, row or dict."),
        Setting("spark.sql.execution.pyspark.binaryAsBytes", "flag", "true", "Binary values are bytes."),
        Setting("spark.sql.execution.pythonUDF.arrow.enabled", "flag", "false", "Python functions in Arrow batches."),
        Setting("spark.sql.execution.pythonUDTF.arrow.enabled", "flag", "false", "Table functions in Arrow batches."),
        Setting("spark.sql.pyspark.inferNestedDictAsStruct.enabled", "flag", "false", "Client: dicts are structs."),
        Setting("spark.sql.pyspark.legacy.inferArrayTypeFromFirstElement.enabled", "flag", "false", "As the key says."),
        Setting("spark.sql.pyspark.legacy.inferMapTypeFromFirstPair.enabled", "flag", "false", "As the key says."),
        Setting("spark.sql.pyspark.jvmStacktrace.enabled", "flag", "false", "Errors show the server's stack."),
        Setting("spark.sql.connect.serverStacktrace.enabled", "flag", "false", "Errors show the server's stack."),
        Setting("spark.sql.pyspark.plotting.max_rows", "int", "1000", "Rows drawn by `df.plot`."),
        Setting("spark.sql.repl.eagerEval.enabled", "flag", "false", "Notebooks show a DataFrame's rows."),
        Setting("spark.sql.repl.eagerEval.maxNumRows", "int", "20", "Rows shown then."),
        Setting("spark.sql.repl.eagerEval.truncate", "int", "20", "Characters of a cell shown then."),
        Setting("spark.sql.session.localRelationCacheThreshold", "int", "67108864", "Bytes sent apart from the plan."),
        Setting("spark.sql.session.localRelationSizeLimit", "int", "3221225472", "Most bytes of createDataFrame."),
        Setting("spark.sql.session.localRelationChunkSizeRows", "int", "1000000", "Rows of a piece sent apart."),
        Setting("spark.sql.session.localRelationChunkSizeBytes", "int", "16777216", "Bytes of such a piece."),
        Setting("spark.sql.session.localRelationBatchOfChunksSizeBytes", "int", "1073741824", "Bytes sent at once."),
        Setting("spark.connect.session.planCompression.threshold", "int", "-1", "Plans are not compressed."),
        Setting("spark.connect.session.planCompression.defaultAlgorithm", "text", "NONE", "NONE or ZSTD."),
        Setting(
            "spark.sql.connect.streaming.foreachBatch.useClonedSession",
            "flag",
            "true",
            "foreachBatch works on a clone of the session that started the query.",
        ),
    )


def _accepted_rows() -> tuple[Setting, ...]:
    """Spark's settings of streams that are checked and kept, without effect here."""
    text = resources.files("headwater").joinpath("accepted_settings.json").read_text("utf-8")
    return tuple(Setting(**{**row, "choices": tuple(row.get("choices", ()))}) for row in json.loads(text))


SETTINGS: Mapping[str, Setting] = {row.key: row for row in (*_accepted_rows(), *_rows(), *_client_rows())}


class Settings(Mapping[str, str]):
    """One session's settings; reading a key that was never set gives the row's default."""

    def __init__(self, values: Mapping[str, str] | None = None, static: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        self._static = dict(static or {})

    def __getitem__(self, key: str) -> str:
        value = self.lookup(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        known = {key for key, row in SETTINGS.items() if row.default is not None}
        return iter(sorted(known | set(self._static) | set(self._values)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def lookup(self, key: str) -> str | None:
        """The value set for `key`, else the server's, else the default, else None."""
        if key in self._values:
            return self._values[key]
        if key in self._static:
            return self._static[key]
        row = SETTINGS.get(key)
        return row.default if row else None

    def set(self, key: str, value: str) -> None:
        """Set `key`. Raises IllegalArgumentError if a known key cannot have this value."""
        row = SETTINGS.get(key)
        if row is not None:
            _check(row, value)
        self._values[key] = value

    def unset(self, key: str) -> None:
        """Back to the default."""
        self._values.pop(key, None)

    def flag(self, key: str) -> bool:
        """A true/false setting."""
        return (self.lookup(key) or "false").lower() == "true"

    def number(self, key: str) -> int:
        """An integer setting."""
        return int(self[key])

    def duration_ms(self, key: str) -> int:
        """A duration setting in milliseconds (`500`, `10ms`, `2s`, `5m`, `1h`, `1d`)."""
        return parse_duration_ms(self[key])

    def copy(self) -> Settings:
        """An independent copy with the same values."""
        return Settings(self._values, self._static)


_UNITS = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration_ms(text: str) -> int:
    """Milliseconds of Spark's duration text; a bare number is milliseconds. Raises ValueError."""
    text = text.strip().lower()
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip() or "ms"
    if unit not in _UNITS:
        msg = f"`{text}` is not a duration: use a number and us, ms, s, m, h or d"
        raise ValueError(msg)
    return int(int(digits) * _UNITS[unit])


_SPARK_KINDS: Mapping[Kind, str] = {
    "flag": "boolean",
    "int": "int",
    "long": "long",
    "float": "double",
    "duration_ms": "time in MILLISECONDS",
    "duration_s": "time in SECONDS",
}


def _check(row: Setting, value: str) -> None:
    if row.kind == "zone" and not is_time_zone(value):
        raise IllegalArgumentError("INVALID_CONF_VALUE.TIME_ZONE", confName=row.key, confValue=value)
    try:
        if row.kind == "flag" and value.lower() not in {"true", "false"}:
            raise ValueError(value)
        if row.kind in ("int", "long"):
            int(value)
        if row.kind == "float":
            float(value)
        if row.kind in ("duration_ms", "duration_s"):
            parse_duration_ms(value)
    except ValueError as cause:
        raise IllegalArgumentError(
            "INVALID_CONF_VALUE.TYPE_MISMATCH", confName=row.key, confValue=value, confType=_SPARK_KINDS[row.kind]
        ) from cause
    if row.requirement and not _meets(row, value):
        raise IllegalArgumentError(
            "INVALID_CONF_VALUE.REQUIREMENT", confName=row.key, confValue=value, confRequirement=row.requirement
        )


def _meets(row: Setting, value: str) -> bool:
    if row.choices:
        return value.lower() in row.choices
    number = float(value)
    return (row.least is None or number >= row.least) and (row.most is None or number <= row.most)


def is_time_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone of this machine."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True

"""Dead letters, through the genuine client: what cannot be taken is a letter, everything else arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyspark.errors import AnalysisException, IllegalArgumentException, StreamingQueryException
from pyspark.sql import functions as F

from support.server import spark_session

SCHEMA = "id BIGINT, k STRING"
BAD = "MALFORMED_RECORD_IN_PARSING"
LINES = ['{"id":1,"k":"5"}', "nonsense", '{"id":2,"k":"x"}', '{"id":"q","k":"7"}', '{"id":3,"k":"0"}']


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session() as session:
        yield session


@dataclass
class Pipe:
    """Files of a folder into a Delta table and a table of letters."""

    spark: Any
    folder: Path
    format: str = "json"
    options: dict[str, str] = field(default_factory=dict)
    letters_to: dict[str, str] = field(default_factory=dict)
    schema: str | None = SCHEMA

    def put(self, *lines: str, name: str = "a") -> Pipe:
        (self.folder / "in").mkdir(exist_ok=True)
        (self.folder / "in" / name).write_text("".join(f"{line}\n" for line in lines))
        return self

    @property
    def source(self) -> Any:
        reader = self.spark.readStream.format(self.format).options(**self.options)
        return (reader.schema(self.schema) if self.schema else reader).load(str(self.folder / "in"))

    def writer(self, rows: Any) -> Any:
        letters = self.letters_to or {"deadLetterPath": str(self.folder / "letters")}
        writer = rows.writeStream.option("checkpointLocation", str(self.folder / "checkpoint")).options(**letters)
        return writer.trigger(availableNow=True)

    def run(self, rows: Any = None) -> Any:
        query = self.writer(self.source if rows is None else rows).format("delta").start(str(self.folder / "out"))
        query.awaitTermination()
        return query

    def out(self) -> list[tuple[Any, ...]]:
        return sorted(
            (tuple(row) for row in self.spark.read.format("delta").load(str(self.folder / "out")).collect()), key=repr
        )

    def letters(self, *columns: str) -> list[tuple[Any, ...]]:
        table = self.spark.read.format("delta").load(str(self.folder / "letters"))
        return sorted((tuple(row) for row in table.select(*columns).collect()), key=repr)


@pytest.fixture
def pipe(spark: Any, tmp_path: Path) -> Pipe:
    return Pipe(spark, tmp_path)


def test_a_letter_says_what_why_and_where_from(pipe: Pipe) -> None:
    pipe.put(*LINES)
    query = pipe.run(pipe.source.withColumn("v", F.lit(10) / F.col("k").cast("int")))
    assert pipe.out() == [(1, "5", 2.0)]
    assert pipe.letters("row", "error_class", "record") == [
        (1, BAD, LINES[1]),
        (2, "CAST_INVALID_INPUT", LINES[2]),
        (3, BAD, LINES[3]),
        (4, "DIVIDE_BY_ZERO", LINES[4]),
    ]
    file = f"file:{pipe.folder}/in/a"
    assert set(pipe.letters("query_id", "batch_id", "source", "file", "format", "header")) == {
        (query.id, 0, 0, file, "json", None)
    }
    (cast,) = [reason for kind, reason in pipe.letters("error_class", "reason") if kind == "CAST_INVALID_INPUT"]
    assert cast.startswith('The value \'x\' of the type "STRING" cannot be cast to "INT"')
    assert all(moment is not None for (moment,) in pipe.letters("failed_at"))
    progress = query.lastProgress
    assert progress["sink"]["metrics"] == {"numDeadLetters": "4"}
    assert progress["numInputRows"] == 5


def test_a_clean_stream_has_an_empty_table_of_letters(pipe: Pipe) -> None:
    query = pipe.put(LINES[0]).run()
    assert pipe.out() == [(1, "5")]
    assert pipe.letters("record") == []
    assert query.lastProgress["sink"]["metrics"] == {"numDeadLetters": "0"}


def test_later_batches_go_on(pipe: Pipe) -> None:
    pipe.put("broken").run()
    pipe.put(LINES[0], name="b").run()
    pipe.put("broken again", LINES[2], name="c").run()
    assert pipe.out() == [(1, "5"), (2, "x")]
    assert pipe.letters("batch_id", "row", "record") == [(0, 0, "broken"), (2, 0, "broken again")]


def test_constraints_of_the_table(pipe: Pipe) -> None:
    table = f"delta.`{pipe.folder}/out`"
    pipe.spark.sql(f"CREATE TABLE {table} (id BIGINT NOT NULL, k STRING) USING delta")
    pipe.spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT nought CHECK (k <> '0')")
    pipe.put('{"id":1,"k":"5"}', '{"k":"5"}', '{"id":3,"k":"0"}').run()
    assert pipe.out() == [(1, "5")]
    assert pipe.letters("row", "error_class") == [
        (1, "DELTA_NOT_NULL_CONSTRAINT_VIOLATED"),
        (2, "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"),
    ]


def test_a_plan_with_state(pipe: Pipe) -> None:
    counts = pipe.source.withColumn("v", F.col("k").cast("int")).groupBy("v").count()
    name = f"counts_{pipe.folder.name}"
    for number in range(2):
        pipe.put(*LINES, name=f"{number}")
        query = pipe.writer(counts).format("memory").queryName(name).outputMode("complete").start()
        query.awaitTermination()
    assert sorted(tuple(row) for row in pipe.spark.table(name).collect()) == [(0, 2), (5, 2)]
    assert [kind for (kind,) in pipe.letters("error_class")] == ["CAST_INVALID_INPUT"] * 2 + [BAD] * 4
    assert query.lastProgress["stateOperators"][0]["numRowsTotal"] == 2


def test_below_a_watermark_and_a_join_of_streams(pipe: Pipe) -> None:
    pipe.put('{"id":1,"k":"2026-01-01 00:00:00"}', '{"id":2,"k":"soon"}', "?", '{"id":3,"k":"2026-01-01 00:00:01"}')
    timed = pipe.source.withColumn("t", F.col("k").cast("timestamp")).withWatermark("t", "1 minute")
    left, right = timed.alias("a"), timed.select(F.col("id").alias("other"), "t").alias("b")
    joined = left.join(right, F.expr("a.id = b.other AND a.t = b.t")).select("a.id")
    pipe.run(joined)
    assert pipe.out() == [(1,), (3,)]
    assert pipe.letters("source", "row", "error_class") == [
        (0, 1, "CAST_INVALID_INPUT"),
        (0, 2, BAD),
        (1, 1, "CAST_INVALID_INPUT"),
        (1, 2, BAD),
    ]


def test_a_union_of_streams(pipe: Pipe) -> None:
    pipe.put(*LINES)
    both = pipe.source.select(F.col("k").cast("int").alias("v")).union(pipe.source.select(F.col("id").cast("int")))
    pipe.run(both)
    assert pipe.out() == [(0,), (1,), (2,), (3,), (5,)]
    assert pipe.letters("source", "row", "error_class")[1:3] == [(0, 2, "CAST_INVALID_INPUT"), (0, 3, BAD)]


def test_foreach_batch_gets_the_other_rows(pipe: Pipe) -> None:
    pipe.put(*LINES)
    rows = pipe.source.select(F.col("k").cast("int").alias("v"))
    out = str(pipe.folder / "out")

    def save(batch: Any, _id: int) -> None:
        batch.write.format("delta").mode("append").save(out)

    pipe.writer(rows).foreachBatch(save).start().awaitTermination()
    assert pipe.out() == [(0,), (5,)]
    assert len(pipe.letters("row")) == 3


def test_what_the_function_of_foreach_batch_raises_is_no_rows_fault(pipe: Pipe) -> None:
    def fail(_df: Any, _id: int) -> None:
        msg = "no"
        raise ValueError(msg)

    pipe.put(LINES[0])
    with pytest.raises(StreamingQueryException, match="FOREACH_BATCH_USER_FUNCTION_ERROR"):
        pipe.writer(pipe.source).foreachBatch(fail).start().awaitTermination()
    assert pipe.letters("row") == []


def test_a_table_by_name_is_shared(pipe: Pipe) -> None:
    name = f"letters_{pipe.folder.name}"
    pipe.letters_to = {"deadLetterTable": name}
    pipe.put(*LINES).run()
    other = Pipe(pipe.spark, pipe.folder / "other", letters_to=pipe.letters_to)
    other.folder.mkdir()
    other.put("odd").run()
    assert sorted(row.record for row in pipe.spark.table(name).collect()) == sorted([LINES[1], LINES[3], "odd"])


# ── formats ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_csv_keeps_the_line_and_its_header(pipe: Pipe) -> None:
    pipe.format, pipe.options = "csv", {"header": "true"}
    pipe.put("id,k", '1,"a,b"', "x,y", "2,c,surplus", "3").run(pipe.source.where("k IS NULL OR k <> 'q'"))
    assert pipe.out() == [(1, "a,b")]
    assert pipe.letters("record", "format", "header") == [
        ("2,c,surplus", "csv", "id,k"),
        ("3", "csv", "id,k"),
        ("x,y", "csv", "id,k"),
    ]


def test_xml_keeps_the_element(pipe: Pipe) -> None:
    pipe.format, pipe.options = "xml", {"rowTag": "r"}
    pipe.put("<rs>", "<r><id>1</id><k>a</k></r>", "<r><id>q</id><k>b</k></r>", "</rs>").run()
    assert pipe.out() == [(1, "a")]
    assert pipe.letters("record", "format") == [("<r><id>q</id><k>b</k></r>", "xml")]


def test_a_source_without_text_keeps_its_rows_as_json(pipe: Pipe) -> None:
    pipe.spark.sql("SELECT 1L AS id, '7' AS k, X'00ff' AS b UNION ALL SELECT 2L, 'x', NULL").write.format("delta").save(
        str(pipe.folder / "in")
    )
    pipe.format, pipe.schema = "delta", None
    pipe.run(pipe.source.select(F.col("k").cast("int").alias("v")))
    assert pipe.out() == [(7,)]
    assert pipe.letters("record", "format", "file") == [('{"id":2,"k":"x"}', "json", None)]


def test_rows_with_kafkas_columns_tell_their_place(pipe: Pipe) -> None:
    pipe.schema = "topic STRING, partition INT, offset BIGINT, value STRING"
    pipe.put('{"topic":"t","partition":3,"offset":41,"value":"x"}').run(pipe.source.select(F.col("value").cast("int")))
    assert pipe.letters("topic", "partition", "offset") == [("t", 3, 41)]


def test_rescued_data_stays_in_the_table(pipe: Pipe) -> None:
    """Auto Loader's rescued-data column takes what does not fit; what is no record at all is a letter."""
    pipe.format, pipe.options = "cloudFiles", {"cloudFiles.format": "json", "rescuedDataColumn": "_rescued_data"}
    pipe.put(*LINES).run(pipe.source.select("id", F.get_json_object("_rescued_data", "$.id").alias("lost")))
    assert pipe.out() == [(1, None), (2, None), (3, None), (None, "q")]
    assert pipe.letters("record", "error_class") == [("nonsense", BAD)]


def test_headers_of_their_own_with_rescued_data(pipe: Pipe) -> None:
    pipe.format = "cloudFiles"
    pipe.options = {"cloudFiles.format": "csv", "header": "true", "rescuedDataColumn": "_rescued_data"}
    pipe.put("id,k", "1,x", name="a").put("k,id", "y,2", name="b").run(pipe.source.select(F.col("k").cast("int")))
    assert pipe.letters("record", "header") == [("1,x", "id,k"), ("y,2", "k,id")]


@pytest.mark.parametrize("mode", ["DROPMALFORMED", "PERMISSIVE"])
def test_who_has_said_what_happens_to_bad_records_is_obeyed(pipe: Pipe, mode: str) -> None:
    pipe.options = {"mode": mode}
    pipe.schema = SCHEMA + (", _corrupt_record STRING" if mode == "PERMISSIVE" else "")
    pipe.put(*LINES[:2]).run(pipe.source.drop("id"))
    kept = [("5",)] if mode == "DROPMALFORMED" else [("5", None), (None, "nonsense")]
    assert pipe.out() == kept
    assert pipe.letters("record") == []


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_limit(pipe: Pipe) -> None:
    pipe.letters_to = {"deadLetterPath": str(pipe.folder / "letters"), "deadLetterMaxRowsPerBatch": "2"}
    rows = pipe.source.select(F.col("k").cast("int"))
    pipe.put(*LINES)
    with pytest.raises(StreamingQueryException, match="DEAD_LETTER_LIMIT_EXCEEDED"):
        pipe.run(rows)
    assert list((pipe.folder / "out").rglob("*.*")) == []
    pipe.letters_to["deadLetterMaxRowsPerBatch"] = "3"
    pipe.run(rows)
    assert pipe.out() == [(0,), (5,)]
    assert len(pipe.letters("row")) == 3


def test_places_that_are_refused(pipe: Pipe) -> None:
    pipe.put(LINES[0])
    pipe.spark.range(1).write.format("delta").save(str(pipe.folder / "letters"))
    with pytest.raises(IllegalArgumentException, match="it has no column `query_id`"):
        pipe.run()
    pipe.letters_to = {"deadLetterPath": "a", "deadLetterTable": "b"}
    with pytest.raises(IllegalArgumentException, match="not both"):
        pipe.run()
    pipe.letters_to = {"deadLetterPath": "a", "deadLetterMaxRowsPerBatch": "-1"}
    with pytest.raises(IllegalArgumentException, match="it counts rows"):
        pipe.run()


def test_asynchronous_progress_is_refused(pipe: Pipe) -> None:
    writer = pipe.put(LINES[0]).source.writeStream.format("noop").option("asyncProgressTrackingEnabled", "true")
    writer = writer.option("checkpointLocation", f"{pipe.folder}/c").option("deadLetterPath", f"{pipe.folder}/letters")
    with pytest.raises((AnalysisException, Exception), match="deadLetterPath with asyncProgressTrackingEnabled"):
        writer.start()


# ── law ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_array(line: str) -> bool:
    """Whether a line is one row for each of its elements."""
    try:
        return isinstance(json.loads(line), list)
    except ValueError:
        return False


_line = st.one_of(
    st.builds(
        lambda i, k: json.dumps({"id": i, "k": k}), st.integers(-9, 9), st.sampled_from(["1", "0", "x", "", "-3"])
    ),
    st.builds(lambda i: json.dumps({"id": i}), st.one_of(st.text("ab1", max_size=3), st.none(), st.booleans())),
    st.text('{}[]":,ab1 ', min_size=1, max_size=8).filter(lambda line: bool(line.strip()) and not _is_array(line)),
)


@example(files=[[LINES[1]], [], LINES])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.lists(_line, max_size=6), min_size=1, max_size=3))
def test_rows_in_are_rows_in_the_table_and_letters(spark: Any, tmp_path_factory: Any, files: list[list[str]]) -> None:
    pipe = Pipe(spark, tmp_path_factory.mktemp("law"), options={"maxFilesPerTrigger": "1"})
    for number, lines in enumerate(files):
        pipe.put(*lines, name=str(number))
    counted = spark.read.schema(SCHEMA).json(str(pipe.folder / "in")).count()
    pipe.run(
        pipe.source.select("id", (F.lit(6) / F.col("k").cast("int")).alias("v"), F.col("k").cast("int").alias("n"))
    )
    out = pipe.out() if (pipe.folder / "out" / "_delta_log").exists() else []
    letters = pipe.letters("batch_id", "row")
    assert len(out) + len(letters) == counted
    assert len(set(letters)) == len(letters)

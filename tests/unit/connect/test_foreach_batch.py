"""foreachBatch: the user's function on a client DataFrame of a cloned session."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql.connect.session import SparkSession

from headwater.connect.foreach_batch import check_python
from headwater.connect.server import Server
from headwater.errors import SparkError


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> DataFrame:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text('{"id": 1}\n{"id": 2}\n')
    return spark.readStream.schema("id int").json(str(tmp_path / "in"))


def run(frame: DataFrame, function: object) -> None:
    query = frame.writeStream.foreachBatch(function).trigger(availableNow=True).start()  # type: ignore[arg-type]
    assert query.awaitTermination(60)


def test_the_function_gets_the_rows_and_the_batch_id(stream: DataFrame, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def keep(frame: DataFrame, batch_id: int) -> None:
        frame.createOrReplaceTempView("batch")
        total = frame.sparkSession.sql("SELECT sum(id) AS s FROM batch").collect()[0].s
        with open(out, "a") as file:
            file.write(json.dumps([batch_id, frame.count(), total, frame.isStreaming]))

    run(stream, keep)
    assert json.loads(Path(out).read_text()) == [0, 2, 3, False]


def test_it_works_on_a_clone_that_is_released(server: Server, stream: DataFrame, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    before = {holder.session_id for holder in server.sessions}

    def tell(frame: DataFrame, _: int) -> None:
        with open(out, "w") as file:
            file.write(frame.sparkSession.session_id)

    run(stream, tell)
    assert Path(out).read_text() not in before
    assert {holder.session_id for holder in server.sessions} == before


def test_it_can_use_the_session_of_the_program(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def use(_: DataFrame, __: int) -> None:
        with open(out, "w") as file:
            file.write(f"{spark.session_id} {spark.range(4).count()}")

    run(stream, use)
    assert Path(out).read_text() == f"{spark.session_id} 4"


def test_it_can_import_files_that_the_program_has_sent(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    (tmp_path / "sent_along.py").write_text("ANSWER = 42\n")
    spark.addArtifacts(str(tmp_path / "sent_along.py"), pyfile=True)
    out = str(tmp_path / "out")

    def use(_: DataFrame, __: int) -> None:
        import sent_along

        with open(out, "w") as file:
            file.write(str(sent_along.ANSWER))

    run(stream, use)
    assert Path(out).read_text() == "42"


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit("boom")])
def test_a_failure_carries_the_users_traceback(stream: DataFrame, error: BaseException) -> None:
    def fail(_: DataFrame, __: int) -> None:
        raise error

    with pytest.raises(StreamingQueryException) as caught:
        run(stream, fail)
    assert "FOREACH_BATCH_USER_FUNCTION_ERROR" in str(caught.value)
    assert f"{type(error).__name__}: boom" in str(caught.value)
    assert os.path.basename(__file__) in str(caught.value)


def test_nothing_of_a_batch_stays(server: Server, stream: DataFrame) -> None:
    run(stream, lambda frame, _: frame.collect())
    tables = server.runtime.database.connect().execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert not [name for (name,) in tables if name.startswith("foreach_batch")]


def test_another_python_is_refused() -> None:
    check_python("")
    with pytest.raises(SparkError, match="different version"):
        check_python("2.7")


def test_a_batch_that_names_itself_is_added_once(spark: SparkSession, stream: DataFrame, tmp_path: Path) -> None:
    """`txnAppId` and `txnVersion`: the function runs twice for a batch, its rows come once in each table."""
    tables = [str(tmp_path / name) for name in ("one", "two")]

    def add(frame: DataFrame, batch_id: int) -> None:
        for _ in range(2):
            for path in tables:
                writer = frame.write.format("delta").mode("append").option("txnAppId", "job")
                writer.option("txnVersion", batch_id).save(path)

    run(stream, add)
    for path in tables:
        assert sorted(row.id for row in spark.read.format("delta").load(path).collect()) == [1, 2]
        assert spark.sql(f"DESCRIBE HISTORY delta.`{path}`").count() == 1

"""Genuine Spark reads the Delta tables that streams write here: same rows, same history."""

from __future__ import annotations

import json
from pathlib import Path

from support.command import headwater
from support.genuine_spark import ask_spark

JOB = """
import json
from pathlib import Path

def run(name, rows, **options):
    writer = rows.writeStream.format("delta").option("checkpointLocation", f"ck/{name}").trigger(availableNow=True)
    for key, value in options.items():
        writer = writer.partitionBy(value) if key == "partition" else writer.option(key, value)
    writer.start(f"out/{name}").awaitTermination()

schema = (
    "id BIGINT, at TIMESTAMP, day DATE, price DECIMAL(10,2), note STRING, "
    "tags ARRAY<STRING>, place STRUCT<x: INT, y: DOUBLE>"
)
rows = spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).json("in")
run("plain", rows)
run("parted", rows, partition="note")

(spark.readStream.schema("id BIGINT").json("in").writeStream.format("delta").option("checkpointLocation", "ck/wider1")
    .trigger(availableNow=True).start("out/wider").awaitTermination())
run("wider", rows.select("id", "note"), mergeSchema="true")

counts = rows.groupBy("note").count()
(counts.writeStream.format("delta").outputMode("complete").option("checkpointLocation", "ck/counts")
    .trigger(availableNow=True).start("out/counts").awaitTermination())
"""

ASK = """
import os
def rows(name):
    frame = spark.read.format("delta").load("out/" + name)
    return sorted((json.loads(line) for line in frame.toJSON().collect()), key=json.dumps)
answer = {name: rows(name) for name in ("plain", "parted", "wider", "counts")}
answer["history"] = [r.operation for r in spark.sql(f"DESCRIBE HISTORY delta.`{os.getcwd()}/out/plain`").collect()]
answer["filtered"] = spark.read.format("delta").load("out/parted").filter("note = 'a b/c'").count()
answer["pruned"] = spark.read.format("delta").load("out/plain").filter("id > 3").count()
answer["types"] = spark.read.format("delta").load("out/plain").schema.simpleString()
"""


def record(number: int) -> dict[str, object]:
    note = ["x", "a b/c", None][number % 3]
    row = {"id": number, "at": f"2026-03-29T0{number}:30:00.000Z", "day": "2026-02-28", "price": 12.5 + number}
    row |= {"tags": ["p", "q"], "place": {"x": number, "y": 0.5}}
    return row | ({"note": note} if note else {})


def test_spark_finds_the_rows_and_the_history_that_streams_wrote(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for file in range(3):
        lines = [json.dumps(record(number)) for number in range(file * 2, file * 2 + 2)]
        (tmp_path / "in" / f"{file}.json").write_text("\n".join(lines) + "\n")
    (tmp_path / "job.py").write_text(JOB)
    done = headwater("run", tmp_path / "job.py", cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr

    answer = ask_spark(ASK, tmp_path)

    expected = sorted((record(number) for number in range(6)), key=json.dumps)
    for name in ("plain", "parted"):
        found = [{k: row[k] for k in sorted(row)} for row in answer[name]]
        assert sorted(found, key=json.dumps) == sorted(
            ({k: row[k] for k in sorted(row)} for row in expected), key=json.dumps
        )
    assert len(answer["wider"]) == 12
    assert sum("note" in row for row in answer["wider"]) == 4
    assert {row.get("note"): row["count"] for row in answer["counts"]} == {"x": 2, "a b/c": 2, None: 2}
    assert answer["history"].count("STREAMING UPDATE") == 3
    assert (answer["filtered"], answer["pruned"]) == (2, 2)
    assert answer["types"] == (
        "struct<id:bigint,at:timestamp,day:date,price:decimal(10,2),note:string,tags:array<string>,place:struct<x:int,y:double>>"
    )

"""One stream through changes of its source, by turns here and on genuine Spark: one schema log, each row once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from headwater.lake import alter, renaming
from headwater.lake.actions import Metadata
from headwater.lake.alter import Changes
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema, parse_type
from support.command import headwater, run_job
from support.genuine_spark import ask_spark
from support.lake import connection, query

PROPERTIES = {"delta.columnMapping.mode": "name", "delta.enableTypeWidening": "true"}
STREAM = """
def stream():
    reader = spark.readStream.format("delta").option("schemaTrackingLocation", folder + "/ck/schema")
    for what in ("Rename", "Drop", "TypeChange"):
        reader = reader.option("allowSourceColumn" + what, "always")
    writer = reader.load(folder + "/t").writeStream.format("delta").option("checkpointLocation", folder + "/ck")
    try:
        writer.option("mergeSchema", "true").trigger(availableNow=True).start(folder + "/copy").awaitTermination()
    except Exception as error:
        return str(error).split("exception: ")[-1].split("]")[0].strip("[")
    return "done"
"""
ASK = """
answer = [stream(), stream(), stream()]
name = "delta.`" + folder + "/t`"
spark.sql("ALTER TABLE " + name + " DROP COLUMN b")
spark.sql("INSERT INTO " + name + " VALUES (7000000000)")
answer.append(stream())
"""


def nobody(_metadata: Metadata, _path: tuple[str, ...]) -> None:
    """No expression names a column."""


def entries(folder: Path) -> list[dict[str, Any]]:
    (log,) = (folder / "ck" / "schema").glob("_schema_log_*")
    files = sorted((file for file in log.iterdir() if file.name.isdigit()), key=lambda file: int(file.name))
    return [json.loads(file.read_text().split("\n")[1]) for file in files]


def test_a_stream_goes_through_changes_here_and_there(tmp_path: Path) -> None:
    ours = f"folder = {str(tmp_path)!r}\n{STREAM}\n"
    table = LakeTable.create(str(tmp_path / "t"), parse_schema("a int, b int"), properties=PROPERTIES)
    LakeTable.create(str(tmp_path / "copy"), parse_schema("a int, b int, k bigint"))

    def add(first: int) -> None:
        columns = LakeTable.open(table.path).schema
        text = ", ".join(f"{first}::{f.dataType.simpleString()} AS {f.name}" for f in columns.fields)
        table.append(connection(), query(f"SELECT {text}"), columns)

    add(1)
    (tmp_path / "job.py").write_text(ours + 'assert stream() == "done"\n')
    assert run_job(tmp_path) == 0
    add(2)
    renaming.rename_column(table, ("a",), "k", nobody)
    add(3)
    (tmp_path / "job.py").write_text(ours + "stream()\n")
    # `headwater run` tells of a stream that failed, caught or not.
    evolved = "DELTA_STREAMING_METADATA_EVOLUTION"
    assert evolved in headwater("run", "job.py", cwd=tmp_path, timeout=120).stderr
    alter.change_column(table, ("k",), Changes(type=parse_type("bigint")), connection())
    add(6_000_000)

    answer = ask_spark(ours + ASK, tmp_path, timeout=900)

    # Spark's availableNow first goes to where we have stopped and no further.
    assert answer == ["done", evolved, "done", evolved]
    (tmp_path / "job.py").write_text(ours + 'assert stream() == "done"\n')
    assert run_job(tmp_path) == 0
    rows = pa.table(DeltaTable(str(tmp_path / "copy")).scan()).to_pylist()
    found = sorted((row["a"] or 0) + (row["k"] or 0) for row in rows)
    assert found == [1, 2, 3, 6_000_000, 7_000_000_000]
    log = entries(tmp_path)
    assert [entry["deltaCommitVersion"] for entry in log] == [1, 3, 5, 7]
    assert len({entry["sourceMetadataPath"] for entry in log}) == 1
    assert len({tuple(sorted(entry)) for entry in log}) == 1

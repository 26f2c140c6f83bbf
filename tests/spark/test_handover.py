"""A stopped stateless query goes on under genuine Spark with the same checkpoint, and comes back."""

from __future__ import annotations

from pathlib import Path

from support.command import headwater
from support.genuine_spark import ask_spark

QUERY = """
query = (spark.readStream.schema("id INT, name STRING").option("maxFilesPerTrigger", 1).csv("file:{folder}/in")
    .selectExpr("id", "upper(name) AS name")
    .writeStream.format("parquet").option("checkpointLocation", "file:{folder}/ck").trigger(availableNow=True)
    .start("file:{folder}/out"))
query.awaitTermination()
"""
READ = 'sorted(r.id for r in spark.read.parquet("file:{folder}/out").collect())'


def drop(folder: Path, first: int, last: int) -> None:
    (folder / "in").mkdir(exist_ok=True)
    for number in range(first, last):
        (folder / "in" / f"{number:03d}.csv").write_text(f"{number},n{number}\n")


def here(folder: Path) -> tuple[str, list[int]]:
    text = QUERY.format(folder=folder) + f"print(query.id)\nprint({READ.format(folder=folder)})\n"
    (folder / "job.py").write_text(text)
    done = headwater("run", folder / "job.py", cwd=folder)
    assert done.returncode == 0, done.stderr
    query_id, ids = done.stdout.splitlines()
    return query_id, [int(text) for text in ids.strip("[]").split(", ")]


def test_spark_continues_our_checkpoint_and_we_continue_sparks(tmp_path: Path) -> None:
    drop(tmp_path, 0, 3)
    query_id, ids = here(tmp_path)
    assert ids == [0, 1, 2]

    drop(tmp_path, 3, 5)
    code = QUERY.format(folder=tmp_path) + f"answer = [str(query.id), {READ.format(folder=tmp_path)}]"
    assert ask_spark(code, tmp_path) == [query_id, [0, 1, 2, 3, 4]]

    drop(tmp_path, 5, 8)
    assert here(tmp_path) == (query_id, [0, 1, 2, 3, 4, 5, 6, 7])

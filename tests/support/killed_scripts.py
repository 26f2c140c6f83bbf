"""What children of the nursery run besides single queries: PySpark scripts on a server of their own, and plain code.

Invariant: a script knows nothing but its folder, and goes on where one that was killed has stopped.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RETENTION_HOURS = 0.5
"""What removed files stay beside a stream: longer than a child lives."""

UNUSED = ("headwater.demo", "headwater.testing", "headwater.capabilities")
CLIENT = ("pyspark.sql.connect.session", "grpc._channel", "grpc._server", "pyarrow.pandas_compat")

Script = Callable[["SparkSession", str], None]
SCRIPTS: dict[str, Script] = {}


def script(function: Script) -> Script:
    """Make it known by its name."""
    SCRIPTS[function.__name__] = function
    return function


def prepare() -> None:
    """Import all that a server and its client may need, before children are forked."""
    import headwater

    found = (module.name for module in pkgutil.walk_packages(headwater.__path__, "headwater."))
    for name in (*(name for name in found if not name.startswith(UNUSED)), *CLIENT):
        importlib.import_module(name)


def run(name: str, folder: str, code: Sequence[str] = ()) -> None:
    """Run a script, a file of the folder, or code with its arguments, to its end. Raises what it raises."""
    if code:
        sys.argv = ["code", *code[1:]]
        exec(compile(code[0], "code", "exec"), {"__name__": "__main__"})
    elif name.endswith(".py"):
        _run_file(name, folder)
    else:
        _run_script(name, folder)


def _run_script(name: str, folder: str) -> None:
    from pyspark.sql.connect.session import SparkSession

    from headwater.connect.server import Server
    from headwater.sessions.runtime import Runtime

    runtime = Runtime.local({"spark.sql.warehouse.dir": f"{folder}/warehouse"})
    server = Server(runtime=runtime).start()
    SCRIPTS[name](SparkSession.builder.remote(server.url).create(), folder)


def _run_file(name: str, folder: str) -> None:
    """As `headwater run` does, but that errors are raised."""
    from headwater.cli.options import Where
    from headwater.cli.process import embedded_server, stop_streams, wait_for_streams
    from headwater.cli.run import _execute

    os.chdir(folder)
    with embedded_server(Where((), None, Path("spark-warehouse"))) as server:
        try:
            _execute(Path(name), ())
            failure = wait_for_streams(server)
        finally:
            stop_streams(server)
    if failure is not None:
        raise failure


def rows_of_files(spark: SparkSession, folder: str, schema: str) -> DataFrame:
    """A stream of the JSON files below `in`, one a batch."""
    return spark.readStream.schema(schema).option("maxFilesPerTrigger", 1).json(f"{folder}/in")


def to_the_end(writer: Any, folder: str, *place: str) -> None:
    """Start a stream and wait until nothing is left. Raises its exception."""
    checked = writer.option("checkpointLocation", f"{folder}/checkpoint").trigger(availableNow=True)
    checked.start(*place).awaitTermination()


# ── MERGE inside foreachBatch ───────────────────────────────────────────────────────────────────────────────────


def _upsert(spark: SparkSession, folder: str, changed: str, *, counted: bool) -> None:
    spark.sql(
        f"""
        CREATE TABLE IF NOT EXISTS t (id BIGINT, v STRING, n BIGINT) USING delta LOCATION '{folder}/out'
        TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
        """
    )

    def upsert(batch: DataFrame, batch_id: int) -> None:
        session = batch.sparkSession
        if counted:
            session.conf.set("spark.databricks.delta.write.txnAppId", "upsert")
            session.conf.set("spark.databricks.delta.write.txnVersion", str(batch_id))
        batch.createOrReplaceTempView("updates")
        session.sql(
            f"""
            MERGE INTO t USING updates u ON t.id = u.id
            WHEN MATCHED AND u.v = 'gone' THEN DELETE
            WHEN MATCHED THEN UPDATE SET {changed}
            WHEN NOT MATCHED AND u.v <> 'gone' THEN INSERT (id, v, n) VALUES (u.id, u.v, 1)
            """
        )

    to_the_end(rows_of_files(spark, folder, "id BIGINT, v STRING").writeStream.foreachBatch(upsert), folder)


@script
def counting_upsert(spark: SparkSession, folder: str) -> None:
    """Each batch is counted once, because its MERGE carries the batch's number."""
    _upsert(spark, folder, "v = u.v, n = t.n + 1", counted=True)


@script
def repeatable_upsert(spark: SparkSession, folder: str) -> None:
    """A batch may be merged again: the same rows come out."""
    _upsert(spark, folder, "v = u.v", counted=False)


# ── streams beside upkeep ───────────────────────────────────────────────────────────────────────────────────────


@script
def compacting_stream(spark: SparkSession, folder: str) -> None:
    """Appends to `out`, with optimised writes, and joins small files between batches."""
    spark.conf.set("spark.databricks.delta.optimizeWrite.enabled", "true")
    spark.conf.set("spark.databricks.delta.autoCompact.enabled", "true")
    spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", "4")
    to_the_end(rows_of_files(spark, folder, "id BIGINT, k STRING").writeStream.format("delta"), folder, f"{folder}/out")


@script
def reading_stream(spark: SparkSession, folder: str) -> None:
    """Copies the Delta table `in` to `out`, a file a batch."""
    rows = spark.readStream.format("delta").option("maxFilesPerTrigger", 1).load(f"{folder}/in")
    to_the_end(rows.writeStream.format("delta"), folder, f"{folder}/out")


@script
def changes_stream(spark: SparkSession, folder: str) -> None:
    """Copies the changes of the Delta table `in` to `out`."""
    changes = spark.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    rows = changes.option("maxFilesPerTrigger", 1).load(f"{folder}/in").drop("_commit_timestamp")
    to_the_end(rows.writeStream.format("delta"), folder, f"{folder}/out")


@script
def upkeep_of_out(spark: SparkSession, folder: str) -> None:
    """OPTIMIZE and VACUUM of the table `out`, again and again."""
    _upkeep(spark, folder, "out")


@script
def upkeep_of_in(spark: SparkSession, folder: str) -> None:
    """OPTIMIZE and VACUUM of the table `in`, again and again."""
    _upkeep(spark, folder, "in")


def _upkeep(spark: SparkSession, folder: str, name: str) -> None:
    """Until it is killed, or once if the file `stop` is there."""
    table = f"delta.`{folder}/{name}`"
    made, stop = Path(folder, name, "_delta_log", "00000000000000000000.json"), Path(folder, "stop")
    while not made.exists():
        time.sleep(0.01)
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    while True:
        _optimize(spark, table)
        spark.sql(f"VACUUM {table} RETAIN {RETENTION_HOURS} HOURS").collect()
        if stop.exists():
            return


def _optimize(spark: SparkSession, table: str) -> None:
    """OPTIMIZE, unless the stream's own compaction takes the same files."""
    try:
        spark.sql(f"OPTIMIZE {table}").collect()
    except Exception as error:
        if "DELTA_CONCURRENT_DELETE_READ" not in str(error):
            raise


@script
def sweeping(spark: SparkSession, folder: str) -> None:
    """VACUUM of everything that no version's newest state needs; nobody else may write meanwhile."""
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    for name in ("in", "out"):
        if Path(folder, name, "_delta_log").exists():
            spark.sql(f"VACUUM delta.`{folder}/{name}` RETAIN 0 HOURS").collect()


# ── dead letters ────────────────────────────────────────────────────────────────────────────────────────────────


def _with_letters(rows: DataFrame, folder: str) -> Any:
    return rows.writeStream.format("delta").option("deadLetterPath", f"{folder}/letters")


@script
def letters_of_rows(spark: SparkSession, folder: str) -> None:
    """The numbers in `k` to `out`; what is none, and what is no record, to `letters`."""
    rows = rows_of_files(spark, folder, "id BIGINT, k STRING").selectExpr("id", "cast(k AS INT) AS k")
    to_the_end(_with_letters(rows, folder), folder, f"{folder}/out")


@script
def letters_below_state(spark: SparkSession, folder: str) -> None:
    """How often each number is in `k`, to `out`; what is none, and what is no record, to `letters`."""
    rows = rows_of_files(spark, folder, "id BIGINT, k STRING").selectExpr("cast(k AS INT) AS k")
    to_the_end(_with_letters(rows.groupBy("k").count(), folder).outputMode("complete"), folder, f"{folder}/out")


@script
def letters_once_flaky(spark: SparkSession, folder: str) -> None:
    """As `letters_of_rows`, but in the next run all of `k` are numbers: what failed once must not arrive as well."""
    mended = Path(folder, "mended").exists()
    rows = rows_of_files(spark, folder, "id BIGINT, k STRING")
    rows = rows.selectExpr("id", "try_cast(k AS INT) AS k" if mended else "cast(k AS INT) AS k")
    to_the_end(_with_letters(rows, folder), folder, f"{folder}/out")

"""The recipes of the Delta acceptance tables (run inside genuine Spark by `support.delta_acceptance`).

The first part makes what DAT's recipes of the same names make; the second part makes what other features of the
protocol leave behind. A recipe gets a `Maker` and builds the table at its `path`.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

RECIPES: dict[str, Callable[[Maker], None]] = {}


class Maker:
    """Makes one table with the Spark session `spark` below the folder `home`."""

    def __init__(self, spark: Any, home: str) -> None:
        self.spark = spark
        self.home = home
        self.path = os.path.join(home, "table")
        self.name = f"delta.`{self.path}`"
        spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")

    def sql(self, text: str, **names: str) -> None:
        """Run statements, separated by `;`, in which `{t}` is the table."""
        for statement in text.format(t=self.name, path=self.path, home=self.home, **names).split(";"):
            if statement.strip():
                self.spark.sql(statement)

    def write(self, frame: Any, mode: str = "append", *partitions: str, **options: str) -> None:
        """Write a frame as one file for each partition."""
        frame.repartition(1).write.format("delta").mode(mode).partitionBy(*partitions).options(**options).save(
            self.path
        )

    def rows(self, rows: list[tuple[Any, ...]], schema: Any) -> Any:
        """A frame of Python rows."""
        return self.spark.createDataFrame(rows, schema=schema)

    def log(self, name: str) -> Path:
        """A file of the log."""
        return Path(self.path, "_delta_log", name)

    def builder(self) -> Any:
        """Delta's own builder of a new table, for what SQL has no words for on a path."""
        delta = self.spark._jvm.io.delta.tables.DeltaTable
        return delta.create(self.spark._jsparkSession).location(self.path)

    def column(self, name: str) -> Any:
        """Delta's own builder of a column."""
        return self.spark._jvm.io.delta.tables.DeltaTable.columnBuilder(self.spark._jsparkSession, name)

    def keep(self) -> None:
        """Record the rows of the version that is newest now."""
        version = max(int(log.stem) for log in Path(self.path, "_delta_log").glob("*.json") if log.stem.isdigit())
        self.spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        rows = self.spark.read.format("delta").load(self.path).coalesce(1)
        rows.write.mode("overwrite").parquet(os.path.join(self.home, f"{version}.rows"))
        self.spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")


def recipe(make: Callable[[Maker], None]) -> Callable[[Maker], None]:
    """Enter a recipe under its own name."""
    RECIPES[make.__name__] = make
    return make


def sample(maker: Maker, seed: int = 42, count: int = 5) -> Any:
    """Some rows (letter, int, date), the same for a seed."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        letter, number = chance.choice(["a", "b", "c", None]), chance.randint(0, 1000)
        rows.append((letter, number, dt.date(chance.randint(1970, 2020), chance.randint(1, 12), 1)))
    return maker.rows(rows, "letter string, int long, date date")


SAMPLE = "letter STRING, int BIGINT, date DATE"

# ── after DAT's recipes ─────────────────────────────────────────────────────────────────────────────────────────


@recipe
def basic_append(maker: Maker) -> None:
    """Two appends."""
    maker.write(maker.rows([("a", 1, 1.1), ("b", 2, 2.2), ("c", 3, 3.3)], ["letter", "number", "a_float"]))
    maker.keep()
    maker.write(maker.rows([("d", 4, 4.4), ("e", 5, 5.5)], ["letter", "number", "a_float"]))


def _letters(maker: Maker, last: str | None) -> None:
    names = ["letter", "number", "a_float"]
    maker.write(maker.rows([("a", 1, 1.1), ("b", 2, 2.2), ("c", 3, 3.3)], names), "append", "letter")
    maker.keep()
    maker.write(maker.rows([("a", 4, 4.4), ("e", 5, 5.5), (last, 6, 6.6)], names), "append", "letter")


@recipe
def basic_partitioned(maker: Maker) -> None:
    """One partition column."""
    _letters(maker, "f")


@recipe
def partitioned_with_null(maker: Maker) -> None:
    """A null partition."""
    _letters(maker, None)


@recipe
def multi_partitioned(maker: Maker) -> None:
    """Partition values with nulls, bytes and characters that paths escape."""
    schema, keys = "letter string, date date, data binary, number long", ("letter", "date", "data")
    day = dt.date(1970, 1, 1)
    first = [("a", day, b"hello", 1), ("b", day, b"world", 2), ("b", dt.date(1970, 1, 2), b"world", 3)]
    maker.write(maker.rows(first, schema), "append", *keys)
    maker.keep()
    maker.write(maker.rows([("a", None, b"x", 4), (None, None, None, 5)], schema), "append", *keys)
    maker.keep()
    last = [("/%20%f", day, b"hello", 6), ("b", day, "\U0001f608".encode(), 7)]
    maker.write(maker.rows(last, schema), "overwrite", *keys)


@recipe
def multi_partitioned_2(maker: Maker) -> None:
    """Partitions by boolean, time and decimal."""
    rows = [
        (True, dt.datetime(1970, 1, 1), Decimal("200.00"), 1),
        (True, dt.datetime(1970, 1, 1, 12, 30), Decimal("200.00"), 2),
        (False, dt.datetime(1970, 1, 2, 8, 45), Decimal("12.00"), 3),
    ]
    schema = "bool boolean, time timestamp, amount decimal(38,18), int long"
    maker.write(maker.rows(rows, schema), "append", "bool", "time", "amount")


@recipe
def with_schema_change(maker: Maker) -> None:
    """Another schema in place of the first."""
    maker.write(maker.rows([("a", 1), ("b", 2), ("c", 3)], ["letter", "number"]))
    maker.keep()
    maker.write(maker.rows([(22, 33), (44, 55), (66, 77)], ["num1", "num2"]), "overwrite", overwriteSchema="true")


@recipe
def all_primitive_types(maker: Maker) -> None:
    """Every type that is not nested."""
    schema = (
        "utf8 string, int64 long, int32 int, int16 short, int8 byte, float32 float, float64 double, bool boolean,"
        "binary binary, decimal decimal(5,3), date32 date, timestamp timestamp"
    )
    rows = []
    for i in range(5):
        moment, day = dt.datetime(1970, 1, 1) + dt.timedelta(hours=i), dt.date(1970, 1, 1) + dt.timedelta(days=i)
        numbers = (str(i), i, i, i, i, float(i), float(i))
        rows.append((*numbers, i % 2 == 0, bytes(i), Decimal("10.000") + i, day, moment))
    maker.write(maker.rows(rows, schema))


@recipe
def nested_types(maker: Maker) -> None:
    """Structs, arrays and maps."""
    schema = "pk int, struct struct<float64: double, bool: boolean>, array array<short>, map map<string, int>"
    rows = [(i, (float(i), i % 2 == 0), list(range(i + 1)), {str(k): k for k in range(i)}) for i in range(5)]
    maker.write(maker.rows(rows, schema))


def _overwrites(maker: Maker, *properties: str) -> None:
    listed = ", ".join(("'delta.checkpointInterval' = '2'", *properties))
    maker.sql(f"CREATE TABLE {{t}} ({SAMPLE}) USING delta TBLPROPERTIES ({listed})")
    for seed in range(3):
        maker.write(sample(maker, seed), "overwrite")


@recipe
def with_checkpoint(maker: Maker) -> None:
    """A checkpoint."""
    _overwrites(maker)
    assert maker.log(f"{2:020}.checkpoint.parquet").exists()


@recipe
def no_replay(maker: Maker) -> None:
    """A checkpoint whose commits are gone."""
    _overwrites(maker)
    # Else VACUUM lists three files with ten thousand tasks.
    maker.sql("SET spark.sql.sources.parallelPartitionDiscovery.parallelism = 1")
    maker.sql("SET spark.databricks.delta.retentionDurationCheck.enabled = false; VACUUM {t} RETAIN 0 HOURS")
    for version in (0, 1):
        maker.log(f"{version:020}.json").unlink()


@recipe
def stats_as_struct(maker: Maker) -> None:
    """Statistics in the checkpoint as struct only."""
    _overwrites(
        maker, "'delta.checkpoint.writeStatsAsStruct' = 'true'", "'delta.checkpoint.writeStatsAsJson' = 'false'"
    )


@recipe
def no_stats(maker: Maker) -> None:
    """No statistics."""
    off = ("'delta.checkpoint.writeStatsAsStruct' = 'false'", "'delta.checkpoint.writeStatsAsJson' = 'false'")
    _overwrites(maker, *off, "'delta.dataSkippingNumIndexedCols' = '0'")


def _created(maker: Maker, properties: str, columns: str = SAMPLE) -> None:
    maker.sql(f"CREATE TABLE {{t}} ({columns}) USING delta TBLPROPERTIES ({properties})")


DELETION_VECTORS = "'delta.enableDeletionVectors' = 'true'"


@recipe
def deletion_vectors(maker: Maker) -> None:
    """Rows deleted by a vector."""
    _created(maker, DELETION_VECTORS)
    maker.write(sample(maker))
    maker.keep()
    maker.sql("DELETE FROM {t} WHERE letter = 'a'")


@recipe
def check_constraints(maker: Maker) -> None:
    """A CHECK constraint."""
    _created(maker, DELETION_VECTORS)
    maker.write(sample(maker))
    maker.sql("ALTER TABLE {t} ADD CONSTRAINT const1 CHECK (int > 0)")


@recipe
def cdf(maker: Maker) -> None:
    """A change data feed."""
    _created(maker, "'delta.enableChangeDataFeed' = 'true'")
    maker.write(sample(maker))
    maker.keep()
    maker.sql("UPDATE {t} SET letter = 'a' WHERE letter = 'c'; DELETE FROM {t} WHERE letter = 'a'")


@recipe
def generated_columns(maker: Maker) -> None:
    """A column computed from another."""
    creation = maker.column("creation").dataType("DATE").generatedAlwaysAs("date_add(date, 1)").build()
    maker.builder().addColumn("letter", "STRING").addColumn("int", "BIGINT").addColumn("date", "DATE").addColumn(
        creation
    ).execute()
    maker.write(sample(maker))


@recipe
def column_mapping(maker: Maker) -> None:
    """A renamed column."""
    _created(maker, "'delta.columnMapping.mode' = 'name'")
    maker.write(sample(maker))
    maker.keep()
    maker.sql("ALTER TABLE {t} RENAME COLUMN int TO new_int")
    maker.write(sample(maker, 7).withColumnRenamed("int", "new_int"))


@recipe
def timestamp_ntz(maker: Maker) -> None:
    """Times without a zone."""
    maker.sql(f"CREATE TABLE {{t}} ({SAMPLE}, timestampNTZ TIMESTAMP_NTZ) USING delta")
    maker.write(sample(maker).selectExpr("*", "TIMESTAMP_NTZ'2024-03-31 02:30:00.123456' AS timestampNTZ"))


@recipe
def iceberg_compat_v1(maker: Maker) -> None:
    """A table that Iceberg's readers could be shown."""
    _created(maker, "'delta.enableIcebergCompatV1' = 'true', 'delta.columnMapping.mode' = 'name'")
    maker.write(sample(maker))


# ── more of the protocol ────────────────────────────────────────────────────────────────────────────────────────

NESTED = "k INT, `a b` STRUCT<x: INT, `y,z`: STRUCT<deep: STRING, gone: INT>>, l ARRAY<STRUCT<p: INT, q: STRING>>, "
NESTED += "m MAP<STRING, STRUCT<v: BIGINT>>, part STRING"
NESTED_ROWS = """
INSERT INTO {t} VALUES
 (1, struct(1, struct('one', 1)), array(struct(1, 'p'), null, struct(2, null)), map('m', struct(1L)), 'A'),
 (2, null, null, null, 'B'),
 (3, struct(null, null), array(), map(), null),
 (4, struct(4, struct(null, 4)), array(struct(null, 'z')), map('n', null), 'A')
"""


def _mapped(maker: Maker, mode: str) -> None:
    more = "" if mode == "name" else ", " + DELETION_VECTORS
    maker.sql(
        f"CREATE TABLE {{t}} ({NESTED}) USING delta PARTITIONED BY (part)"
        f" TBLPROPERTIES ('delta.columnMapping.mode' = '{mode}'{more})"
    )
    maker.sql(NESTED_ROWS)
    maker.keep()
    for change in (
        "RENAME COLUMN `a b` TO `renamed struct`",
        "RENAME COLUMN `renamed struct`.`y,z`.deep TO `very deep`",
    ):
        maker.sql("ALTER TABLE {t} " + change)
    for change in (
        "RENAME COLUMN m.value.v TO w",
        "RENAME COLUMN l.element.p TO r",
        "RENAME COLUMN part TO `the part`",
    ):
        maker.sql("ALTER TABLE {t} " + change)
    maker.sql(
        "ALTER TABLE {t} DROP COLUMN `renamed struct`.`y,z`.gone; ALTER TABLE {t} ADD COLUMNS (l.element.added INT)"
    )
    maker.sql(
        "ALTER TABLE {t} ADD COLUMN k2 STRING AFTER k; ALTER TABLE {t} DROP COLUMN k;"
        " ALTER TABLE {t} RENAME COLUMN k2 TO k"
    )
    maker.keep()
    maker.sql(
        "INSERT INTO {t} VALUES ('five', struct(5, struct('deep')), array(struct(5, 'q', 55)),"
        " map('o', struct(5L)), 'A'),"
        " ('six', null, null, null, 'B')"
    )


@recipe
def column_mapping_nested(maker: Maker) -> None:
    """Names at every depth renamed, dropped and added, also of the partition column."""
    _mapped(maker, "name")


@recipe
def column_mapping_id(maker: Maker) -> None:
    """The same by field ids, with deletion vectors."""
    _mapped(maker, "id")
    maker.keep()
    maker.sql("DELETE FROM {t} WHERE `renamed struct`.x = 1 OR k = 'six'")


@recipe
def column_mapping_upgraded(maker: Maker) -> None:
    """Mapping switched on later: old files have the first names."""
    maker.write(sample(maker), "append", "letter")
    maker.sql(
        "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.minReaderVersion' = '2',"
        " 'delta.minWriterVersion' = '5'); ALTER TABLE {t} RENAME COLUMN letter TO `a letter`;"
        " ALTER TABLE {t} RENAME COLUMN int TO number; ALTER TABLE {t} RENAME COLUMN date TO int"
    )
    maker.keep()
    maker.sql("INSERT INTO {t} VALUES ('z', 26, DATE'2026-01-26')")


@recipe
def deletion_vectors_partitioned(maker: Maker) -> None:
    """Vectors of several files, by DELETE, UPDATE and MERGE, below a checkpoint."""
    maker.sql(
        "CREATE TABLE {t} (id BIGINT, part BIGINT) USING delta PARTITIONED BY (part)"
        f" TBLPROPERTIES ({DELETION_VECTORS}, 'delta.checkpointInterval' = '4')"
    )
    maker.sql("INSERT INTO {t} SELECT id, id % 3 FROM range(0, 30, 1, 1)")
    maker.sql("DELETE FROM {t} WHERE id % 5 = 0")
    maker.keep()
    maker.sql("UPDATE {t} SET id = id + 100 WHERE id % 7 = 1")
    maker.keep()
    maker.sql(
        "MERGE INTO {t} t USING (SELECT id * 2 AS id FROM range(0, 20, 1, 1)) s ON t.id = s.id"
        " WHEN MATCHED AND t.part = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET id = t.id + 1000"
        " WHEN NOT MATCHED THEN INSERT (id, part) VALUES (s.id, null)"
    )
    maker.keep()
    maker.sql("DELETE FROM {t} WHERE id = 11")


@recipe
def deletion_vectors_containers(maker: Maker) -> None:
    """A vector with all kinds of containers, over more than 65,536 rows."""
    maker.sql(f"CREATE TABLE {{t}} (block INT, place INT) USING delta TBLPROPERTIES ({DELETION_VECTORS})")
    maker.sql("INSERT INTO {t} SELECT int(id div 1000), int(id % 16) FROM range(0, 300000, 1, 1)")
    maker.sql(
        "DELETE FROM {t} WHERE (place IN (3, 7, 8) AND block < 60) OR block BETWEEN 70 AND 140"
        " OR (block = 200 AND place = 5) OR block = 299"
    )


@recipe
def deletion_vectors_all_rows(maker: Maker) -> None:
    """No row is left, though each file is."""
    _created(maker, DELETION_VECTORS)
    maker.write(sample(maker))
    maker.sql("DELETE FROM {t} WHERE int >= 0")


@recipe
def deletion_vectors_inline(maker: Maker) -> None:
    """A vector inside the log, as the protocol allows: the bytes of the file put there."""
    deletion_vectors(maker)
    log = maker.log(f"{2:020}.json")
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for vector in (line["add"]["deletionVector"] for line in lines if "add" in line):
        (file,) = Path(maker.path).glob("deletion_vector_*.bin")
        data = file.read_bytes()[vector["offset"] + 4 :][: vector["sizeInBytes"]]
        data += bytes(-len(data) % 4)
        text = base64.b85encode(data).translate(bytes.maketrans(_B85, _Z85)).decode()
        del vector["offset"]
        vector |= {"storageType": "i", "pathOrInlineDv": text}
        file.unlink()
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    for checksum in Path(maker.path, "_delta_log").glob("*.crc"):
        checksum.unlink()
    maker.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


@recipe
def deletion_vectors_absolute(maker: Maker) -> None:
    """A clone of a table with vectors: files and vectors by absolute path."""
    _clone(maker, DELETION_VECTORS, "DELETE FROM delta.`{home}/source` WHERE letter = 'a'")


@recipe
def shallow_clone(maker: Maker) -> None:
    """A clone: files by absolute path, and one of its own."""
    _clone(maker, "'delta.appendOnly' = 'false'", "")
    maker.keep()
    maker.write(sample(maker, 9))


def _clone(maker: Maker, properties: str, change: str) -> None:
    maker.sql(f"CREATE TABLE delta.`{{home}}/source` ({SAMPLE}) USING delta TBLPROPERTIES ({properties})")
    sample(maker).repartition(1).write.format("delta").mode("append").save(f"{maker.home}/source")
    maker.sql(change + "; CREATE TABLE {t} SHALLOW CLONE delta.`{home}/source`")


@recipe
def type_widening(maker: Maker) -> None:
    """Every widening of a type, at every depth, also of a partition column."""
    maker.sql(
        "CREATE TABLE {t} (a TINYINT, b SMALLINT, c INT, d INT, e INT, f FLOAT, g DECIMAL(6,2), h DATE, i TINYINT,"
        " s STRUCT<x: SMALLINT, y: ARRAY<INT>>, m MAP<INT, FLOAT>, part SMALLINT) USING delta PARTITIONED BY (part)"
        " TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.feature.timestampNtz' = 'supported')"
    )
    maker.sql(
        "INSERT INTO {t} VALUES (1, 2, 3, 4, 5, 6.1, 7.25, DATE'2024-02-29', 8, struct(9, array(10)),"
        " map(11, 12.1), 13),"
        " (null, null, null, null, null, null, null, null, null, null, null, null),"
        " (-128, -32768, -2147483648, 2147483647, -5, -0.5, -9999.99, DATE'1900-01-01', 127,"
        " struct(null, null), map(), -7)"
    )
    maker.keep()
    changes = {"a": "INT", "b": "BIGINT", "c": "DOUBLE", "d": "DECIMAL(20,3)", "e": "BIGINT", "f": "DOUBLE"}
    changes |= {"g": "DECIMAL(12,4)", "h": "TIMESTAMP_NTZ", "i": "SMALLINT", "s.x": "INT", "s.y.element": "BIGINT"}
    changes |= {"m.key": "BIGINT", "m.value": "DOUBLE", "part": "INT"}
    for name, kind in changes.items():
        maker.sql(f"ALTER TABLE {{t}} ALTER COLUMN {name} TYPE {kind}")
    maker.keep()
    maker.sql(
        "INSERT INTO {t} VALUES (1000, 3000000000, 3.5, 12345678901234567.125, 5000000000, 6.123456789012,"
        " 12345678.1234,"
        " TIMESTAMP_NTZ'2024-02-29 12:34:56.789', 300, struct(70000, array(5000000000)), map(5000000000, 12.123456789),"
        " 100000)"
    )
    maker.keep()
    maker.sql("ALTER TABLE {t} ALTER COLUMN a TYPE BIGINT; ALTER TABLE {t} ALTER COLUMN i TYPE DOUBLE")


def _versions_2(maker: Maker, form: str, sidecars: bool) -> None:
    maker.sql(f"SET spark.databricks.delta.checkpointV2.topLevelFileFormat = {form}")
    if sidecars:
        maker.sql("SET spark.databricks.delta.checkpoint.partSize = 1")
    maker.sql(
        f"CREATE TABLE {{t}} ({SAMPLE}) USING delta"
        " TBLPROPERTIES ('delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '3')"
    )
    for seed in range(4):
        maker.write(sample(maker, seed))
    for version in (0, 1, 2):
        maker.log(f"{version:020}.json").unlink()
    maker.sql("RESET spark.databricks.delta.checkpoint.partSize")
    maker.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


@recipe
def v2_checkpoint_parquet(maker: Maker) -> None:
    """A v2 checkpoint in Parquet; the commits before it are gone."""
    _versions_2(maker, "parquet", False)


@recipe
def v2_checkpoint_json(maker: Maker) -> None:
    """A v2 checkpoint in JSON."""
    _versions_2(maker, "json", False)


@recipe
def v2_checkpoint_sidecars(maker: Maker) -> None:
    """A v2 checkpoint with several sidecars."""
    _versions_2(maker, "json", True)


@recipe
def in_commit_timestamps(maker: Maker) -> None:
    """Times of commits inside the log."""
    _created(maker, "'delta.enableInCommitTimestamps' = 'true'")
    maker.write(sample(maker))


@recipe
def log_compaction(maker: Maker) -> None:
    """Commits 1 to 3 put together in one more file."""
    for seed in range(5):
        maker.write(sample(maker, seed))
    lines = [line for version in (1, 2, 3) for line in maker.log(f"{version:020}.json").read_text().splitlines()]
    kept = "".join(line + "\n" for line in lines if "commitInfo" not in json.loads(line))
    maker.log(f"{1:020}.{3:020}.compacted.json").write_text(kept)


@recipe
def clustered(maker: Maker) -> None:
    """Clustered by a column."""
    maker.sql(f"CREATE TABLE {{t}} ({SAMPLE}) USING delta CLUSTER BY (letter, int)")
    maker.write(sample(maker))
    maker.sql("OPTIMIZE {t}")


@recipe
def identity_and_defaults(maker: Maker) -> None:
    """Identity values and default values."""
    number = maker.column("id").dataType("BIGINT").generatedAlwaysAsIdentity(10, 5).build()
    maker.builder().addColumn(number).addColumn("word", "STRING").addColumn("n", "INT").execute()
    maker.sql("ALTER TABLE {t} SET TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')")
    maker.sql("ALTER TABLE {t} ALTER COLUMN word SET DEFAULT 'none'")
    maker.sql("INSERT INTO {t} (n) VALUES (1), (2); INSERT INTO {t} (word, n) VALUES ('w', 3)")


@recipe
def row_tracking(maker: Maker) -> None:
    """Rows with ids of their own, some rewritten."""
    _created(maker, "'delta.enableRowTracking' = 'true', " + DELETION_VECTORS)
    maker.write(sample(maker))
    maker.write(sample(maker, 8))
    maker.sql("UPDATE {t} SET int = -1 WHERE letter = 'b'; OPTIMIZE {t}")


@recipe
def vacuum_protocol_check(maker: Maker) -> None:
    """The feature that guards VACUUM."""
    _created(maker, "'delta.feature.vacuumProtocolCheck' = 'supported'")
    maker.write(sample(maker))


@recipe
def variant_column(maker: Maker) -> None:
    """A variant."""
    maker.sql("CREATE TABLE {t} (id INT, v VARIANT) USING delta")
    maker.sql("""INSERT INTO {t} SELECT 1, parse_json('[1]')""")


@recipe
def evolved(maker: Maker) -> None:
    """Columns added at every depth, in another order."""
    maker.write(maker.rows([(1, (2,), [(3,)])], "a int, s struct<x: int>, l array<struct<p: int>>"))
    more = maker.rows(
        [([(4, 5)], (6, 7), 8, 9)], "l array<struct<q: int, p: int>>, s struct<y: int, x: int>, a int, z int"
    )
    maker.write(more, mergeSchema="true")


@recipe
def times_of_other_zones(maker: Maker) -> None:
    """Instants before 1970 and at the turn of summer time, as Spark's INT96 and as partition values."""
    maker.sql(
        "CREATE TABLE {t} (id INT, at TIMESTAMP, s STRUCT<at: TIMESTAMP>, part TIMESTAMP) USING delta"
        " PARTITIONED BY (part)"
    )
    maker.sql("SET TIME ZONE 'America/New_York'")
    maker.sql(
        "INSERT INTO {t} SELECT id, at, struct(at), at FROM VALUES (1, TIMESTAMP'1969-07-20 20:17:40.123456Z'),"
        " (2, TIMESTAMP'2024-03-31 01:30:00Z'), (3, TIMESTAMP'2024-11-03 05:30:00Z'), (4, null) v(id, at)"
    )
    maker.sql("SET TIME ZONE 'UTC'")


@recipe
def empty(maker: Maker) -> None:
    """No row was ever written."""
    maker.sql(f"CREATE TABLE {{t}} ({SAMPLE}) USING delta PARTITIONED BY (letter)")

"""The medallion in plain PySpark: every line here also runs on Databricks.

Bronze keeps the raw rows as Auto Loader delivers them, silver the clean ones, gold the figures of the business.
`Shop` is the pipeline of the built-in feed, `Own` the one for the user's own files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery


@dataclass(frozen=True)
class Layout:
    """Where the demonstration keeps things, all below `base`."""

    base: Path
    landing: Path
    format: str = "json"

    def table(self, name: str) -> str:
        """Path of the table `name`."""
        return str(self.base / "tables" / name)

    def checkpoint(self, name: str) -> str:
        """Path of the checkpoint of the stream `name`."""
        return str(self.base / "checkpoints" / name)


class Medallion(Protocol):
    """What differs between the pipelines: what is known of the input, cleaning and aggregating."""

    @property
    def hints(self) -> str:
        """`cloudFiles.schemaHints`: types that the first files may not show."""
        ...

    def silver(self, bronze: DataFrame) -> DataFrame:
        """Clean rows."""
        ...

    def gold(self, silver: DataFrame) -> DataFrame:
        """Figures."""
        ...


class Shop:
    """The pipeline of the e-commerce feed."""

    hints = "price DOUBLE"

    def silver(self, bronze: DataFrame) -> DataFrame:
        """Whole events with a price: broken lines have no event id, bad prices are in `_rescued_data`."""
        from pyspark.sql import functions as F

        whole = bronze.filter(F.col("event_id").isNotNull() & F.col("price").isNotNull())
        return whole.select(
            F.col("event_id").cast("bigint"),
            F.to_timestamp("event_time").alias("event_time"),
            "event_type",
            F.col("user_id").cast("bigint"),
            "category",
            "product",
            (F.col("price").cast("double") * F.col("quantity").cast("int")).alias("amount"),
            "country",
        )

    def gold(self, silver: DataFrame) -> DataFrame:
        """Per category: events, purchases, revenue."""
        from pyspark.sql import functions as F

        bought = F.col("event_type") == "purchase"
        return silver.groupBy("category").agg(
            F.count("*").alias("events"),
            F.sum(F.when(bought, 1).otherwise(0)).alias("purchases"),
            F.sum(F.when(bought, F.col("amount")).otherwise(0.0)).alias("revenue"),
        )


@dataclass(frozen=True)
class Own:
    """The pipeline for the user's own files: rows per value of one column."""

    column: str
    hints: str = ""

    def silver(self, bronze: DataFrame) -> DataFrame:
        """Rows that fit the schema."""
        return bronze.filter("_rescued_data IS NULL").drop("_rescued_data")

    def gold(self, silver: DataFrame) -> DataFrame:
        """Rows per value of `column`."""
        return silver.groupBy(self.column).count()


def start_bronze(spark: SparkSession, layout: Layout, pipeline: Medallion) -> StreamingQuery:
    """Auto Loader → Delta: raw rows, schema inferred and allowed to grow."""
    rows = (
        spark.readStream.format("cloudFiles")
        .option("cloudFiles.format", layout.format)
        .option("cloudFiles.inferColumnTypes", "true")
        .option("cloudFiles.schemaLocation", layout.checkpoint("bronze"))
        .option("cloudFiles.schemaHints", pipeline.hints)
        .load(str(layout.landing))
    )
    return (
        rows.writeStream.format("delta")
        .queryName("bronze")
        .option("checkpointLocation", layout.checkpoint("bronze"))
        .option("mergeSchema", "true")
        .trigger(processingTime="500 milliseconds")
        .start(layout.table("bronze"))
    )


def start_silver(spark: SparkSession, layout: Layout, pipeline: Medallion) -> StreamingQuery:
    """Delta → Delta: clean rows."""
    bronze = spark.readStream.format("delta").load(layout.table("bronze"))
    return (
        pipeline.silver(bronze)
        .writeStream.format("delta")
        .queryName("silver")
        .option("checkpointLocation", layout.checkpoint("silver"))
        .trigger(processingTime="500 milliseconds")
        .start(layout.table("silver"))
    )


def start_gold(spark: SparkSession, layout: Layout, pipeline: Medallion) -> StreamingQuery:
    """Delta → Delta: figures, the whole table replaced at each change."""
    silver = spark.readStream.format("delta").load(layout.table("silver"))
    return (
        pipeline.gold(silver)
        .writeStream.format("delta")
        .outputMode("complete")
        .queryName("gold")
        .option("checkpointLocation", layout.checkpoint("gold"))
        .trigger(processingTime="500 milliseconds")
        .start(layout.table("gold"))
    )

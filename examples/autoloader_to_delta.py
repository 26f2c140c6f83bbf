"""Auto Loader: JSON files that arrive in a bucket stream into a Delta table.

    headwater run examples/autoloader_to_delta.py

`spark` is predefined, as in a Databricks notebook; `headwater.toml` beside this file maps the buckets to folders, so
the code is the one that runs in production. Drop more JSON files into examples/data/raw/events while it runs.
"""

# ruff: noqa: F821
df = (spark.readStream
    .format("cloudFiles")
    .option("cloudFiles.format", "json")
    .load("s3://ittechgenie-raw/events/"))

df.writeStream.format("delta")   .option("checkpointLocation", "/mnt/checkpoints/events")   .outputMode("append")   .start("s3://ittechgenie-bronze/events_delta")

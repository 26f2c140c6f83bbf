"""A folder of CSV files streams into a Delta table.

    headwater run examples/day4_folder_to_delta.py

Leave it running, drop another CSV file into examples/data/FileStore/stream_input, and watch the count rise:

    cd examples && headwater sql 'SELECT count(*) FROM delta.`/delta/stream_output`'

`spark` is predefined, as in a Databricks notebook; `headwater.toml` beside this file says where /FileStore and /delta lie.
"""

# ruff: noqa: F821, E501
events = spark.createDataFrame([], "event_id INT, event_time TIMESTAMP, event_type STRING, product STRING, price DOUBLE")

stream_df = spark.readStream \
    .schema(events.schema) \
    .csv("/FileStore/stream_input/")

query = stream_df.writeStream \
    .format("delta") \
    .outputMode("append") \
    .option("checkpointLocation","/tmp/checkpoint") \
    .start("/delta/stream_output")

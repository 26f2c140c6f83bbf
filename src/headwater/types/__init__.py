"""Spark's types are `pyspark.sql.types`; the modules here give their DDL, DuckDB and Arrow forms.

`pyspark` ships the type classes with their JSON and tree forms; DDL text (which the Connect client sends to
its server), DuckDB and Arrow are ours.
"""

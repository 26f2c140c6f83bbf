"""Spark's functions on DuckDB, one module per Spark group."""

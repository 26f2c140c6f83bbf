"""Databricks SQL text to plan nodes."""

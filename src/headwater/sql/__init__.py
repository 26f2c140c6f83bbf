"""Databricks SQL text to plan nodes."""

from headwater.sql.parser import parse_expression, parse_query, parse_statement

__all__ = ["parse_expression", "parse_query", "parse_statement"]

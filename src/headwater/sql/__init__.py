"""Databricks SQL text to plan nodes."""

from headwater.sql.parser import parse_expression, parse_query, parse_statement
from headwater.sql.positions import locate

__all__ = ["locate", "parse_expression", "parse_query", "parse_statement"]

"""Statements that are not queries, one module per family."""

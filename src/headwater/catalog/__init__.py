"""Databases, tables and views."""

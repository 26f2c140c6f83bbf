"""The contract of a statement family, and the statements Headwater does not have.

    @statement("DROP")
    def drop(reader: Reader) -> Command:
        \"\"\"DROP TABLE | VIEW | SCHEMA [IF EXISTS] name.\"\"\"

A family's function is called with the cursor after its first word and reads to the end of the statement.

Invariants: a first word has one owner; a word in `MISSING` is refused by name, never misread as a query.
"""

from __future__ import annotations

from collections.abc import Callable

from headwater.plan.commands import Command
from headwater.plan.relations import Relation
from headwater.registry import Registry
from headwater.sql.reader import Reader

Statement = Callable[[Reader], Relation | Command]

statements: Registry[Statement] = Registry("headwater.sql.statements")
"""Statement families by their first word."""

_CATALOG = "Access control belongs to the catalog service."

MISSING: dict[str, str] = {
    "ANALYZE": "DuckDB needs no statistics.",
    "APPLY": "It runs in a pipeline on Databricks.",
    "BEGIN": "Send the statements one by one.",
    "CALL": "It runs on Apache Spark.",
    "DECLARE": "Use a named parameter of spark.sql.",
    "EXECUTE": "Send the statement's text itself.",
    "EXPORT": "It runs on Apache Hive.",
    "GRANT": _CATALOG,
    "IMPORT": "It runs on Apache Hive.",
    "LIST": "List the folder in Python.",
    "LOAD": "Read the files with spark.read and insert them.",
    "LOCK": "It runs on Apache Hive.",
    "REVOKE": _CATALOG,
    "UNDROP": "It runs on Databricks.",
    "UNLOCK": "It runs on Apache Hive.",
}
"""Statements of Spark and Databricks that Headwater lacks, and the way out."""


def statement(*words: str) -> Callable[[Statement], Statement]:
    """Decorator: the function reads statements that start with one of `words`."""
    return statements.register(*words)

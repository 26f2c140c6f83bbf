"""COMMENT ON TABLE | SCHEMA."""

from __future__ import annotations

from headwater.errors import unsupported
from headwater.plan.commands import Command, CommentOn
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement


@statement("COMMENT")
def comment(reader: Reader) -> Command:
    """COMMENT ON TABLE | SCHEMA name IS 'text' | NULL."""
    reader.expect("ON")
    word = reader.accept_any("TABLE", "SCHEMA", "DATABASE", "NAMESPACE")
    if not word:
        raise unsupported(f"COMMENT ON {reader.peek()}")
    name = reader.names()
    reader.expect("IS")
    text = None if reader.accept("NULL") else reader.string()
    return CommentOn("table" if word == "TABLE" else "schema", name, text)

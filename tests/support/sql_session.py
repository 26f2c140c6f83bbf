"""A session driven by SQL text, and its answers as plain rows."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.errors import SparkError
from headwater.plan.commands import Command
from headwater.plan.relations import Relation, ShowString
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sql import parse_statement


class Sql:
    """Runs statements in one session over a warehouse folder."""

    def __init__(self, warehouse: str, **settings: str) -> None:
        self.runtime = Runtime.local({"headwater.durability": "none", **settings}, warehouse=warehouse)
        self.session = Session(self.runtime)

    def relation(self, text: str) -> Relation | None:
        """The statement's result."""
        node = parse_statement(text)
        return self.session.run(node) if isinstance(node, Command) else node

    def __call__(self, text: str) -> list[tuple[Any, ...]]:
        """The statement's rows; empty if it has no result."""
        relation = self.relation(text)
        if relation is None:
            return []
        return [tuple(row.values()) for row in self.session.execute(relation).table().to_pylist()]

    def show(self, text: str, rows: int = 20, truncate: int = 20, *, vertical: bool = False) -> str:
        """What `show()` prints."""
        relation = self.relation(text)
        assert relation is not None
        return self.session.execute(ShowString(relation, rows, truncate, vertical)).table()[0][0].as_py()

    def refused(self, text: str, condition: str) -> SparkError:
        """The statement fails with this condition."""
        with pytest.raises(SparkError) as caught:
            self(text)
        assert caught.value.condition == condition, caught.value
        return caught.value

    def close(self) -> None:
        """End the session and the runtime."""
        self.session.close()
        self.runtime.close()

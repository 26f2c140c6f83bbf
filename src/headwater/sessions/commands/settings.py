"""SET, RESET, and what `spark.conf` may change.

Invariants: settings that only a server start can change are refused; a printed value of a secret-looking key is
masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headwater.errors import AnalysisError
from headwater.log import redact
from headwater.plan.commands import ResetConf, SetConf
from headwater.plan.relations import Relation
from headwater.sessions.commands.base import command
from headwater.sessions.leaves import rows, text_schema

if TYPE_CHECKING:
    from headwater.sessions.session import Session

STATIC = frozenset({"spark.sql.warehouse.dir", "spark.master", "spark.app.name", "headwater.durability"})
"""Settings of the server that a session cannot change."""


@command(SetConf)
def set_conf(node: SetConf, session: Session) -> Relation:
    """Set a value, or show one or all."""
    schema = text_schema("key", "value")
    if node.key is None:
        return rows(schema, sorted(redact(dict(session.settings)).items()))
    if node.value is None:
        value = session.settings.lookup(node.key)
        return rows(schema, [(node.key, "<undefined>" if value is None else redact({node.key: value})[node.key])])
    change(session, node.key, node.value)
    return rows(schema, [(node.key, node.value)])


@command(ResetConf)
def reset_conf(node: ResetConf, session: Session) -> None:
    """Back to the server's values."""
    keys = [node.key] if node.key is not None else list(session.settings)
    for key in keys:
        session.settings.unset(key)


def change(session: Session, key: str, value: str) -> None:
    """Set a session setting. Raises CANNOT_MODIFY_STATIC_CONFIG, INVALID_CONF_VALUE."""
    if not is_modifiable(key):
        raise AnalysisError("CANNOT_MODIFY_STATIC_CONFIG", key=f'"{key}"')
    session.settings.set(key, value)


def is_modifiable(key: str) -> bool:
    """Whether a session may set `key`."""
    return key not in STATIC

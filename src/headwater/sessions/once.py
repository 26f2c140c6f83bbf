"""Writes to Delta tables that are done once for an (application, version), as the session's settings ask.

Invariant: a statement's own options come before the settings, and both parts must be given, as in Delta.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_APP, _VERSION = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
_RESET = "spark.databricks.delta.write.txnVersion.autoReset.enabled"

Txn = tuple[str, int]


def asked(session: Session) -> Txn | None:
    """The (application, version) that the settings name."""
    app, version = session.settings.lookup(_APP), session.settings.lookup(_VERSION)
    return (app, int(version)) if app and version else None


def forget(txn: Txn | None, session: Session) -> None:
    """After a statement that was done once, if the session says so, the next one needs a version of its own."""
    if txn is not None and session.settings.flag(_RESET):
        session.settings.unset(_VERSION)

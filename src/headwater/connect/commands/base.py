"""How a protocol command is run: by its own handler, else decoded to a plan command and run by the session.

    @handler("checkpoint_command")
    def checkpoint(call: Call, message: Any) -> None: ...

Invariant: a command has one handler or one decoder; without either, UNSUPPORTED_FEATURE names it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headwater.connect.artifacts import Artifacts
from headwater.connect.decode.base import Decoder
from headwater.connect.execute import Operation
from headwater.connect.session import SessionHolder
from headwater.plan.commands import Command
from headwater.plan.relations import LocalData, Relation
from headwater.registry import Registry
from headwater.sessions.interrupting import interruptible
from headwater.sessions.session import Session


@dataclass(frozen=True)
class Call:
    """A command being run: for whom, and where its answers go."""

    operation: Operation
    decoder: Decoder

    @property
    def holder(self) -> SessionHolder:
        """The session's protocol side."""
        return self.operation.holder

    @property
    def session(self) -> Session:
        """The session."""
        return self.operation.holder.session

    def answer(self, **parts: Any) -> None:
        """Send one response."""
        self.operation.send(**parts)


handlers: Registry[Callable[[Call, Any], None]] = Registry("headwater.connect.commands")
handler = handlers.register


def decoder_for(session: Session, artifacts: Artifacts) -> Decoder:
    """A decoder that sees the session's artifacts and settings."""

    def run(command: Command) -> Relation:
        return session.run(command) or LocalData(pa.table({}))

    return Decoder(artifacts.cached, run, session.settings["spark.sql.sources.default"], artifacts.python_paths)


def run_protocol_command(operation: Operation, decoder: Decoder, message: Any) -> None:
    """Run a `Command` message."""
    kind = message.WhichOneof("command_type")
    handle = handlers.get(kind) if kind else None
    with interruptible() as interrupt:
        operation.on_cancel(interrupt.cancel)
        if handle is not None:
            handle(Call(operation, decoder), getattr(message, kind))
        else:
            operation.holder.session.run(decoder.command(message))

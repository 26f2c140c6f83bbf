"""How commands are found and run: one function per command class, registered by decorator.

    @command(Use)
    def use(node: Use, session: Session) -> Relation | None: ...

Invariants: a command class has one function; a function returns its result as a relation, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from headwater.errors import unsupported
from headwater.plan.commands import Command
from headwater.plan.relations import Relation
from headwater.registry import Registry

if TYPE_CHECKING:
    from headwater.sessions.session import Session

Runner = Callable[[Any, Any], "Relation | None"]
F = TypeVar("F", bound=Runner)

commands: Registry[Runner] = Registry("headwater.sessions.commands")
"""Functions by the name of the command class they run."""


def command(kind: type[Command]) -> Callable[[F], F]:
    """Decorator: the function runs commands of class `kind`."""

    def enter(runner: F) -> F:
        commands.register(kind.__name__)(runner)
        return runner

    return enter


def run_command(node: Command, session: Session) -> Relation | None:
    """Run a command. Raises UNSUPPORTED_FEATURE for a class nobody runs."""
    runner = commands.get(type(node).__name__)
    if runner is None:
        raise unsupported(f"the command {type(node).__name__}")
    return runner(node, session)

"""Register by decorator, discover by directory.

Connectors, functions, decoders, operators and commands each live in a module of a package and register
themselves by decorator; the registry imports the package's modules when it is first asked. Adding one
touches its own file and its test, nothing else.

Invariants: a name has one owner (a second registration raises and names both); look-ups do not depend on
import order.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things found in the modules of `package`.

    Args:
        package: dotted name of the package whose modules register here.
        fold: if true (default), names are compared without case.
    """

    def __init__(self, package: str, *, fold: bool = True) -> None:
        self._package = package
        self._fold = fold
        self._entries: dict[str, T] = {}
        self._loaded = False

    def register(self, *names: str) -> Callable[[T], T]:
        """Decorator: enter the decorated thing under each of `names`."""

        def enter(thing: T) -> T:
            for name in names:
                key = self._key(name)
                owner = self._entries.get(key)
                if owner is not None and _place(owner) != _place(thing):
                    msg = f"`{name}` is registered twice in {self._package}: {_place(owner)} and {_place(thing)}"
                    raise ValueError(msg)
                self._entries[key] = thing
            return thing

        return enter

    def get(self, name: str) -> T | None:
        """The thing registered as `name`, or None."""
        self._load()
        return self._entries.get(self._key(name))

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._load()
        return sorted(self._entries)

    def items(self) -> Iterator[tuple[str, T]]:
        """All registered pairs, sorted by name."""
        self._load()
        return iter(sorted(self._entries.items()))

    def _key(self, name: str) -> str:
        return name.lower() if self._fold else name

    def _load(self) -> None:
        if self._loaded:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._loaded = True


def _place(thing: object) -> str:
    thing = getattr(thing, "build", thing)
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', repr(thing))}"

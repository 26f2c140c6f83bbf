"""Register by decorator, discover by directory.

Connectors, functions, decoders, operators and commands each live in a module of a package and register
themselves by decorator; the registry imports the package's modules when it is asked, until it has found the name: a
module of that name first, folders last. Adding one touches its own file and its test, nothing else.

Invariants: a name has one owner (a second registration raises and names both, once both are imported); look-ups do not
depend on import order.
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
        self._unloaded: list[pkgutil.ModuleInfo] | None = None

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
        key = self._key(name)
        while key not in self._entries and self._load_next(key):
            pass
        return self._entries.get(key)

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
        while self._load_next(""):
            pass

    def _load_next(self, key: str) -> bool:
        """Import one more module, that named like `key` if it is to come; False if there is none."""
        if self._unloaded is None:
            package = importlib.import_module(self._package)
            self._unloaded = sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.ispkg)
        if not self._unloaded:
            return False
        wanted = key.lower()
        like = (one for one in self._unloaded if one.name.replace("_", "") == wanted)
        module = next(like, self._unloaded[0])
        importlib.import_module(f"{self._package}.{module.name}")  # it may register here itself: it is taken off after
        if module in self._unloaded:
            self._unloaded.remove(module)
        return True


def _place(thing: object) -> str:
    thing = getattr(thing, "build", thing)
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', repr(thing))}"

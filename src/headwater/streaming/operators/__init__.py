"""Stateful operators, one file each; a file registers what it runs by `base.stateful`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache


@cache
def load_operators() -> None:
    """Import every file of this directory."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")

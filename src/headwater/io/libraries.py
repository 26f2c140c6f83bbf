"""Libraries that only some formats need: loaded when a file of such a format is read.

Invariant: one that is missing is named together with the command that installs it.
"""

from __future__ import annotations

import importlib
from typing import Any

from headwater.errors import unsupported


def library(module: str, extra: str) -> Any:
    """The module. Raises UNSUPPORTED_FEATURE with the `pip install` line if it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        name = module.partition(".")[0]
        raise unsupported(f"the format {extra} without {name}", f'pip install "headwater[{extra}]"') from cause

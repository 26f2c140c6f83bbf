"""Loggers under the one name `headwater`, silent until a program configures logging.

Invariant: secrets never reach a log line; values of option names that look like secrets are masked by `redact`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

_SECRET = re.compile(
    r"secret|password|passwd|token|credential|access[._-]?key|account[._-]?key|sas|jaas", re.IGNORECASE
)

logging.getLogger("headwater").addHandler(logging.NullHandler())


def logger(name: str) -> logging.Logger:
    """The logger `headwater.<name>`."""
    return logging.getLogger(f"headwater.{name}")


def redact(options: Mapping[str, str]) -> dict[str, str]:
    """The same options with the values of secret-looking names replaced by `*********(redacted)`."""
    return {key: "*********(redacted)" if _SECRET.search(key) else value for key, value in options.items()}

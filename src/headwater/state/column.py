"""One column of a state: its name in SQL, what users see in it, and how it is stored.

Invariant: a column's description never holds rows; it is the same in every run of a query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql.types import DataType
from sqlglot import exp

Loaded = Callable[[exp.Expression, pa.DataType], exp.Expression]
"""From a stored column, and the Arrow type it is stored as, to the value the table holds."""
Shown = Callable[[exp.Column], exp.Expression]
"""From the table's column to the value users see."""


@dataclass(frozen=True)
class StateColumn:
    """See the module.

    Attributes:
        name: its name in SQL.
        kind: the Spark type of what users see in it.
        label: the name users see; default: `name`.
        loaded: how a stored value becomes the table's; None: as it is.
        shown: what readers of the state see of the table's value; None: the value as a `kind`.
    """

    name: str
    kind: DataType
    label: str = ""
    loaded: Loaded | None = None
    shown: Shown | None = None

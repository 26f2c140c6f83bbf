"""What type several values take together, with the compiler's errors. The lattice itself is `functions.widening`."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import DataType

from headwater.errors import AnalysisError
from headwater.functions.widening import common_type
from headwater.types.ddl import type_sql


def common_type_of(types: Sequence[DataType | None], where: str) -> DataType:
    """The type all of `types` are brought to. Raises DATATYPE_MISMATCH.DATA_DIFF_TYPES."""
    known = [t for t in types if t is not None]
    found = common_type(known)
    if found is None:
        shown = "[" + ", ".join(f'"{type_sql(t)}"' for t in known) + "]"
        raise AnalysisError(
            "DATATYPE_MISMATCH.DATA_DIFF_TYPES", sqlExpr=f'"{where}"', functionName=f"`{where}`", dataType=shown
        )
    return found

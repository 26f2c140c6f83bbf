"""ORC: read stripe by stripe through Arrow.

Invariants: TIMESTAMP is stored as a local time and read as one of the session's zone (Spark takes that of its JVM,
which is the session's unless one of them was set); dates before 1582 are as the file counts them, which is the Julian
calendar in files of Spark; `spark.sql.catalyst.type` of a column says what Spark wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
from pyspark.sql.types import (
    ArrayType,
    DataType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headwater.errors import FileReadError
from headwater.io.formats.arrow_files import ArrowFiles, Batches
from headwater.io.formats.base import FormatOptions, formats
from headwater.io.s3_files import opened
from headwater.io.storage import FileStatus
from headwater.types.arrow import from_arrow
from headwater.types.ddl import parse_type

_WRITTEN = b"spark.sql.catalyst.type"


class Orc(ArrowFiles):
    """The format `orc`."""

    title = "ORC"
    extensions: tuple[str, ...] = (".orc",)
    local_times = True

    def stored(self, file: FileStatus, options: FormatOptions) -> StructType:  # noqa: ARG002
        """See `ArrowFiles.stored`. Raises FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER."""
        return _stored(file)

    def batches(self, file: FileStatus, stored: StructType, wanted: Sequence[str], options: FormatOptions) -> Batches:  # noqa: ARG002
        """See `ArrowFiles.batches`: a batch a stripe."""
        from pyarrow.orc import ORCFile

        source = ORCFile(opened(file.path))
        for stripe in range(source.nstripes):
            yield source.read_stripe(stripe, list(wanted)).select(list(wanted))


formats.register("orc")(Orc())


@lru_cache(maxsize=1024)
def _stored(file: FileStatus) -> StructType:
    from pyarrow.orc import ORCFile

    try:
        schema = ORCFile(opened(file.path)).schema
    except Exception as cause:  # Arrow has an error of its own for each library below it
        raise FileReadError("FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER", path=file.uri or file.path) from cause
    return StructType([_field(field) for field in schema])


def _field(field: pa.Field) -> StructField:
    return StructField(field.name, _type(field), True)


def _type(field: pa.Field) -> DataType:
    written = (field.metadata or {}).get(_WRITTEN)
    if written is not None:
        known = parse_type(written.decode())
        return StringType() if known.typeName() in {"char", "varchar"} else known
    kind = field.type
    if pa.types.is_struct(kind):
        return StructType([_field(kind.field(at)) for at in range(kind.num_fields)])
    if pa.types.is_list(kind):
        return ArrayType(_type(kind.value_field), True)
    if pa.types.is_map(kind):
        return MapType(_type(kind.key_field), _type(kind.item_field), True)
    found: DataType = from_arrow(kind)
    return TimestampType() if isinstance(found, TimestampNTZType) else found

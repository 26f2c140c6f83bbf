"""The batch source `state-metadata`: which stateful operators a checkpoint belongs to, and which batches can be read.

Invariants: columns are Spark's, one row per store; nothing in the checkpoint is changed.
"""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa
from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType

from headwater.errors import IllegalArgumentError, RuntimeSparkError, unsupported
from headwater.io.storage import Storage
from headwater.sources.base import BatchInput, SourceContext, SourceRequest, StreamSource, arrow_query, sources
from headwater.state.metadata import DEFAULT, read_operators, state_folder
from headwater.state.schema import NAME
from headwater.types.arrow import arrow_schema

SCHEMA = StructType(
    [
        StructField("operatorId", LongType()),
        StructField("operatorName", StringType()),
        StructField("stateStoreName", StringType()),
        StructField("numPartitions", IntegerType()),
        StructField("minBatchId", LongType()),
        StructField("maxBatchId", LongType()),
        StructField("operatorProperties", StringType()),
    ]
)
HIDDEN = (StructField("_numColsPrefixKey", IntegerType()),)


class StateMetadataProvider:
    """The source `state-metadata`."""

    hidden = HIDDEN
    """Columns that are found by name but are not part of `*`."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:  # noqa: ARG002
        """The columns."""
        if request.schema is not None:
            raise IllegalArgumentError("SOURCE_TAKES_NO_SCHEMA", source=request.format)
        return SCHEMA

    def open(self, request: SourceRequest, context: SourceContext) -> StreamSource:  # noqa: ARG002
        """It is no stream."""
        raise unsupported("reading `state-metadata` as a stream", "Read it with spark.read.")

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """A row per store. Raises STDS_REQUIRED_OPTION_UNSPECIFIED, STDS_FAILED_TO_READ_OPERATOR_METADATA."""
        schema = self.schema(request, context)
        if not request.paths:
            raise RuntimeSparkError("STDS_REQUIRED_OPTION_UNSPECIFIED", optionName="path")
        everything = StructType([*SCHEMA.fields, *HIDDEN])
        rows = _rows(context.storage, context.mounts.local(request.paths[0]).rstrip("/"))
        name = f"state_metadata_{uuid.uuid4().hex}"
        table = pa.Table.from_pylist(rows, schema=arrow_schema(everything))
        return BatchInput(arrow_query(name, everything), {name: table}, len(rows)), schema


sources.register("state-metadata")(StateMetadataProvider())


def _rows(storage: Storage, checkpoint: str) -> list[dict[str, Any]]:
    batches = [int(name) for name in storage.list(f"{checkpoint}/commits") if name.isdecimal()]
    try:
        operators = read_operators(storage, checkpoint)
    except (ValueError, KeyError) as cause:
        raise RuntimeSparkError(
            "STDS_FAILED_TO_READ_OPERATOR_METADATA",
            checkpointLocation=checkpoint,
            batchId=max(batches, default=-1),
        ) from cause
    return [
        {
            "operatorId": number,
            "operatorName": operator.name,
            "stateStoreName": store,
            "numPartitions": 1,
            "minBatchId": min(batches, default=-1),
            "maxBatchId": max(batches, default=-1),
            "_numColsPrefixKey": 0,
        }
        for number, operator in operators.items()
        for store in stores(storage, checkpoint, number)
    ]


def stores(storage: Storage, checkpoint: str, number: int) -> list[str]:
    """The stores in which an operator keeps rows: those with a noted schema."""
    folder = state_folder(checkpoint, number)
    named = sorted(name for name in storage.list(folder) if storage.exists(f"{folder}/{name}/{NAME}"))
    return [*([DEFAULT] if storage.exists(f"{folder}/{NAME}") else []), *named]

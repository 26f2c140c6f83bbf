"""What compiling a relation gives: a DuckDB query whose columns have unique names, and Spark's view of them.

Invariants: `query` selects exactly the attributes, in order, each under its `sql` name; `sql` names are unique
within the query, Spark names need not be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
from pyspark.sql.types import DataType, StructField, StructType
from sqlglot import exp


@dataclass(frozen=True)
class Attribute:
    """One output column.

    Attributes:
        name: Spark's column name (may repeat among the columns of a relation).
        type, nullable, metadata: as in Spark's schema.
        sql: the column's unique name in the emitted query.
        qualifiers: names it can be reached by before the dot: table names, aliases.
        plan_ids: the client's DataFrames that `df["name"]` may mean.
        origin: the `sql` name of the column that this one is a copy of (`SELECT a, a`), else empty.
    """

    name: str
    type: DataType
    nullable: bool
    sql: str
    qualifiers: tuple[tuple[str, ...], ...] = ()
    plan_ids: frozenset[int] = frozenset()
    origin: str = field(default="", kw_only=True)
    metadata: Mapping[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Resolved:
    """A compiled relation.

    Attributes:
        query: the DuckDB query.
        attributes: its columns.
        inputs: Arrow data the query names; register it on the connection before running.
        streaming: whether a stream is among the leaves.
        hidden: columns the query selects after the attributes, found by name but not part of `*`.
    """

    query: exp.Query
    attributes: tuple[Attribute, ...]
    inputs: Mapping[str, pa.Table | pa.RecordBatchReader] = field(default_factory=dict)
    streaming: bool = False
    hidden: tuple[Attribute, ...] = ()

    @property
    def schema(self) -> StructType:
        """Spark's schema."""
        return StructType([StructField(a.name, a.type, a.nullable, dict(a.metadata) or None) for a in self.attributes])

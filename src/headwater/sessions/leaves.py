"""Leaves of a plan: queries whose columns carry Spark's schema, and rows as local data.

Invariants: a leaf's columns have unique names whatever the schema's names are; rows given to `rows` have the
schema's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
from pyspark.sql.types import StringType, StructField, StructType
from sqlglot import exp

from headwater.compile.resolved import Attribute, Resolved
from headwater.io.formats.scan import FILE_FIELD
from headwater.plan.relations import LocalData
from headwater.types.arrow import arrow_schema
from headwater.types.duck import to_duck

_ALIAS = "leaf"


def leaf(
    query: exp.Query,
    schema: StructType,
    *,
    inputs: Mapping[str, pa.Table | pa.RecordBatchReader] | None = None,
    streaming: bool = False,
    qualifier: tuple[str, ...] = (),
    hidden: Sequence[StructField] = (),
) -> Resolved:
    """A resolved relation over a query whose columns stand in schema order, then the hidden ones."""
    fields = [*schema.fields, *hidden]
    given = [field.name for field in fields]
    names = _unique(given)
    if names != given:
        alias = exp.TableAlias(
            this=exp.to_identifier(_ALIAS), columns=[exp.to_identifier(n, quoted=True) for n in names]
        )
        query = exp.select("*").from_(exp.Subquery(this=query, alias=alias))
    qualifiers = (qualifier,) if qualifier else ()
    attributes = tuple(
        Attribute(field.name, field.dataType, field.nullable, name, qualifiers, metadata=field.metadata or {})
        for field, name in zip(fields, names, strict=True)
    )
    width = len(schema.fields)
    return Resolved(query, attributes[:width], dict(inputs or {}), streaming, attributes[width:])


def empty(
    schema: StructType, *, streaming: bool = False, qualifier: tuple[str, ...] = (), file_column: bool = False
) -> Resolved:
    """A leaf without rows."""
    hidden = [FILE_FIELD] if file_column else []
    fields = [*schema.fields, *hidden]
    columns = [
        exp.alias_(exp.Cast(this=exp.Null(), to=to_duck(field.dataType)), field.name, quoted=True) for field in fields
    ]
    query = exp.select(*columns or [exp.Null()]).where(exp.false())
    return leaf(query, schema, streaming=streaming, qualifier=qualifier, hidden=hidden)


def rows(schema: StructType, values: Iterable[Sequence[object]]) -> LocalData:
    """Rows as a relation."""
    shape = arrow_schema(schema, "UTC")
    columns = list(zip(*values, strict=True)) or [()] * len(shape)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, shape, strict=True)]
    return LocalData(pa.Table.from_arrays(arrays, schema=shape), schema)


def text_schema(*names: str, optional: Sequence[str] = ()) -> StructType:
    """A schema of strings; those in `optional` may be null."""
    return StructType([StructField(name, StringType(), name in optional) for name in names])


def _unique(names: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, count = name, 0
        while candidate.lower() in taken or not candidate:
            count += 1
            candidate = f"{name}_{count}"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique

"""What a state's keys and values are: noted in `schema.json`, compared at every start, shown to readers of the state.

Invariants: names and labels may change between runs, types may not; a field may become nullable, never the reverse.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType
from sqlglot import exp

from headwater.duck import Printed, sql_text
from headwater.errors import RuntimeSparkError
from headwater.io.checksum import create_checked, read_checked
from headwater.io.storage import Storage
from headwater.state.column import StateColumn

NAME = "schema.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Stored:
    """A column as it is noted; the expressions are DuckDB text over the column.

    Attributes:
        name: its name in the files.
        field: what users see.
        loaded: from the stored value to the table's; empty: as it is.
        shown: from the table's value to what users see.
    """

    name: str
    field: StructField
    loaded: str
    shown: str

    def column(self) -> StateColumn:
        """The column for a table that is only read."""
        loaded = Printed(this=self.loaded)
        return StateColumn(
            self.name,
            self.field.dataType,
            self.field.name,
            (lambda _value, _type: loaded) if self.loaded else None,
            lambda _value: Printed(this=self.shown),
        )


@dataclass(frozen=True)
class StateSchema:
    """The columns of one state.

    Attributes:
        like: a DuckDB query that has all columns and names no table, for those whose types have no text; or empty.
    """

    keys: tuple[Stored, ...]
    values: tuple[Stored, ...]
    like: str = ""

    @classmethod
    def of(
        cls, keys: Sequence[StateColumn], values: Sequence[StateColumn], types: pa.Schema, like: exp.Query | None = None
    ) -> StateSchema:
        """From the columns an operator declares, and the Arrow types they are stored as."""
        made = [tuple(_stored(c, types.field(c.name).type) for c in columns) for columns in (keys, values)]
        return cls(made[0], made[1], sql_text(like) if like else "")

    @property
    def key_type(self) -> StructType:
        """The keys as users see them."""
        return StructType([column.field for column in self.keys])

    @property
    def value_type(self) -> StructType:
        """The values as users see them."""
        return StructType([column.field for column in self.values])

    def text(self) -> str:
        """The JSON of `schema.json`."""
        parts = {"keys": self.keys, "values": self.values}
        columns = {
            part: [{"name": c.name, "field": c.field.jsonValue(), "loaded": c.loaded, "shown": c.shown} for c in found]
            for part, found in parts.items()
        }
        return json.dumps({"version": FORMAT_VERSION, **columns, "like": self.like}, indent=1, ensure_ascii=False)

    @classmethod
    def parse(cls, text: bytes) -> StateSchema:
        """From the JSON. Raises ValueError, KeyError."""
        noted = json.loads(text)
        return cls(_parsed(noted["keys"]), _parsed(noted["values"]), noted["like"])


def check_schema(storage: Storage, folder: str, now: StateSchema, *, refuse: bool = True) -> None:
    """Note the schema at the first start; later compare with the noted one, unless nothing is to be refused.

    Raises STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE, STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE.
    """
    noted = read_schema(storage, folder)
    if noted is None:
        create_checked(storage, f"{folder}/{NAME}", now.text().encode())
        return
    if not refuse:
        return
    if not compatible(now.key_type, noted.key_type):
        raise RuntimeSparkError(
            "STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE",
            storedKeySchema=shown_type(noted.key_type),
            newKeySchema=shown_type(now.key_type),
        )
    if not compatible(now.value_type, noted.value_type):
        raise RuntimeSparkError(
            "STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE",
            storedValueSchema=shown_type(noted.value_type),
            newValueSchema=shown_type(now.value_type),
        )


def read_schema(storage: Storage, folder: str) -> StateSchema | None:
    """The noted schema, or None. Raises ValueError, KeyError if it cannot be understood."""
    try:
        return StateSchema.parse(read_checked(storage, f"{folder}/{NAME}"))
    except FileNotFoundError:
        return None


def compatible(now: DataType, noted: DataType) -> bool:
    """Whether values of one type can go where the other was written: names aside, and not more nulls."""
    if isinstance(now, StructType) and isinstance(noted, StructType):
        return len(now) == len(noted) and all(
            (b.nullable or not a.nullable) and compatible(a.dataType, b.dataType)
            for a, b in zip(now, noted, strict=True)
        )
    if isinstance(now, ArrayType) and isinstance(noted, ArrayType):
        return (noted.containsNull or not now.containsNull) and compatible(now.elementType, noted.elementType)
    if isinstance(now, MapType) and isinstance(noted, MapType):
        nulls = noted.valueContainsNull or not now.valueContainsNull
        return nulls and compatible(now.keyType, noted.keyType) and compatible(now.valueType, noted.valueType)
    return bool(now == noted)


def shown_type(kind: DataType) -> str:
    """The type as Scala prints it, which is how Spark's messages show it."""
    if isinstance(kind, StructType):
        inner = (f"StructField({f.name},{shown_type(f.dataType)},{str(f.nullable).lower()})" for f in kind)
        return f"StructType({','.join(inner)})"
    if isinstance(kind, ArrayType):
        return f"ArrayType({shown_type(kind.elementType)},{str(kind.containsNull).lower()})"
    if isinstance(kind, MapType):
        nulls = str(kind.valueContainsNull).lower()
        return f"MapType({shown_type(kind.keyType)},{shown_type(kind.valueType)},{nulls})"
    return repr(kind).replace("()", "").replace(", ", ",").replace("'", "")


def _stored(column: StateColumn, stored: pa.DataType) -> Stored:
    value = exp.column(column.name, quoted=True)
    loaded = sql_text(column.loaded(value.copy(), stored)) if column.loaded else ""
    shown = sql_text(column.shown(value) if column.shown else value)
    return Stored(column.name, StructField(column.label or column.name, column.kind, True), loaded, shown)


def _parsed(columns: Sequence[dict[str, Any]]) -> tuple[Stored, ...]:
    return tuple(Stored(c["name"], StructField.fromJson(c["field"]), c["loaded"], c["shown"]) for c in columns)

"""Spark's published function examples: load them, run them in process, and compare as Spark's own tests do.

Rows are compared as a multiset of Hive-style strings, columns by name and type; an example whose result is random or
depends on the clock or user is compared by its columns only. Nullability is compared apart.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

from pyspark.sql import types as t

from headwater.plan.commands import Command
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sql import parse_statement

FOLDER = Path(__file__).resolve().parents[1] / "data" / "spark_gold"
ZONE = "America/Los_Angeles"
_UNSTEADY = re.compile(
    r"\b(rand|randn|random|randstr|uuid|shuffle|current_timestamp|current_date|curdate|current_time|now|localtimestamp"
    r"|current_timezone|current_user|session_user|user|version|unix_timestamp\(\)|randomUUID|monotonically_increasing_id"
    r"|java_method|reflect|try_reflect|sample|current_date\(\))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        id: stable name, `group/hash of the query`.
        rows: Hive-style strings, columns joined by a tab.
    """

    id: str
    group: str
    query: str
    rows: tuple[str, ...]
    schema: t.StructType

    @property
    def steady(self) -> bool:
        """Whether the rows are the same every time."""
        return not _UNSTEADY.search(self.query)


@dataclass(frozen=True)
class Outcome:
    """What running an example showed: `problem` is empty if rows, names and types agree."""

    problem: str
    nullability: bool = False


@cache
def examples() -> tuple[Example, ...]:
    """All examples, by group and place in the file."""
    return tuple(_load())


def _load() -> Iterator[Example]:
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            digest = sha1(row["query"].encode()).hexdigest()[:10]
            schema = row["schema"] if isinstance(row["schema"], dict) else json.loads(row["schema"])
            made = t.StructType.fromJson(_void(schema))
            yield Example(f"{path.stem}/{digest}", path.stem, row["query"], tuple(row["result"]), made)


def _void(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: ("void" if key in ("type", "elementType", "valueType", "keyType") and item == "null" else _void(item))
            for key, item in node.items()
        }
    return [_void(item) for item in node] if isinstance(node, list) else node


def new_session(folder: Path) -> Session:
    """A session as the examples were made with: Los Angeles, ANSI."""
    runtime = Runtime.local({"spark.sql.warehouse.dir": str(folder)})
    session = Session(runtime)
    session.settings.set("spark.sql.session.timeZone", ZONE)
    return session


def check(example: Example, session: Session) -> Outcome:
    """Run the example and compare."""
    try:
        return _compare(example, *run(example.query, session))
    except Exception as error:
        first = str(error).strip().splitlines()[:1]
        return Outcome(f"{type(error).__name__}: {first[0] if first else ''}")


def run(query: str, session: Session) -> tuple[t.StructType, list[str]]:
    """The query's schema and its rows as Hive-style strings."""
    node = parse_statement(query.strip().rstrip(";"), {}, ())
    relation = session.run(node) if isinstance(node, Command) else node
    assert relation is not None
    execution = session.execute(relation)
    schema = execution.schema
    table = execution.table()
    columns = [column.to_pylist() for column in table.columns]
    rows = zip(*columns, strict=True) if columns else iter(())
    return schema, [
        "\t".join(text(value, f.dataType) for value, f in zip(row, schema.fields, strict=True)) for row in rows
    ]


def _compare(example: Example, schema: t.StructType, rows: list[str]) -> Outcome:
    names = [field.name for field in schema.fields]
    expected = [field.name for field in example.schema.fields]
    if names != expected:
        return Outcome(f"names {names} instead of {expected}")
    kinds = [field.dataType.simpleString() for field in schema.fields]
    wanted = [field.dataType.simpleString() for field in example.schema.fields]
    if kinds != wanted:
        return Outcome(f"types {kinds} instead of {wanted}")
    if example.steady and _multiset(rows) != _multiset(example.rows):
        return Outcome(f"rows {rows} instead of {list(example.rows)}")
    return Outcome("", _plain(schema) == _plain(example.schema))


def _plain(schema: t.StructType) -> str:
    return json.dumps([(f.name, json.loads(f.dataType.json()), f.nullable) for f in schema.fields])


def _multiset(rows: list[str] | tuple[str, ...]) -> Counter[str]:
    return Counter(line.strip() for row in rows for line in row.split("\n") if line.strip())


# ── Hive-style strings ──────────────────────────────────────────────────────────────────────────────────────


def text(value: Any, kind: t.DataType, nested: bool = False) -> str:
    """A value as Spark's `HiveResult` writes it."""
    if value is None:
        return "null" if nested else "NULL"
    if isinstance(kind, t.StringType):
        return f'"{value}"' if nested else str(value)
    if isinstance(kind, t.BooleanType):
        return "true" if value else "false"
    if isinstance(kind, t.ArrayType):
        return "[" + ",".join(text(item, kind.elementType, True) for item in value) + "]"
    if isinstance(kind, t.MapType):
        pairs = value.items() if isinstance(value, dict) else value
        return "{" + ",".join(f"{text(k, kind.keyType, True)}:{text(v, kind.valueType, True)}" for k, v in pairs) + "}"
    if isinstance(kind, t.VariantType):
        return _variant(value)
    if isinstance(kind, t.StructType):
        return "{" + ",".join(f'"{f.name}":{text(value[f.name], f.dataType, True)}' for f in kind.fields) + "}"
    return _scalar(value, kind)


def _variant(value: Any) -> str:
    from pyspark.sql.types import VariantVal

    if isinstance(value, dict):
        value = VariantVal(value["value"], value["metadata"])
    return value.toJson() if isinstance(value, VariantVal) else str(value)


def _scalar(value: Any, kind: t.DataType) -> str:
    from headwater.compile.naming import java_double

    if isinstance(kind, t.DoubleType | t.FloatType):
        return java_double(value, isinstance(kind, t.FloatType))
    if isinstance(kind, t.DecimalType):
        return f"{Decimal(value):f}"
    if isinstance(kind, t.BinaryType):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(kind, t.TimestampType | t.TimestampNTZType):
        return _instant(value, isinstance(kind, t.TimestampType))
    if isinstance(kind, t.DayTimeIntervalType):
        return _day_time(value)
    if isinstance(kind, t.YearMonthIntervalType):
        months = value if isinstance(value, int) else value[0]
        return f"{'-' if months < 0 else ''}{abs(months) // 12}-{abs(months) % 12}"
    return str(value)


def _instant(value: dt.datetime, zoned: bool) -> str:
    from zoneinfo import ZoneInfo

    local = value.astimezone(ZoneInfo(ZONE)) if zoned else value
    shown = f"{local.year:04d}-{local:%m-%d %H:%M:%S}"
    return f"{shown}.{local.microsecond:06d}".rstrip("0") if local.microsecond else shown


def _day_time(value: dt.timedelta) -> str:
    micros = round(value / dt.timedelta(microseconds=1))
    sign, rest = ("-" if micros < 0 else ""), abs(micros)
    seconds, fraction = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction * 1000:09d}"
    return f"{sign}{seconds // 86400} {clock}"

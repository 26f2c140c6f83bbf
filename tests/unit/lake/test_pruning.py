"""Pruning: what is dropped, and by property that no file with a matching row ever is."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.lake.actions import AddFile, Metadata
from headwater.lake.bounds import Statistics
from headwater.lake.pruning import matching
from headwater.plan.expressions import Call, Column, Expression, Literal
from headwater.plan.relations import Filter
from headwater.sql import parse_query
from headwater.types.ddl import parse_schema

SCHEMA = parse_schema(
    "id bigint, x double, s string, day date, at timestamp, wall timestamp_ntz, amount decimal(20,3), "
    "st struct<n: int>, f float, p int"
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def condition(text: str) -> Expression:
    plan = parse_query(f"SELECT * FROM t WHERE {text}", {}, ())
    (found,) = (node.condition for node in plan.walk() if isinstance(node, Filter))
    return found


def file(name: str, stats: dict[str, Any] | None = None, **partition: str | None) -> AddFile:
    return AddFile(name, partition, 1, 1, stats=None if stats is None else json.dumps(stats))


def kept(files: list[AddFile], *conditions: str | Expression, **configuration: str) -> list[str]:
    metadata = Metadata("id", SCHEMA.json(), ("p",), configuration)
    asked = [condition(one) if isinstance(one, str) else one for one in conditions]
    return [each.path for each in matching(Statistics(metadata, files), asked, "Europe/Berlin")]


def ranged(column: str, low: Any, high: Any, nulls: int = 0, rows: int = 10) -> dict[str, Any]:
    return {
        "numRecords": rows,
        "minValues": {column: low},
        "maxValues": {column: high},
        "nullCount": {column: nulls},
    }


# ── what is dropped ─────────────────────────────────────────────────────────────────────────────────────────────

THREE = [file("a", ranged("id", 0, 9)), file("b", ranged("id", 10, 19, 1)), file("c", ranged("id", 20, 29)), file("?")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id = 15", "b?"),
        ("t.id = 15L", "b?"),
        ("15 = id", "b?"),
        ("id = '15'", "b?"),
        ("id = 15.5", "b?"),
        ("id <=> 15", "b?"),
        ("id < 10", "a?"),
        ("10 > id", "a?"),
        ("id <= 10", "ab?"),
        ("id > 19", "c?"),
        ("id >= 19", "bc?"),
        ("id BETWEEN 11 AND 12", "b?"),
        ("id NOT BETWEEN 5 AND 100", "a?"),
        ("id IN (3, 25, NULL)", "ac?"),
        ("id IN (30, 40)", "?"),
        ("id IS NULL", "b?"),
        ("id <=> NULL", "b?"),
        ("id = NULL", ""),
        ("id < 5 OR id > 25", "ac?"),
        ("NOT (id < 5 OR id > 25)", "abc?"),
        ("NOT (id >= 10)", "a?"),
        ("id > 5 AND id < 12 AND upper(s) = 'X'", "ab?"),
        ("id + 1 = 15", "abc?"),
        ("id = 15 OR upper(s) = 'X'", "abc?"),
        ("false", ""),
        ("other.thing = 1", "abc?"),
    ],
)
def test_numbers(text: str, expected: str) -> None:
    assert kept(THREE, text) == list(expected)


def test_several_conditions_hold_together() -> None:
    assert kept(THREE, "id > 9", "id < 20") == ["b", "?"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p = 1", "ad"),
        ("p IS NULL", "cd"),
        ("p IS NOT NULL", "abd"),
        ("p <> 1", "bd"),
        ("NOT p IN (1, 2)", "d"),
        ("p > 1 AND id = 5", "bd"),
    ],
)
def test_partition_values(text: str, expected: str) -> None:
    files = [file("a", p="1"), file("b", p="2"), file("c", p=None), file("d", p="")]
    assert kept(files, text) == list(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s = 'aa'", "a"),
        ("s LIKE 'b%'", "b"),
        ("s LIKE 'b_x%'", "b"),
        ("s LIKE '%b'", "ab"),
        ("s LIKE 'b\\%%'", "b"),
        ("startswith(s, 'zz')", "b"),
        ("NOT s LIKE 'a%'", "b"),
        ("s > 'az'", "b"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    long = "z" * 32
    files = [file("a", ranged("s", "aa", "ab")), file("b", ranged("s", "b", long))]
    assert kept(files, text) == list(expected)


@pytest.mark.parametrize("end", ["", "\ufffd", "\U0010ffff"])
def test_a_text_that_was_cut_bounds_all_that_begins_like_it(end: str) -> None:
    files = [file("a", ranged("s", "b", "z" * 32 + end))]
    assert kept(files, Call("==", (Column(("s",)), Literal("z" * 40, SCHEMA["s"].dataType)))) == ["a"]
    assert kept(files, "s > 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz~'") == ["a"]
    assert kept(files, "s > '~'") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("day = DATE'2024-01-01'", "a"),
        ("day = '2024-01-01'", "a"),
        ("day >= CAST('2024-02-01' AS DATE)", "b"),
        ("day > '2024-1-5'", "ab"),
        ("day > TIMESTAMP'2025-01-01 00:00:00'", "ab"),
    ],
)
def test_dates(text: str, expected: str) -> None:
    files = [file("a", ranged("day", "2024-01-01", "2024-01-31")), file("b", ranged("day", "2024-02-01", "2024-02-09"))]
    assert kept(files, text) == list(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at > TIMESTAMP'2024-06-01 14:00:00.005999'", "b"),
        ("at > TIMESTAMP'2024-06-01 14:00:00.005998'", "ab"),
        ("at = '2024-06-01 14:00:00.005500'", "a"),
        ("at < '2024-06-01 13:59:59.999'", ""),
        ("at >= DATE'2024-06-02'", "b"),
        ("wall > TIMESTAMP_NTZ'2024-06-01 12:00:00.005999'", "b"),
    ],
)
def test_times_are_known_to_the_millisecond(text: str, expected: str) -> None:
    first, last = "2024-06-01T12:00:00.000", "2024-06-01T12:00:00.005"
    a = {
        "numRecords": 2,
        "minValues": {"at": first + "Z", "wall": first},
        "maxValues": {"at": last + "Z", "wall": last},
    }
    b = ranged("at", "2024-06-02T14:00:00.000+02:00", "2024-06-03T14:00:00.000+02:00")
    assert kept([file("a", a), file("b", b)], text) == list(expected)


def test_a_number_above_the_upper_bound_may_be_nan() -> None:
    files = [file("a", ranged("x", 1.0, 2.0)), file("b", ranged("x", 3.0, 4.0))]
    assert kept(files, "x > 2.5D") == ["a", "b"]
    assert kept(files, "x > 2.5D AND x < 10D") == ["b"]
    assert kept(files, "x BETWEEN 2.5D AND 10D") == ["b"]
    assert kept(files, "x = 3.5D") == ["b"]
    assert kept(files, "x < 2.5D") == ["a"]
    assert kept(files, "NOT (x < 2.5D)") == ["a", "b"]


def test_a_four_byte_number_is_what_it_is_and_not_its_shortest_text() -> None:
    assert kept([file("a", ranged("f", 0.1, 0.1))], "f > 0.1D AND f < 1D") == ["a"]


def test_fields_of_structs_and_ambiguous_names() -> None:
    stats = {"numRecords": 1, "minValues": {"st": {"n": 5}}, "maxValues": {"st": {"n": 6}}}
    files = [file("a", stats)]
    assert kept(files, "st.n = 7") == kept(files, "t.st.n = 7") == kept(files, "st['n'] = 7") == []
    assert kept(files, "st.n = 5") == ["a"]
    assert kept(files, "st IS NULL") == ["a"]


def test_decimals_are_exact_where_a_writer_can_be() -> None:
    assert kept([file("a", ranged("amount", 1.001, 1.002))], "amount > 1.003") == []
    # A writer that goes through binary numbers leaves the last digits open.
    assert kept([file("a", ranged("amount", 1.0, 12345678901234567.0))], "amount = 12345678901234567.001") == ["a"]


def test_mapped_columns_are_looked_up_by_their_physical_names() -> None:
    schema = parse_schema("id bigint, p int")
    for field, name in zip(schema.fields, ("col-1", "col-2"), strict=True):
        field.metadata = {"delta.columnMapping.physicalName": name}
    metadata = Metadata("id", schema.json(), ("p",), {"delta.columnMapping.mode": "name"})
    files = [AddFile("a", {"col-2": "1"}, 1, 1, stats=json.dumps(ranged("col-1", 1, 2)))]
    assert matching(Statistics(metadata, files), [condition("id = 3")], "UTC") == ()
    assert matching(Statistics(metadata, files), [condition("p = 3")], "UTC") == ()
    assert len(matching(Statistics(metadata, files), [condition("p = 1 AND id = 2")], "UTC")) == 1


@pytest.mark.parametrize("stats", ["", "{", "[1]", '{"minValues": 3}', '{"minValues": {"id": "x"}, "maxValues": null}'])
def test_statistics_that_make_no_sense_are_no_statistics(stats: str) -> None:
    assert kept([AddFile("a", {}, 1, 1, stats=stats)], "id = 1") == ["a"]


# ── what is never dropped ───────────────────────────────────────────────────────────────────────────────────────

TEXTS = st.text(st.sampled_from("ab?\U0001f600\ufffd\U0010ffff"), max_size=3) | st.builds(
    lambda stem, n, end: stem * n + end,
    st.sampled_from(["a", "\U0001f600"]),
    st.integers(14, 34),
    st.sampled_from("ab"),
)
NUMBERS = st.integers(-3, 3)
MOMENTS = st.integers(-3000, 3000)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": NUMBERS,
    "x": st.sampled_from([-1.5, -0.0, 0.0, 1.5, math.inf, math.nan]),
    "s": TEXTS,
    "day": NUMBERS,
    "at": MOMENTS,
    "wall": MOMENTS,
    "amount": NUMBERS.map(lambda n: Decimal(n) / 1000),
    "p": NUMBERS,
}
ROWS = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


def written(name: str, value: Any, *, up: bool) -> Any:
    """A bound as Delta writes it: texts cut to 32 UTF-16 units, times to the millisecond below."""
    if name == "s":
        units = value.encode("utf-16-le")
        if len(units) <= 64:
            return value
        cut = units[:64].decode("utf-16-le", "replace")
        return cut + "\U0010ffff" if up else cut
    if name == "day":
        return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
    if name in ("at", "wall"):
        moment = (EPOCH + timedelta(microseconds=value // 1000 * 1000)).replace(tzinfo=None)
        return moment.isoformat(timespec="milliseconds") + ("Z" if name == "at" else "")
    return float(value) if name == "amount" else value


def described(number: int, rows: list[dict[str, Any]]) -> AddFile:
    lows, highs, nulls = {}, {}, {}
    for name in VALUES:
        values = [row[name] for row in rows if row[name] is not None and row[name] == row[name]]
        nulls[name] = sum(row[name] is None for row in rows)
        if values and not any(value == math.inf for value in values):
            key = (lambda v: v.encode()) if name == "s" else (lambda v: v)
            lows[name] = written(name, min(values, key=key), up=False)
            highs[name] = written(name, max(values, key=key), up=True)
    stats = {"numRecords": len(rows), "minValues": lows, "maxValues": highs, "nullCount": nulls}
    value = rows[0]["p"]
    return AddFile(str(number), {"p": None if value is None else str(value)}, 1, 1, stats=json.dumps(stats))


def literals(name: str) -> st.SearchStrategy[Literal]:
    return (st.none() | VALUES[name]).map(lambda value: Literal(value, SCHEMA[name].dataType))


@st.composite
def leaves(draw: st.DrawFn) -> Expression:
    name = draw(st.sampled_from(list(VALUES)))
    column = Column((name,))
    kind = draw(st.sampled_from(["==", "<=>", "<", "<=", ">", ">=", "in", "between", "isnull", "isnotnull", "like"]))
    if kind in ("isnull", "isnotnull"):
        return Call(kind, (column,))
    if kind == "between":
        return Call(kind, (column, draw(literals(name)), draw(literals(name))))
    if kind == "in":
        return Call(kind, (column, *draw(st.lists(literals(name), min_size=1, max_size=3))))
    if kind == "like" and name == "s":
        return Call(kind, (column, Literal(draw(TEXTS) + draw(st.sampled_from(["", "%"])), SCHEMA["s"].dataType)))
    comparison = "==" if kind == "like" else kind
    sides = (column, draw(literals(name)))
    return Call(comparison, sides if draw(st.booleans()) else (sides[1], sides[0]))


CONDITIONS: st.SearchStrategy[Expression] = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(lambda a, b: Call("and", (a, b)), inner, inner),
        st.builds(lambda a, b: Call("or", (a, b)), inner, inner),
        st.builds(lambda a: Call("not", (a,)), inner),
    ),
    max_leaves=6,
)


def order(value: Any) -> Any:
    """Spark's order: texts by their bytes, NaN above all."""
    if isinstance(value, str):
        return value.encode()
    return (1, 0.0) if isinstance(value, float) and value != value else (0, value)


def holds(condition: Expression, row: dict[str, Any]) -> bool | None:
    """The condition of a row, by SQL's three values."""
    if isinstance(condition, Column):
        return row[condition.parts[0]]
    if isinstance(condition, Literal):
        return condition.value
    assert isinstance(condition, Call)
    values = [holds(each, row) for each in condition.arguments]
    name = condition.name
    if name == "and":
        return False if False in values else None if None in values else True
    if name == "or":
        return True if True in values else None if None in values else False
    if name == "not":
        return None if values[0] is None else not values[0]
    if name in ("isnull", "isnotnull"):
        return (values[0] is None) == (name == "isnull")
    if name == "in":
        same = [compared("==", values[0], value) for value in values[1:]]
        return True if True in same else None if None in same else False
    if name == "between":
        ends = [compared(">=", values[0], values[1]), compared("<=", values[0], values[2])]
        return False if False in ends else None if None in ends else True
    return compared(name, values[0], values[1])


def compared(name: str, left: Any, right: Any) -> bool | None:
    if name == "<=>":
        return left is right is None or (None not in (left, right) and order(left) == order(right))
    if left is None or right is None:
        return None
    if name == "like":
        return left.startswith(right[:-1]) if right.endswith("%") else left == right
    a, b = order(left), order(right)
    return {"==": a == b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[name]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=3), min_size=1, max_size=3), CONDITIONS)
def test_a_file_with_a_matching_row_is_never_dropped(contents: list[list[dict[str, Any]]], asked: Expression) -> None:
    for rows in contents:
        for row in rows:
            row["p"] = rows[0]["p"]
    files = [described(number, rows) for number, rows in enumerate(contents)]
    needed = {str(n) for n, rows in enumerate(contents) if any(holds(asked, row) is True for row in rows)}
    assert needed <= set(kept(files, asked))

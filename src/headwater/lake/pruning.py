"""Which files of a Delta table may hold rows that meet a condition, by what the log says of them.

A condition is asked two things of a file: may it be true for a row, and may it be false for one? Both answers are
"perhaps" unless the bounds exclude it, so `NOT` swaps them and null is neither.

Invariant: a file with a matching row is never dropped. What is not understood (a function, a comparison of types whose
order is not that of the bounds) may be anything.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headwater.lake.actions import AddFile
from headwater.lake.bounds import FLOATING, INTEGRAL, Bounds, Path, Statistics, fields_of
from headwater.lake.comparable import number, timely
from headwater.plan.expressions import Call, Cast, Column, Expression, ExtractValue, Literal

Answer = tuple[bool, bool]
"""Whether a condition may be true, and whether it may be false, for a row of a file."""
Test = Callable[[int], Answer]
"""The answer for the file of that number."""

_FLIPPED = {"==": "==", "<=>": "<=>", ">": "<", ">=": "<=", "<": ">", "<=": ">="}
_BOUNDING = {"<": 1, "<=": 1, "==": 1, "<=>": 1, "in": 1, "between": 1, ">": -1, ">=": -1}


def matching(statistics: Statistics, conditions: Sequence[Expression], time_zone: str) -> tuple[AddFile, ...]:
    """The files that may hold rows which meet all conditions.

    Args:
        conditions: over the table's columns, by name, with or without qualifiers.
        time_zone: the session's, for times written without one.
    """
    parts = [part for condition in conditions for part in conjuncts(condition)]
    builder = _Builder(statistics, time_zone)
    tests = [test for test in builder.conjunction(parts) if test is not _anything]
    if not tests:
        return tuple(statistics.files)
    return tuple(file for i, file in enumerate(statistics.files) if all(test(i)[0] for test in tests))


def conjuncts(condition: Expression) -> Iterator[Expression]:
    """The parts of a condition that all have to hold."""
    if isinstance(condition, Call) and condition.name == "and":
        for each in condition.arguments:
            yield from conjuncts(each)
    else:
        yield condition


def _anything(_: int) -> Answer:
    return True, True


class _Builder:
    """Turns conditions into tests of one table's files."""

    def __init__(self, statistics: Statistics, time_zone: str) -> None:
        self._statistics = statistics
        self._zone = time_zone
        self._guarded: frozenset[Path] = frozenset()

    def conjunction(self, parts: Sequence[Expression]) -> list[Test]:
        """The tests of parts that hold together.

        NaN is above every number, and no writer's bounds tell of it: that a number is above something is excluded by
        its upper bound only where another part excludes NaN.
        """
        before, self._guarded = self._guarded, self._guarded.union(*map(self._without_nan, parts))
        tests = [self.test(part) for part in parts]
        self._guarded = before
        return tests

    def test(self, condition: Expression) -> Test:
        """The test of one condition."""
        if isinstance(condition, Literal):
            answer = (condition.value is not False and condition.value is not None, condition.value is False)
            return lambda _: answer
        if isinstance(condition, Column | ExtractValue):
            return self._comparison("==", condition, Literal(True, BooleanType()))
        if isinstance(condition, Call):
            return self._call(condition)
        return _anything

    def _call(self, call: Call) -> Test:
        name, arguments = call.name, call.arguments
        if name == "and":
            return _all(self.conjunction(list(conjuncts(call))))
        if name == "or":
            return _any([self._apart(each) for each in arguments])
        if name == "not" and len(arguments) == 1:
            return _not(self._apart(arguments[0]))
        if name in ("isnull", "isnotnull") and len(arguments) == 1:
            found = self._null(arguments[0])
            return found if name == "isnull" else _not(found)
        if name == "between" and len(arguments) == 3:
            value, low, high = arguments
            return _all(self.conjunction([Call(">=", (value, low)), Call("<=", (value, high))]))
        if name == "in" and len(arguments) > 1:
            return self._in(arguments[0], arguments[1:])
        if name in ("like", "startswith") and len(arguments) == 2:
            return self._prefix(call)
        if name in _FLIPPED and len(arguments) == 2:
            left, right = arguments
            if isinstance(left, Literal | Cast):
                left, right, name = right, left, _FLIPPED[name]
            return self._comparison(name, left, right)
        return _anything

    def _apart(self, condition: Expression) -> Test:
        """The test of a condition that need not hold: what is said beside it excludes NaN no longer."""
        before, self._guarded = self._guarded, frozenset()
        found = self.test(condition)
        self._guarded = before
        return found

    def _without_nan(self, part: Expression) -> set[Path]:
        """The column that cannot be NaN where the part holds."""
        if not isinstance(part, Call) or part.name not in _BOUNDING or len(part.arguments) < 2:
            return set()
        left, right = part.arguments[0], part.arguments[-1]
        above = _BOUNDING[part.name] < 0
        if isinstance(left, Literal | Cast) and part.name in _FLIPPED:
            left, right, above = right, left, _BOUNDING[_FLIPPED[part.name]] < 0
        found = None if above else self._column(left)
        values = part.arguments[1:] if part.name == "in" else (right,)
        if found is None or any(self._value(each, found[1]) is None for each in values):
            return set()
        return {found[0]}

    # ── leaves ──────────────────────────────────────────────────────────────────────────────────────────────

    def _comparison(self, name: str, left: Expression, right: Expression) -> Test:
        column = self._column(left)
        if column is None:
            return _anything
        path, kind = column
        if isinstance(right, Literal) and right.value is None:
            return self._null(left) if name == "<=>" else lambda _: (False, False)
        found = self._value(right, kind)
        if found is None:
            return _anything
        value, convert = found
        bounds = _converted(self._statistics.of(path), convert)
        floating = isinstance(kind, FLOATING)
        guarded = not floating or path in self._guarded
        test = _TESTS[name]

        def answer(i: int) -> Answer:
            here = bounds[i]
            if here.all_null:
                return False, name == "<=>"
            true, false = test(here, value)
            if floating and here.high is not None:
                # A row may be NaN, which is above the upper bound.
                true = true if guarded or name not in (">", ">=") else True
                false = false or name not in (">", ">=")
            if name == "<=>":
                false = false or here.nulls != 0
            return true, false

        return answer

    def _in(self, left: Expression, items: Sequence[Expression]) -> Test:
        column = self._column(left)
        if column is None:
            return _anything
        found = [self._value(item, column[1]) for item in items if not _is_null(item)]
        if not found or any(one is None for one in found):
            return _anything
        if len({one[1] for one in found if one is not None}) > 1:
            return _any([self._comparison("==", left, item) for item in items])
        values = sorted(one[0] for one in found if one is not None)
        convert = next(one[1] for one in found if one is not None)
        bounds = _converted(self._statistics.of(column[0]), convert)
        floating = isinstance(column[1], FLOATING)

        def answer(i: int) -> Answer:
            here = bounds[i]
            if here.all_null:
                return False, False
            at = 0 if here.low is None else bisect_left(values, here.low)
            true = at < len(values) and (here.high is None or values[at] <= here.high)
            only = true and here.low is not None and here.low == here.high
            return true, floating or not only

        return answer

    def _null(self, operand: Expression) -> Test:
        column = self._column(operand)
        if column is None:
            return _anything
        bounds = self._statistics.of(column[0])
        return lambda i: (bounds[i].nulls != 0, not bounds[i].all_null)

    def _prefix(self, call: Call) -> Test:
        """`LIKE 'abc%'` and `startswith`."""
        column, pattern = self._column(call.arguments[0]), call.arguments[1]
        if column is None or not isinstance(column[1], StringType) or not isinstance(pattern, Literal):
            return _anything
        if not isinstance(pattern.value, str):
            return _anything
        prefix, whole = pattern.value, True
        if call.name == "like":
            prefix = re.split(r"[%_\\]", pattern.value, maxsplit=1)[0]
            whole = pattern.value == prefix + "%"
        bounds = self._statistics.of(column[0])

        def answer(i: int) -> Answer:
            low, high, *_ = here = bounds[i]
            if here.all_null:
                return False, False
            true = (high is None or high >= prefix) and (low is None or low[: len(prefix)] <= prefix)
            inside = whole and low is not None and high is not None
            return true, not (inside and low.startswith(prefix) and high.startswith(prefix))

        return answer if prefix else _anything

    # ── names and values ────────────────────────────────────────────────────────────────────────────────────

    def _column(self, expression: Expression) -> tuple[Path, DataType] | None:
        """The column that an expression is, if it can be only one."""
        fields: tuple[str, ...] = ()
        while isinstance(expression, ExtractValue) and isinstance(expression.extraction, Literal):
            if not isinstance(expression.extraction.value, str):
                return None
            fields = (expression.extraction.value, *fields)
            expression = expression.child
        if not isinstance(expression, Column) or expression.metadata:
            return None
        schema = self._statistics.schema
        readings = [_path(schema, (*expression.parts[start:], *fields)) for start in range(len(expression.parts))]
        found = [path for path in readings if path is not None]
        return (found[0], fields_of(schema, found[0])[-1].dataType) if len(found) == 1 else None

    def _value(self, expression: Expression, kind: DataType) -> tuple[Any, Callable[[Any], Any] | None] | None:
        """A constant as Spark compares it with a column of type `kind`, and what becomes of the column for that."""
        literal = self._folded(expression)
        if literal is None or literal.value is None:
            return None
        if isinstance(kind, (*INTEGRAL, *FLOATING, DecimalType)):
            return number(literal, kind)
        value = timely(literal, kind, self._zone)
        return None if value is None else (value, None)

    def _folded(self, expression: Expression) -> Literal | None:
        if isinstance(expression, Literal):
            return expression
        if not isinstance(expression, Cast) or not isinstance(expression.child, Literal):
            return None
        child, kind = expression.child, expression.type
        if type(child.type) is type(kind) and not isinstance(kind, DecimalType):
            return child
        if isinstance(child.type, StringType) and isinstance(kind, DateType | TimestampType | TimestampNTZType):
            value = timely(child, kind, self._zone)
            return None if value is None else Literal(value, kind)
        return None


def _is_null(expression: Expression) -> bool:
    return isinstance(expression, Literal) and expression.value is None


def _path(schema: StructType, names: Sequence[str]) -> Path | None:
    """The names as the schema spells them, if they lead somewhere, and to one place only."""
    kind: DataType = schema
    found: list[str] = []
    for name in names:
        if not isinstance(kind, StructType):
            return None
        same = [field for field in kind.fields if field.name.lower() == name.lower()]
        if len(same) != 1:
            return None
        found.append(same[0].name)
        kind = same[0].dataType
    return tuple(found)


def _converted(bounds: list[Bounds], convert: Callable[[Any], Any] | None) -> list[Bounds]:
    if convert is None:
        return bounds

    def both(one: Bounds) -> Bounds:
        low, high = (None if end is None else convert(end) for end in (one.low, one.high))
        return one._replace(low=low, high=high)

    return list(map(both, bounds))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _less(here: Bounds, value: Any) -> Answer:
    return here.low is None or here.low < value, here.high is None or here.high >= value


def _less_equal(here: Bounds, value: Any) -> Answer:
    return here.low is None or here.low <= value, here.high is None or here.high > value


def _equal(here: Bounds, value: Any) -> Answer:
    inside = (here.low is None or here.low <= value) and (here.high is None or value <= here.high)
    return inside, not here.low == here.high == value


_TESTS: dict[str, Callable[[Bounds, Any], Answer]] = {
    "<": _less,
    "<=": _less_equal,
    ">": lambda here, value: _less_equal(here, value)[::-1],
    ">=": lambda here, value: _less(here, value)[::-1],
    "==": _equal,
    "<=>": _equal,
}


def _all(tests: Sequence[Test]) -> Test:
    if all(test is _anything for test in tests):
        return _anything

    def answer(i: int) -> Answer:
        found = [test(i) for test in tests]
        return all(true for true, _ in found), any(false for _, false in found)

    return answer


def _any(tests: Sequence[Test]) -> Test:
    return _not(_all([_not(test) for test in tests]))


def _not(test: Test) -> Test:
    if test is _anything:
        return _anything

    def answer(i: int) -> Answer:
        true, false = test(i)
        return false, true

    return answer

"""Where filters end up: the optimized plans of genuine Spark 4.3 for the same queries, written down as trees.

`left`: k, lt (event time), lv. `right`: rk, rt (event time), rv. `plain`: pk, pv, a stream without a watermark.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from pyspark.sql.types import StructType

from headwater.io.formats.base import FormatOptions
from headwater.plan.expressions import Alias, Call, Cast, Column, Expression, ExtractValue, Literal
from headwater.plan.node import Node
from headwater.plan.relations import (
    Aggregate,
    CachedRemote,
    Drop,
    Filter,
    Join,
    Project,
    ReadTable,
    Relation,
    SetOperation,
    SubqueryAlias,
    ToDF,
    WithColumns,
    WithColumnsRenamed,
    WithWatermark,
)
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sources.base import SourceRequest
from headwater.sql import parse_expression, parse_query
from headwater.streaming.analysis import checked
from headwater.streaming.leaves import Leaf
from headwater.streaming.naming import unique_names
from headwater.types.ddl import parse_schema

STREAMS = {"left": "k STRING, lt TIMESTAMP, lv LONG", "right": "rk STRING, rt TIMESTAMP, rv LONG",
           "plain": "pk STRING, pv LONG"}  # fmt: skip
RANGE = "k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"
BOUNDS = f"{RANGE} AND rv > 11 AND lv > 1 AND lv < rv"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session(Runtime.local({"headwater.durability": "none"}))
    yield session
    session.close()
    session.runtime.close()


def streams() -> dict[str, Relation]:
    left, right, plain = (CachedRemote(f"stream_{i}", plan_id=i) for i in range(3))
    return {
        "left": WithWatermark(left, "lt", "5 seconds", plan_id=10),
        "right": WithWatermark(right, "rt", "3 seconds", plan_id=11),
        "plain": plain,
    }


def shapes() -> list[StructType]:
    return [cast(StructType, parse_schema(ddl)) for ddl in STREAMS.values()]


def moved(session: Session, plan: Relation) -> Relation:
    requests = [SourceRequest("test", shape, FormatOptions({}), ()) for shape in shapes()]
    leaves = [
        Leaf(f"stream_{i}", cast(Any, None), request, shape, unique_names(shape))
        for i, (request, shape) in enumerate(zip(requests, shapes(), strict=True))
    ]
    return checked(plan, leaves, cast(Any, session), "append")


def query(text: str) -> Relation:
    sources = streams()

    def put(node: Node) -> Node:
        if isinstance(node, ReadTable) and node.parts[0] in sources:
            return SubqueryAlias(sources[node.parts[0]], node.parts[0])
        return node.map_children(put)

    return cast(Relation, put(parse_query(text, {}, ())))


def shown(node: Relation, depth: int = 0) -> list[str]:
    """The filters, watermarks and joins of a plan, inputs further in."""
    match node:
        case CachedRemote():
            line = ("left", "right", "plain")[int(node.relation_id[-1])]
        case Filter():
            line = f"filter {said(node.condition)}"
        case WithWatermark():
            line = f"watermark {node.event_time}"
        case Join():
            line = f"{node.kind} on {said(node.condition) if node.condition else ', '.join(node.using)}"
        case Aggregate() | SetOperation():
            line = type(node).__name__.lower()
        case _:
            return [line for child in node.children() if isinstance(child, Relation) for line in shown(child, depth)]
    inner = [line for child in node.children() if isinstance(child, Relation) for line in shown(child, depth + 1)]
    return ["  " * depth + line, *inner]


def said(part: Expression) -> str:
    match part:
        case Call(name="and"):
            return " and ".join(said(cast(Expression, one)) for one in part.arguments)
        case Call() if len(part.arguments) == 2 and not part.name.isalpha():
            return f" {part.name} ".join(said(cast(Expression, one)) for one in part.arguments)
        case Call():
            return f"{part.name}({', '.join(said(cast(Expression, one)) for one in part.arguments)})"
        case Column():
            return ".".join(part.parts)
        case ExtractValue():
            return f"{said(part.child)}[{said(part.extraction)}]"
        case Cast():
            return said(part.child)
        case Literal():
            return str(part.value)
    return type(part).__name__


def tree(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    margin = len(lines[0]) - len(lines[0].lstrip())
    return [line[margin:] for line in lines]


PLANS = {
    "inner, both sides": (
        f"SELECT * FROM left JOIN right ON {BOUNDS}",
        """
        inner on k == rk and rt >= lt and rt <= lt + 5000000 and lv < rv
          filter isnotnull(lt)
            watermark lt
              filter lv > 1 and isnotnull(k)
                left
          filter isnotnull(rt)
            watermark rt
              filter rv > 11 and isnotnull(rk)
                right
        """,
    ),
    "left outer, the right side": (
        f"SELECT * FROM left LEFT JOIN right ON {BOUNDS}",
        """
        left_outer on k == rk and rt >= lt and rt <= lt + 5000000 and lv > 1 and lv < rv
          watermark lt
            left
          filter isnotnull(rt)
            watermark rt
              filter rv > 11 and isnotnull(rk)
                right
        """,
    ),
    "right outer, the left side": (
        f"SELECT * FROM left RIGHT JOIN right ON {BOUNDS}",
        """
        right_outer on k == rk and rt >= lt and rt <= lt + 5000000 and rv > 11 and lv < rv
          filter isnotnull(lt)
            watermark lt
              filter lv > 1 and isnotnull(k)
                left
          watermark rt
            right
        """,
    ),
    "full outer, neither": (
        f"SELECT * FROM left FULL JOIN right ON {BOUNDS}",
        """
        full_outer on k == rk and rt >= lt and rt <= lt + 5000000 and rv > 11 and lv > 1 and lv < rv
          watermark lt
            left
          watermark rt
            right
        """,
    ),
    "semi, both sides": (
        f"SELECT * FROM left LEFT SEMI JOIN right ON {BOUNDS}",
        """
        left_semi on k == rk and rt >= lt and rt <= lt + 5000000 and lv < rv
          filter isnotnull(lt)
            watermark lt
              filter lv > 1 and isnotnull(k)
                left
          filter isnotnull(rt)
            watermark rt
              filter rv > 11 and isnotnull(rk)
                right
        """,
    ),
    "a left outer join without its outer rows is inner": (
        f"SELECT * FROM left LEFT JOIN right ON {RANGE} WHERE rv > 3",
        """
        inner on k == rk and rt >= lt and rt <= lt + 5000000
          filter isnotnull(lt)
            watermark lt
              filter isnotnull(k)
                left
          filter isnotnull(rt)
            watermark rt
              filter isnotnull(rk) and rv > 3
                right
        """,
    ),
    "a full outer join without the right's outer rows is left outer": (
        f"SELECT * FROM left FULL JOIN right ON {RANGE} WHERE lv > 3",
        """
        left_outer on k == rk and rt >= lt and rt <= lt + 5000000
          watermark lt
            filter lv > 3
              left
          filter isnotnull(rt)
            watermark rt
              filter isnotnull(rk)
                right
        """,
    ),
    "above an outer join, and what follows by the key": (
        f"SELECT * FROM left LEFT JOIN right ON {RANGE} WHERE k = 'a' AND rv IS NULL",
        """
        filter isnull(rv)
          left_outer on k == rk and rt >= lt and rt <= lt + 5000000
            watermark lt
              filter k == a
                left
            filter isnotnull(rt)
              watermark rt
                filter rk == a
                  right
        """,
    ),
    "below a projection, and over to the other side": (
        "SELECT * FROM (SELECT k AS z, lt FROM left WHERE k > 'a') JOIN right ON z = rk AND rt = lt",
        """
        inner on z == rk and rt == lt
          filter isnotnull(lt)
            watermark lt
              filter k > a
                left
          filter isnotnull(rt)
            watermark rt
              filter rk > a
                right
        """,
    ),
    "a list of tables": (
        "SELECT * FROM left, right WHERE k = rk AND lv > 1 AND rt = lt",
        """
        inner on k == rk and rt == lt
          filter isnotnull(lt)
            watermark lt
              filter lv > 1 and isnotnull(k)
                left
          filter isnotnull(rt)
            watermark rt
              filter isnotnull(rk)
                right
        """,
    ),
    "a list of tables with columns of one name": (
        "SELECT * FROM left l, (SELECT rk AS k, rt, rv AS lv FROM right) r "
        "WHERE l.k = r.k AND l.lv > 1 AND r.lv > 2 AND l.lv <> r.lv",
        """
        inner on l.k == r.k and not(l.lv == r.lv)
          watermark lt
            filter lv > 1 and isnotnull(k)
              left
          watermark rt
            filter rv > 2 and isnotnull(rk)
              right
        """,
    ),
    "two joins": (
        "SELECT * FROM left JOIN right ON k = rk JOIN plain ON k = pk AND lv = pv",
        """
        inner on k == pk and lv == pv
          inner on k == rk
            watermark lt
              filter isnotnull(k) and isnotnull(lv)
                left
            watermark rt
              filter isnotnull(rk)
                right
          filter isnotnull(pk) and isnotnull(pv)
            plain
        """,
    ),
    "keys that may be NULL for another reason": (
        "SELECT * FROM left JOIN right ON nullif(k, 'a') = rk AND rt = lt AND lv + 1 = rv",
        """
        inner on nullif(k, a) == rk and rt == lt and lv + 1 == rv
          filter isnotnull(lt)
            watermark lt
              filter isnotnull(lv)
                left
          filter isnotnull(rt)
            watermark rt
              filter isnotnull(rk) and isnotnull(rv)
                right
        """,
    ),
    "equal nulls": (
        "SELECT * FROM left JOIN right ON k <=> rk AND rt = lt AND lv IN (1, 2)",
        """
        inner on k <=> rk and rt == lt
          filter isnotnull(lt)
            watermark lt
              filter in(lv, 1, 2)
                left
          filter isnotnull(rt)
            watermark rt
              right
        """,
    ),
    "what looks at the event time stays, what follows from it does not": (
        "SELECT * FROM left WHERE lt > timestamp_seconds(lv)",
        """
        filter lt > timestamp_seconds(lv)
          watermark lt
            filter isnotnull(lv)
              left
        """,
    ),
    "either side of a union": (
        "SELECT * FROM (SELECT * FROM left UNION ALL SELECT * FROM right) WHERE k = 'a'",
        """
        setoperation
          watermark lt
            filter k == a
              left
          watermark rt
            filter rk == a
              right
        """,
    ),
    "groups by their keys": (
        "SELECT * FROM (SELECT window(lt, '10 seconds') AS w, k, count(*) AS n FROM left GROUP BY 1, k) "
        "WHERE k = 'a' AND n > 1",
        """
        filter n > 1
          aggregate
            watermark lt
              filter k == a
                left
        """,
    ),
    "groups by all that is no aggregate": (
        "SELECT * FROM (SELECT ts, upper(k) AS u, sum(lv) AS s FROM (SELECT *, lt AS ts FROM left) GROUP BY ALL) "
        "WHERE u = 'A' AND s > 1",
        """
        filter s > 1
          aggregate
            watermark lt
              filter upper(k) == A
                left
        """,
    ),
    "random, or with a limit below": (
        "SELECT * FROM (SELECT * FROM left WHERE rand() > 0.5 LIMIT 3) WHERE lv > 1",
        """
        filter lv > 1
          filter rand() > 0.5
            watermark lt
              left
        """,
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_filters_stand_where_spark_has_them(name: str, session: Session) -> None:
    text, wanted = PLANS[name]

    assert shown(moved(session, query(text))) == tree(wanted)


def test_the_dataframes_a_filter_stood_between_can_still_be_named(session: Session) -> None:
    late = streams()["left"]
    kept = Filter(late, Call(">", (Column(("lv",), 10), Literal(1, parse_schema("x LONG")[0].dataType))), plan_id=20)
    plan = Project(kept, (Column(("lv",), 10), Column(("k",), 20)))

    made = moved(session, plan)

    assert shown(made) == ["filter True", "  watermark lt", "    filter lv > 1", "      left"]
    assert {one.plan_id for one in made.walk() if isinstance(one, Relation)} >= {10, 20}


def test_a_column_of_one_of_two_dataframes_joined_is_of_that_side(session: Session) -> None:
    left, right = streams()["left"], streams()["right"]
    same = Call(
        "and", (Call("==", (Column(("k",), 10), Column(("rk",), 11))), Call("isnotnull", (Column(("rv",), 11),)))
    )

    assert shown(moved(session, Join(left, right, "inner", same))) == tree(
        """
        inner on k == rk
          watermark lt
            filter isnotnull(k)
              left
          watermark rt
            filter isnotnull(rv) and isnotnull(rk)
              right
        """
    )


def test_a_filter_follows_its_columns_through_their_names(session: Session) -> None:
    twice = WithColumns(streams()["left"], (Alias(parse_expression("lv * 2"), ("LV",)), Alias(Column(("k",)), ("c",))))
    named = ToDF(Drop(WithColumnsRenamed(twice, (("c", "d"),)), names=("k",)), ("at", "twice", "key"))

    made = moved(session, Filter(named, parse_expression("twice > 2 AND key = 'a' AND at IS NOT NULL")))

    assert shown(made) == ["filter isnotnull(lt)", "  watermark lt", "    filter lv * 2 > 2 and k == a", "      left"]


def test_hundreds_of_columns_one_by_one_take_no_time(session: Session) -> None:
    plan = streams()["left"]
    for number in range(200):
        plan = WithColumns(plan, (Alias(parse_expression(f"lv + {number}"), (f"c{number}",)),))
    begin = time.perf_counter()

    made = moved(session, Filter(plan, parse_expression("c199 > 1 AND k = 'a'")))

    assert time.perf_counter() - begin < 5
    assert shown(made) == ["watermark lt", "  filter lv + 199 > 1 and k == a", "    left"]


def test_shared_columns_of_a_join_are_those_of_both_sides(session: Session) -> None:
    text = "SELECT * FROM left JOIN (SELECT rk AS k, rv FROM right) USING (k) WHERE k = 'a' AND rv > 2"

    assert shown(moved(session, query(text))) == tree(
        """
        inner on k
          watermark lt
            filter k == a
              left
          watermark rt
            filter rv > 2 and rk == a
              right
        """
    )

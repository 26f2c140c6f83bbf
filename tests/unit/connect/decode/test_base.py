"""The decoder itself: registries, depth, what is missing."""

from __future__ import annotations

import pytest

from headwater.connect.decode.base import MAX_DEPTH, Decoder, fields_of, understood
from headwater.connect.deep import DeepPool
from headwater.connect.proto import pb2
from headwater.errors import SparkError, UnsupportedError
from headwater.plan.relations import Limit, Range


def nested(depth: int) -> object:
    relation = pb2.Relation(range=pb2.Range(start=0, end=5, step=1))
    for _ in range(depth - 1):
        outer = pb2.Relation()
        outer.limit.limit = 3
        outer.limit.input.CopyFrom(relation)
        relation = outer
    return relation


def test_a_plan_keeps_the_numbers_of_its_dataframes() -> None:
    message = nested(2)
    message.common.plan_id = 7  # type: ignore[attr-defined]
    plan = Decoder().relation(message)
    assert plan == Limit(Range(0, 5, 1), 3)
    assert plan.plan_id == 7


def test_what_nobody_decodes_is_named() -> None:
    with pytest.raises(UnsupportedError, match="`ml_relation`"):
        Decoder().relation(pb2.Relation(ml_relation=pb2.MlRelation()))
    with pytest.raises(UnsupportedError, match="unknown"):
        Decoder().relation(pb2.Relation())


def test_absurdly_deep_plans_are_refused() -> None:
    pool = DeepPool(1)
    pool.submit(Decoder().relation, nested(MAX_DEPTH)).result()
    with pytest.raises(SparkError, match="nested relations"):
        pool.submit(Decoder().relation, nested(MAX_DEPTH + 1)).result()
    pool.shutdown()


def test_every_decoder_is_for_a_message_of_the_protocol() -> None:
    for message, names in understood().items():
        assert set(names) <= set(fields_of(message))
        assert names

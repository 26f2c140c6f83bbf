"""Plans that mean the same have the same fingerprint."""

from __future__ import annotations

import pyarrow as pa

from headwater.connect.fingerprint import canonical, fingerprint
from headwater.plan.expressions import Column
from headwater.plan.relations import LocalData, Project, Range


def picked(column_of: int, plan: int) -> Project:
    return Project(Range(0, 3, 1, plan_id=plan), (Column(("id",), column_of),), plan_id=plan + 1)


def test_numbers_of_dataframes_do_not_count() -> None:
    assert canonical(picked(1, 1)) == canonical(picked(8, 8))
    assert fingerprint(picked(1, 1)) == fingerprint(picked(8, 8))


def test_different_plans_differ() -> None:
    assert fingerprint(Range(0, 3, 1)) != fingerprint(Range(0, 4, 1))


def test_local_data_is_compared_by_content() -> None:
    assert fingerprint(LocalData(pa.table({"a": [1]}))) == fingerprint(LocalData(pa.table({"a": [1]})))
    assert fingerprint(LocalData(pa.table({"a": [1]}))) != fingerprint(LocalData(pa.table({"a": [2]})))


def test_it_fits_a_signed_32_bit_number() -> None:
    assert all(-(2**31) <= fingerprint(Range(0, n, 1)) < 2**31 for n in range(50))

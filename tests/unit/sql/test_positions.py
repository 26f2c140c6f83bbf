"""Places of names in SQL texts, as genuine Spark gave them (both ends inclusive)."""

from __future__ import annotations

import pytest

from headwater.errors import AnalysisError
from headwater.sql import locate


def unresolved(name):
    return AnalysisError("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", objectName=name)


def missing_table(name):
    return AnalysisError("TABLE_OR_VIEW_NOT_FOUND", relationName=name, searchPath="[]")


def missing_function(name):
    return AnalysisError("UNRESOLVED_ROUTINE", routineName=name, searchPath="[]")


@pytest.mark.parametrize(
    ("error", "text", "place"),
    [
        (unresolved("`nope`"), "select nope from t", (7, 10, "nope")),
        (unresolved("`t`.`nope`"), "select t.nope + 1 from t", (7, 12, "t.nope")),
        (unresolved("`nope`"), "select * from t where nope = 1", (22, 25, "nope")),
        (unresolved("`nope`"), "select `nope`, 'nope', t.nope, nope(1) from t", (7, 12, "`nope`")),
        (missing_table("`nope`"), "select id from nope", (15, 18, "nope")),
        (missing_function("`foo`"), "select foo(id, (1)) from t", (7, 18, "foo(id, (1))")),
    ],
)
def test_the_name_is_found(error, text, place):
    locate(error, text)
    assert [(c.start, c.stop, c.fragment) for c in error.contexts] == [place]


def test_a_name_that_stands_there_twice_has_no_place():
    error = unresolved("`nope`")
    locate(error, "select nope, nope from t")
    assert error.contexts == ()

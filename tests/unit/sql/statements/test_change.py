"""MERGE, UPDATE and DELETE as written."""

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import Delete, Merge, Update
from headwater.plan.expressions import Column
from headwater.plan.relations import ReadTable, SubqueryAlias
from headwater.sql import parse_statement


def test_a_merge() -> None:
    made = parse_statement(
        "MERGE WITH SCHEMA EVOLUTION INTO delta.`/x` AS t USING (SELECT 1 AS id) s ON t.id = s.id "
        "WHEN MATCHED AND t.a > 1 THEN UPDATE SET t.a = s.id, b = 2 WHEN MATCHED THEN DELETE "
        "WHEN NOT MATCHED BY TARGET THEN INSERT (id) VALUES (s.id) WHEN NOT MATCHED BY SOURCE THEN DELETE"
    )
    assert isinstance(made, Merge)
    assert (made.table, made.alias, made.evolve) == (("delta", "/x"), "t", True)
    assert isinstance(made.source, SubqueryAlias)
    assert [(one.when, one.kind, one.star) for one in made.clauses] == [
        ("matched", "update", False),
        ("matched", "delete", False),
        ("not_matched", "insert", False),
        ("not_matched_by_source", "delete", False),
    ]
    assert made.clauses[0].columns == (Column(("t", "a")), Column(("b",)))
    assert made.clauses[0].condition is not None


def test_stars() -> None:
    made = parse_statement(
        "MERGE INTO a.t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    assert isinstance(made, Merge)
    assert (made.table, made.alias, made.source) == (("a", "t"), None, ReadTable(("s",)))
    assert all(one.star and not one.columns for one in made.clauses)


def test_update_and_delete() -> None:
    made = parse_statement("UPDATE a.t SET x = 1, y = x + 1 WHERE x IN (1, 2)")
    assert isinstance(made, Update)
    assert (made.table, made.columns, len(made.values)) == (("a", "t"), (Column(("x",)), Column(("y",))), 2)
    gone = parse_statement("DELETE FROM t AS u")
    assert gone == Delete(("t",), None, "u")


@pytest.mark.parametrize(
    "text",
    [
        "MERGE INTO t USING s WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING s ON 1 = 1 WHEN MATCHED THEN INSERT *",
        "MERGE INTO t USING s ON 1 = 1 WHEN NOT MATCHED BY SOURCE THEN UPDATE SET *",
        "UPDATE t WHERE x = 1",
        "DELETE t",
    ],
)
def test_mistakes_are_syntax_errors(text: str) -> None:
    with pytest.raises(ParseError, match="PARSE_SYNTAX_ERROR"):
        parse_statement(text)


def test_only_tables_are_changed() -> None:
    with pytest.raises(UnsupportedError):
        parse_statement("DELETE FROM (SELECT 1)")

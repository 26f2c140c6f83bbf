"""What `DeltaTable` asks of a session beyond SQL: finding a table, telling whether one is there, the builder."""

from __future__ import annotations

import pytest
from pyspark.sql.types import IntegerType, StructType

from headwater.errors import AnalysisError
from headwater.plan.commands import CreateTable
from headwater.plan.delta_tables import BuildDelta, FindDelta, IsDeltaTable
from headwater.plan.relations import ReadTable, Relation
from headwater.sessions.session import Session

SCHEMA = StructType().add("id", IntegerType())


def built(session: Session, mode: str, *name: str) -> None:
    session.run(BuildDelta(mode, CreateTable(name, SCHEMA, "delta")))


def rows(session: Session, relation: Relation | None) -> list[dict[str, object]]:
    assert relation is not None
    return session.execute(relation).table().to_pylist()


def test_finding(session: Session) -> None:
    built(session, "create", "t")
    place = session.catalog.managed_location(("t",))
    assert session.run(FindDelta(("t",))) == ReadTable(("t",))
    assert session.run(FindDelta(("delta", place))) == ReadTable(("delta", place))
    for name, shown in (("nope",), "`nope`"), (("delta", "/nope"), "`/nope`"), (("parquet", place), "`parquet`"):
        with pytest.raises(AnalysisError, match="is not a Delta table") as caught:
            session.run(FindDelta(name))
        assert caught.value.parameters["tableName"].startswith(shown)


def test_telling(session: Session) -> None:
    built(session, "create", "t")
    place = session.catalog.managed_location(("t",))
    assert rows(session, session.run(IsDeltaTable(f"file:{place}"))) == [{"value": True}]
    assert rows(session, session.run(IsDeltaTable(f"{place}/nope"))) == [{"value": False}]


def test_modes_of_the_builder(session: Session) -> None:
    with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_NOT_FOUND"):
        built(session, "replace", "t")
    built(session, "create_or_replace", "t")
    built(session, "replace", "t")
    built(session, "create_if_not_exists", "t")
    with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        built(session, "create", "t")
    with pytest.raises(AnalysisError, match="DELTA_CREATE_TABLE_MISSING_TABLE_NAME_OR_LOCATION"):
        built(session, "create")

"""`information_schema`: what the catalog holds, as rows of views."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql.types import (
    ArrayType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    StringType,
    StructType,
    TimestampType,
)

from headwater.catalog import Catalog, Database, Metastore, Table, View, information_schema
from headwater.errors import AnalysisError, SparkError
from headwater.plan.relations import LocalData, Relation, SubqueryAlias
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sql import parse_statement


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog(Metastore(str(tmp_path)))
    catalog.metastore.add_database(Database("sales", str(tmp_path / "sales.db"), "what was sold"))
    schema = StructType().add("id", IntegerType(), False, {"comment": "the key"}).add("day", StringType())
    catalog.add_table(
        Table("sales", "orders", "MANAGED", "delta", "/w/sales.db/or ders", schema, ("day",), comment="c", created_ms=5)
    )
    catalog.add_table(Table("sales", "big", "VIEW", view_text="SELECT * FROM orders", schema=schema))
    return catalog


def rows(catalog: Catalog, name: str) -> list[dict[str, object]]:
    found = catalog.get(("spark_catalog", "information_schema", name))
    assert isinstance(found, View)
    assert isinstance(found.plan, SubqueryAlias)
    assert isinstance(found.plan.input, LocalData)
    return found.plan.input.data.to_pylist()


def of_users(catalog: Catalog, name: str) -> list[dict[str, object]]:
    return [row for row in rows(catalog, name) if row["table_schema"] != "information_schema"]


def test_schemata(catalog: Catalog) -> None:
    assert [(row["schema_name"], row["comment"]) for row in rows(catalog, "schemata")] == [
        ("default", "default database"), ("sales", "what was sold"), ("information_schema", None)
    ]  # fmt: skip


def test_tables(catalog: Catalog) -> None:
    view, table = of_users(catalog, "tables")
    assert (view["table_name"], view["table_type"], view["is_insertable_into"]) == ("big", "VIEW", "NO")
    assert (table["table_type"], table["data_source_format"], table["comment"]) == ("MANAGED", "DELTA", "c")
    assert table["storage_path"] == "file:/w/sales.db/or ders"
    assert table["created"].isoformat() == "1970-01-01T00:00:00.005000+00:00"
    own = [row["table_name"] for row in rows(catalog, "tables") if row["table_schema"] == "information_schema"]
    assert own == ["columns", "schemata", "tables", "views"]


def test_views(catalog: Catalog) -> None:
    assert [(row["table_name"], row["view_definition"]) for row in of_users(catalog, "views")] == [
        ("big", "SELECT * FROM orders")
    ]


def test_columns(catalog: Catalog) -> None:
    found = [row for row in of_users(catalog, "columns") if row["table_name"] == "orders"]
    assert [(r["column_name"], r["ordinal_position"], r["is_nullable"], r["comment"]) for r in found] == [
        ("id", 1, "NO", "the key"), ("day", 2, "YES", None)
    ]  # fmt: skip
    assert [r["partition_ordinal_position"] for r in found] == [None, 1]
    assert {r["column_name"] for r in rows(catalog, "columns")} >= {"schema_name", "table_type", "view_definition"}


@pytest.mark.parametrize(
    ("kind", "name", "numbers"),
    [
        (IntegerType(), "INT", (32, 2, 0, None)),
        (DoubleType(), "DOUBLE", (64, 2, None, None)),
        (DecimalType(10, 2), "DECIMAL", (10, 10, 2, None)),
        (ArrayType(StringType()), "ARRAY", (None, None, None, None)),
        (StructType().add("a", IntegerType()), "STRUCT", (None, None, None, None)),
        (DateType(), "DATE", (None, None, None, 0)),
        (TimestampType(), "TIMESTAMP", (None, None, None, 3)),
    ],
)
def test_types(catalog: Catalog, kind: object, name: str, numbers: tuple[object, ...]) -> None:
    catalog.describe = lambda table: (StructType().add("c", kind), ())
    row = of_users(catalog, "columns")[0]
    assert (row["data_type"], row["full_data_type"]) == (name, kind.simpleString())
    found = tuple(row[f"{what}"] for what in ("numeric_precision", "numeric_precision_radix", "numeric_scale"))
    assert (*found, row["datetime_precision"]) == numbers


def test_a_table_that_is_gone_does_not_hide_the_others(catalog: Catalog) -> None:
    known = catalog.describe

    def describe(table: Table) -> information_schema.Described:
        if table.name == "big":
            raise SparkError("INTERNAL_ERROR", message="gone")
        return known(table)

    catalog.describe = describe
    assert {row["table_name"] for row in of_users(catalog, "columns")} == {"orders"}
    assert len(of_users(catalog, "tables")) == 2


def test_names_in_it(catalog: Catalog) -> None:
    assert isinstance(catalog.get(("INFORMATION_SCHEMA", "Tables")), View)
    assert catalog.find(("information_schema", "nope")) is None
    assert catalog.find(("tables",)) is None
    catalog.use(("information_schema",))
    assert isinstance(catalog.get(("tables",)), View)
    assert [table.name for table in catalog.tables("information_schema")] == sorted(information_schema.VIEWS)


def test_it_is_read_only(catalog: Catalog) -> None:
    assert not catalog.metastore.add_database(Database("information_schema", "/x"))
    for make in (
        lambda: catalog.add_table(Table("information_schema", "t", "MANAGED", "delta")),
        lambda: catalog.managed_location(("information_schema", "t")),
    ):
        with pytest.raises(SparkError, match="UNSUPPORTED_FEATURE"):
            make()
    with pytest.raises(AnalysisError, match="SCHEMA_NOT_FOUND"):
        catalog.use(("information_schemas",))


def test_queries_of_a_session(tmp_path: Path) -> None:
    """Through SQL: with the columns of Delta's logs, of files and of views, one that reads the schema itself too."""
    runtime = Runtime.local({"spark.sql.warehouse.dir": str(tmp_path / "w"), "headwater.durability": "none"})
    session = Session(runtime)

    def sql(text: str) -> list[tuple[object, ...]]:
        made = parse_statement(text)
        relation = made if isinstance(made, Relation) else session.run(made)
        return (
            [] if relation is None else [tuple(row.values()) for row in session.execute(relation).table().to_pylist()]
        )

    sql("CREATE TABLE d (id INT NOT NULL COMMENT 'key', day STRING) USING delta PARTITIONED BY (day)")
    sql("CREATE TABLE p (x DOUBLE) USING parquet")
    sql("CREATE VIEW v AS SELECT id + 1L AS more FROM d")
    sql("CREATE VIEW own AS SELECT column_name FROM information_schema.columns")
    names = (
        "SELECT c.table_name, column_name, data_type FROM information_schema.columns c WHERE table_schema = 'default'"
    )
    assert sorted(sql(names)) == [
        ("d", "day", "STRING"), ("d", "id", "INT"), ("own", "column_name", "STRING"), ("p", "x", "DOUBLE"),
        ("v", "more", "BIGINT"),
    ]  # fmt: skip
    assert sql(
        "SELECT tables.table_name FROM spark_catalog.information_schema.tables JOIN information_schema.views USING "
        "(table_schema, table_name) WHERE table_schema = 'default' ORDER BY 1"
    ) == [("own",), ("v",)]
    assert ("x",) in sql("SELECT * FROM own")
    assert [row[1] for row in sql("SHOW TABLES IN information_schema")] == ["columns", "schemata", "tables", "views"]
    assert ("schema_name", "string", None) in sql("DESCRIBE information_schema.schemata")
    sql("USE information_schema")
    assert sql("SELECT count(*) FROM schemata") == [(2,)]
    session.close()
    runtime.close()

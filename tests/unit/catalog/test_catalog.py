"""What a name means in a session."""

import pytest

from headwater.catalog import Catalog, Database, Metastore, PathTable, Table, View
from headwater.errors import AnalysisError
from headwater.plan.relations import Range


@pytest.fixture
def catalog(tmp_path):
    return Catalog(Metastore(str(tmp_path)))


def refused(condition, action, *arguments, **named):
    with pytest.raises(AnalysisError) as caught:
        action(*arguments, **named)
    assert caught.value.condition == condition


def test_a_temporary_view_hides_a_table_of_its_name(catalog):
    catalog.add_table(Table("default", "t", "MANAGED", "delta"))
    catalog.add_view(View("T", Range(0, 1, 1)), replace=False)
    assert isinstance(catalog.get(("t",)), View)
    assert isinstance(catalog.get(("default", "t")), Table)
    assert catalog.drop_view("t")
    assert isinstance(catalog.get(("t",)), Table)


def test_names_are_compared_without_case(catalog):
    catalog.add_table(Table("default", "t", "MANAGED", "delta"))
    assert catalog.get(("SPARK_CATALOG", "Default", "T")) == catalog.get(("t",))


def test_global_views_are_shared_and_qualified(catalog):
    catalog.add_view(View("g", Range(0, 1, 1), is_global=True), replace=False)
    assert isinstance(catalog.copy().get(("global_temp", "g")), View)
    assert catalog.find(("g",)) is None


def test_a_copy_has_its_own_views_and_database(catalog):
    catalog.metastore.add_database(Database("d", "/d"))
    catalog.use(("d",))
    twin = catalog.copy()
    twin.add_view(View("v", Range(0, 1, 1)), replace=False)
    twin.use(("default",))
    assert catalog.find(("v",)) is None
    assert catalog.current_database == "d"


def test_a_format_and_a_path_name_files(catalog):
    assert catalog.get(("delta", "/data/t")) == PathTable("delta", "/data/t")
    assert catalog.find(("nope", "/data/t")) is None


def test_what_is_not_there_is_named_with_its_condition(catalog):
    refused("TABLE_OR_VIEW_NOT_FOUND", catalog.get, ("t",))
    refused("SCHEMA_NOT_FOUND", catalog.use, ("nope",))
    refused("CATALOG_NOT_FOUND", catalog.split, ("other", "d", "t"))
    refused("SCHEMA_NOT_FOUND", catalog.add_table, Table("nope", "t", "MANAGED", "delta"))


def test_a_taken_name_is_refused_unless_told_otherwise(catalog):
    table = Table("default", "t", "MANAGED", "delta")
    assert catalog.add_table(table)
    refused("TABLE_OR_VIEW_ALREADY_EXISTS", catalog.add_table, table)
    assert not catalog.add_table(table, if_not_exists=True)
    assert catalog.add_table(table, replace=True)
    view = View("v", Range(0, 1, 1))
    catalog.add_view(view, replace=False)
    refused("TEMP_TABLE_OR_VIEW_ALREADY_EXISTS", catalog.add_view, view, replace=False)


def test_managed_tables_lie_below_their_database(catalog, tmp_path):
    catalog.metastore.add_database(Database("d", "/data/d.db"))
    assert catalog.managed_location(("t",)) == str(tmp_path / "t")
    assert catalog.managed_location(("d", "T")) == "/data/d.db/t"

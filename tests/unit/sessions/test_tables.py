"""CREATE, INSERT, DROP, SHOW, DESCRIBE through SQL, as a user would."""

import threading

import pytest
from pyspark.sql.types import StringType, StructField, StructType

from headwater.errors import SparkError
from headwater.plan.commands import CreateView, Explain
from headwater.plan.relations import ReadSource, UnboundSQL
from headwater.sessions import stored
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path):
    sql = Sql(str(tmp_path / "warehouse"), **{"spark.sql.session.timeZone": "UTC"})
    yield sql
    sql.close()


@pytest.mark.parametrize("kind", ["delta", "parquet", "json", "csv"])
def test_a_table_is_made_filled_read_and_dropped(sql, tmp_path, kind):
    sql(f"CREATE TABLE t (a INT, b STRING) USING {kind}")
    sql("INSERT INTO t VALUES (1, 'x'), (2, NULL)")
    sql("INSERT INTO t (b, a) VALUES ('y', 3)")
    sql("INSERT INTO t (a) VALUES (4)")
    assert sorted(sql("SELECT * FROM t")) == [(1, "x"), (2, None), (3, "y"), (4, None)]
    sql("INSERT OVERWRITE t SELECT 9, 'z'")
    assert sql("SELECT * FROM default.t") == [(9, "z")]
    sql("DROP TABLE t")
    assert not (tmp_path / "warehouse" / "t").exists()
    sql.refused("SELECT * FROM t", "TABLE_OR_VIEW_NOT_FOUND")


def test_rows_that_do_not_fit_are_refused(sql):
    sql("CREATE TABLE t (a BIGINT, b STRING)")
    sql.refused("INSERT INTO t VALUES (1)", "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS")
    sql.refused("INSERT INTO t VALUES (1, 'x', 2)", "INSERT_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS")
    sql.refused("INSERT INTO t VALUES ('1', 'x')", "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST")
    sql.refused("INSERT INTO t (nope) VALUES (1)", "UNRESOLVED_COLUMN.WITH_SUGGESTION")
    assert sql("SELECT * FROM t") == []


def test_a_number_that_overflows_the_column_fails_the_insert(sql):
    sql("CREATE TABLE t (a TINYINT)")
    sql.refused("INSERT INTO t VALUES (300)", "CAST_OVERFLOW_IN_TABLE_INSERT")
    assert sql("SELECT * FROM t") == []


def test_replacing_a_table_changes_its_schema_and_keeps_its_history(sql):
    sql("CREATE TABLE t AS SELECT 1 a")
    sql("CREATE OR REPLACE TABLE t AS SELECT 'x' b")
    assert sql("SELECT * FROM t") == [("x",)]
    assert sql("SELECT * FROM t VERSION AS OF 0") == [(1,)]
    sql("CREATE OR REPLACE TABLE t (c INT)")
    assert sql("DESCRIBE t") == [("c", "int", None)]
    assert [row[0] for row in sql("DESCRIBE HISTORY t")] == [2, 1, 0]


def test_replacing_a_table_replaces_all_of_its_definition_in_one_commit(sql):
    sql("CREATE TABLE t (a INT NOT NULL) COMMENT 'one' TBLPROPERTIES ('k' = 'v')")
    sql("CREATE OR REPLACE TABLE t (b INT NOT NULL, c INT) COMMENT 'two' TBLPROPERTIES ('x' = 'y')")
    versions = [("delta.minReaderVersion", "1"), ("delta.minWriterVersion", "2")]
    assert sql("SHOW TBLPROPERTIES t") == [*versions, ("x", "y")]
    sql.refused("INSERT INTO t VALUES (NULL, 1)", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED")
    assert [(row[4], row[5]["description"]) for row in history(sql)] == [
        ("CREATE OR REPLACE TABLE", "two"),
        ("CREATE TABLE", "one"),
    ]
    sql("CREATE OR REPLACE TABLE t AS SELECT 1 a")
    assert sql("SHOW TBLPROPERTIES t") == versions
    assert history(sql)[0][4] == "CREATE OR REPLACE TABLE AS SELECT"


def history(sql):
    return [(*row[:5], dict(row[5])) for row in sql("DESCRIBE HISTORY t")]


def test_a_table_made_from_a_query_keeps_its_comment_in_the_log(sql):
    sql("CREATE TABLE t COMMENT 'words' TBLPROPERTIES ('k' = 'v') AS SELECT 1 a")
    assert stored.lake_of(sql.session.catalog.stored(("t",)), sql.session).metadata.description == "words"
    path = sql.session.catalog.stored(("t",)).location
    assert ("k", "v") in sql(f"SHOW TBLPROPERTIES delta.`{path}`")


def test_replace_table_needs_a_table(sql):
    error = sql.refused("REPLACE TABLE t (a INT)", "TABLE_OR_VIEW_NOT_FOUND")
    assert "`default`.`t`" in str(error)
    sql("CREATE TABLE t (a INT) COMMENT 'c'")
    sql("REPLACE TABLE t (b INT)")
    assert history(sql)[0][4] == "REPLACE TABLE"
    sql("REPLACE TABLE t AS SELECT 1 AS c")
    assert history(sql)[0][4] == "REPLACE TABLE AS SELECT"
    assert sql("SELECT * FROM t") == [(1,)]


def test_a_table_like_another_has_its_columns_and_partitions_only(sql):
    sql(
        "CREATE TABLE s (a INT NOT NULL COMMENT 'x', b STRING) PARTITIONED BY (b) COMMENT 'c' TBLPROPERTIES ('k' = 'v')"
    )
    sql("INSERT INTO s VALUES (1, 'y')")
    sql("CREATE TABLE t LIKE s TBLPROPERTIES ('o' = 'p')")
    assert sql("DESCRIBE t")[0] == ("a", "int", "x")
    assert (sql("SHOW PARTITIONS t"), sql("SELECT * FROM t")) == ([], [])
    assert ("o", "p") in sql("SHOW TBLPROPERTIES t")
    assert ("k", "v") not in sql("SHOW TBLPROPERTIES t")
    sql("INSERT INTO t VALUES (NULL, 'y')")
    sql("CREATE TABLE IF NOT EXISTS t LIKE s")
    sql.refused("CREATE TABLE u LIKE nope", "TABLE_OR_VIEW_NOT_FOUND")


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_a_table_gets_a_comment(sql, kind):
    sql(f"CREATE TABLE t (a INT) USING {kind}")
    sql("COMMENT ON TABLE t IS 'words'")
    assert ("Comment", "words", "") in sql("DESCRIBE EXTENDED t")
    sql("COMMENT ON TABLE t IS NULL")
    assert "words" not in str(sql("DESCRIBE EXTENDED t"))
    sql.refused("COMMENT ON SCHEMA default IS 'x'", "UNSUPPORTED_FEATURE.HEADWATER")


def test_a_taken_name(sql):
    sql("CREATE TABLE t (a INT)")
    sql.refused("CREATE TABLE t (a INT)", "TABLE_OR_VIEW_ALREADY_EXISTS")
    sql.refused("CREATE VIEW t AS SELECT 1", "TABLE_OR_VIEW_ALREADY_EXISTS")
    sql("CREATE TABLE IF NOT EXISTS t (b STRING)")
    assert sql("SHOW COLUMNS IN t") == [("a",)]


def test_an_external_table_leaves_its_files(sql, tmp_path):
    sql(f"CREATE TABLE e LOCATION '{tmp_path}/ext' AS SELECT 1 a")
    sql("DROP TABLE e")
    assert sql(f"SELECT * FROM delta.`{tmp_path}/ext`") == [(1,)]
    sql(f"CREATE TABLE f USING delta LOCATION '{tmp_path}/ext'")
    assert sql("SELECT * FROM f") == [(1,)]


def test_files_that_are_there_give_a_table_its_schema(sql, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_text('{"a": 1, "b": "x"}\n')
    sql(f"CREATE TABLE j USING json LOCATION '{tmp_path}/in'")
    assert sql("DESCRIBE j") == [("a", "bigint", None), ("b", "string", None)]
    assert sql("SELECT a, b FROM j") == [(1, "x")]


def test_a_folder_that_holds_something_is_no_place_for_a_new_managed_table(sql, tmp_path):
    (tmp_path / "warehouse" / "t").mkdir(parents=True)
    (tmp_path / "warehouse" / "t" / "mine.txt").write_text("keep")
    sql.refused("CREATE TABLE t AS SELECT 1 a", "LOCATION_ALREADY_EXISTS")
    assert (tmp_path / "warehouse" / "t" / "mine.txt").exists()


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_partitions(sql, kind):
    sql(f"CREATE TABLE p (b STRING, a INT) USING {kind} PARTITIONED BY (b)")
    sql("INSERT INTO p BY NAME SELECT * FROM VALUES ('x y', 1), (NULL, 2) AS t(b, a)")
    assert sql("SHOW PARTITIONS p") == [("b=null",), ("b=x y",)]
    assert sorted(sql("SELECT a, b FROM p")) == [(1, "x y"), (2, None)]
    assert ("# Partition Information", "", "") in sql("DESCRIBE p")


def test_views(sql):
    sql("CREATE TABLE t AS SELECT 1 a, 'x' b")
    sql("CREATE VIEW v (n, m) AS SELECT * FROM t")
    assert sql("SELECT n, v.m FROM v") == [(1, "x")]
    sql("CREATE SCHEMA d")
    sql("USE d")
    assert sql("SELECT * FROM default.v") == [(1, "x")]
    sql("USE default")
    sql.refused("DROP VIEW t", "WRONG_COMMAND_FOR_OBJECT_TYPE")
    sql.refused("CREATE VIEW w AS SELECT * FROM nope", "TABLE_OR_VIEW_NOT_FOUND")
    sql("CREATE TEMP VIEW tv AS SELECT * FROM t")
    sql.refused("CREATE VIEW w AS SELECT * FROM tv", "INVALID_TEMP_OBJ_REFERENCE")
    sql.refused("INSERT INTO v VALUES (1, 'x')", "WRONG_COMMAND_FOR_OBJECT_TYPE")
    assert sql("SHOW VIEWS") == [("default", "v", False), ("", "tv", True)]
    sql("DROP VIEW v")


def test_a_view_by_text_follows_what_it_reads_and_never_itself(sql):
    sql("CREATE TEMP VIEW v AS SELECT 1 a")
    sql("CREATE TEMP VIEW w AS SELECT a + 1 a FROM v")
    sql("CREATE OR REPLACE TEMP VIEW v AS SELECT 5 a")
    assert sql("SELECT a FROM w") == [(6,)]
    sql.refused("CREATE OR REPLACE TEMP VIEW v AS SELECT a + 1 a FROM v", "RECURSIVE_VIEW")
    sql.refused("CREATE OR REPLACE TEMP VIEW v AS SELECT * FROM w", "RECURSIVE_VIEW")
    sql.refused("CREATE TEMP VIEW v AS SELECT 3 a", "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS")


def test_a_dataframes_view_may_take_the_name_of_one_it_reads(sql):
    sql("CREATE TEMP VIEW v AS SELECT 1 a")
    for _ in range(2):
        sql.session.run(CreateView(UnboundSQL("SELECT v.a + 1 a FROM v"), ("v",), "temporary", replace=True))
    assert sql("SELECT a FROM v") == [(3,)]


def test_schemas(sql, tmp_path):
    sql("CREATE SCHEMA d COMMENT 'hello'")
    sql.refused("CREATE SCHEMA d", "SCHEMA_ALREADY_EXISTS")
    sql("CREATE TABLE d.t AS SELECT 1 a")
    assert (tmp_path / "warehouse" / "d.db" / "t").is_dir()
    assert sql("SHOW SCHEMAS") == [("d",), ("default",)]
    assert ("Comment", "hello") in sql("DESCRIBE SCHEMA d")
    sql.refused("DROP SCHEMA d", "SCHEMA_NOT_EMPTY")
    sql("DROP SCHEMA d CASCADE")
    assert not (tmp_path / "warehouse" / "d.db").exists()
    sql.refused("USE d", "SCHEMA_NOT_FOUND")
    sql.refused("DROP SCHEMA d", "SCHEMA_NOT_FOUND")
    sql("DROP SCHEMA IF EXISTS d")
    sql.refused("DROP SCHEMA default", "UNSUPPORTED_FEATURE.DROP_DATABASE")


def test_everything_is_there_after_a_restart(sql, tmp_path):
    sql("CREATE SCHEMA d")
    sql("CREATE TABLE d.t USING csv PARTITIONED BY (b) AS SELECT 1 a, 'x' b")
    sql("CREATE VIEW d.v AS SELECT a FROM d.t")
    again = Sql(str(tmp_path / "warehouse"))
    assert again("SELECT * FROM d.v") == [(1,)]
    assert again("SELECT * FROM spark_catalog.d.t") == [(1, "x")]
    again.close()


def test_describing_a_query_runs_nothing(sql):
    assert sql("DESCRIBE QUERY SELECT 1 a, 'x' b") == [("a", "int", None), ("b", "string", None)]


def test_the_statement_that_makes_a_table(sql):
    sql("CREATE TABLE t (a INT, b STRING) USING csv PARTITIONED BY (b) COMMENT 'it''s' TBLPROPERTIES ('k' = 'v')")
    ((text,),) = sql("SHOW CREATE TABLE t")
    sql("DROP TABLE t")
    sql(text)
    assert sql("SHOW CREATE TABLE t") == [(text,)]


def test_settings(sql):
    assert sql("SET a.b = c") == [("a.b", "c")]
    assert sql("SET a.b") == [("a.b", "c")]
    sql("RESET a.b")
    assert sql("SET a.b") == [("a.b", "<undefined>")]
    assert sql("SET my.password = x")[0][0] == "my.password"
    assert sql("SET my.password") == [("my.password", "*********(redacted)")]
    sql.refused("SET spark.sql.warehouse.dir = x", "CANNOT_MODIFY_STATIC_CONFIG")


def test_explain_shows_the_tree_down_to_the_files(sql, tmp_path):
    sql("CREATE TABLE t AS SELECT 1 a")
    sql("CREATE TEMP VIEW v AS SELECT * FROM t")
    ((text,),) = sql("EXPLAIN SELECT a + 1 FROM v WHERE a > 1")
    assert text == (
        "== Physical Plan ==\n"
        "Project [(a + 1)]\n"
        "+- Filter (a > 1)\n"
        "   +- SubqueryAlias v\n"
        "      +- Project [*]\n"
        "         +- SubqueryAlias spark_catalog.default.t\n"
        f"            +- Scan delta [{tmp_path}/warehouse/t]\n\n"
    )
    ((text,),) = sql("EXPLAIN EXTENDED SELECT a FROM v")
    assert "== Parsed Logical Plan ==\nProject [a]\n+- ReadTable [v]\n" in text
    assert "== Analyzed Logical Plan ==\na: int\n" in text
    assert "== DuckDB ==\nSELECT" in text


def test_explain_hides_secrets_and_runs_nothing(sql, tmp_path):
    source = ReadSource(
        "json", StructType([StructField("a", StringType())]), (("my.password", "x1y2"),), (str(tmp_path),), True
    )
    ((text,),) = sql.session.execute(sql.session.run(Explain(source))).table().to_pydict().values()
    assert "StreamingScan json" in text
    assert "x1y2" not in text
    sql("EXPLAIN CREATE TABLE zz AS SELECT 1 a")
    sql.refused("SELECT * FROM zz", "TABLE_OR_VIEW_NOT_FOUND")


def test_one_time_travel_reads_what_was_there(sql):
    sql("CREATE TABLE t AS SELECT 1 a")
    sql("INSERT INTO t VALUES (2)")
    assert sql("SELECT count(*) FROM t VERSION AS OF 0") == [(1,)]
    sql.refused("SELECT * FROM t VERSION AS OF 9", "DELTA_VERSION_NOT_FOUND")


def test_a_version_stands_behind_the_name(sql):
    sql("CREATE SCHEMA s")
    sql("CREATE TABLE s.t (id INT) USING delta")
    for number in range(3):
        sql(f"INSERT INTO s.t VALUES ({number})")
    for name in ("s.t@v2", "spark_catalog.s.t@v2", "s.t VERSION AS OF 2"):
        assert sorted(sql(f"SELECT id FROM {name}")) == [(0,), (1,)], name
    location = sql("DESCRIBE DETAIL s.t")[0][4].removeprefix("file:")
    assert sql(f"SELECT id FROM delta.`{location}@v1`") == [(0,)]
    sql.refused("SELECT * FROM s.t@v9", "DELTA_VERSION_NOT_FOUND")


def test_a_table_by_path_is_verified_rather_than_replaced(sql, tmp_path):
    """As genuine Delta 4.3 does: REPLACE TABLE and AS SELECT make it anew, CREATE OR REPLACE with columns does not."""
    name = f"delta.`{tmp_path}/p`"
    sql(f"CREATE TABLE {name} (id INT, v STRING) USING delta")
    sql(f"INSERT INTO {name} VALUES (1, 'a')")
    for columns, more, condition in (
        ("k INT, w STRING", "", "DELTA_CREATE_TABLE_SCHEME_MISMATCH"),
        ("id BIGINT, v STRING", "", "DELTA_CREATE_TABLE_SCHEME_MISMATCH"),
        ("id INT", "", "DELTA_CREATE_TABLE_SCHEME_MISMATCH"),
        ("id INT, v STRING", "PARTITIONED BY (v)", "DELTA_CREATE_TABLE_WITH_DIFFERENT_PARTITIONING"),
        ("id INT, v STRING", "TBLPROPERTIES ('a' = 'b')", "DELTA_CREATE_TABLE_WITH_DIFFERENT_PROPERTY"),
    ):
        sql.refused(f"CREATE OR REPLACE TABLE {name} ({columns}) USING delta {more}", condition)
    sql(f"CREATE OR REPLACE TABLE {name} (id INT, v STRING) USING delta")
    assert sql(f"SELECT * FROM {name}") == [(1, "a")]
    sql(f"REPLACE TABLE {name} (k INT) USING delta")
    sql(f"CREATE OR REPLACE TABLE {name} USING delta AS SELECT 7 AS other")
    assert sql(f"SELECT * FROM {name}") == [(7,)]


def test_a_table_by_path_is_dropped_from_no_catalog(sql, tmp_path):
    name, nothing = f"delta.`{tmp_path}/p`", f"delta.`{tmp_path}/q`"
    sql(f"CREATE TABLE {name} (id INT) USING delta")
    sql(f"DROP TABLE {name}")
    assert sql(f"SELECT * FROM {name}") == []
    for text in (f"DROP VIEW {name}", f"DROP TABLE {nothing}", "DROP TABLE delta.`relative`"):
        sql.refused(text, "TABLE_OR_VIEW_NOT_FOUND")
    sql(f"DROP TABLE IF EXISTS {nothing}")


def test_names_of_a_with_are_its_own(sql):
    sql("CREATE TABLE t AS SELECT 1 a")
    sql("CREATE TEMP VIEW tv AS SELECT 2 a")
    sql("CREATE VIEW v AS WITH tv AS (SELECT a FROM t) SELECT * FROM tv")
    assert sql("SELECT * FROM v") == [(1,)]


def test_a_view_of_a_view_in_another_schema(sql):
    sql("CREATE SCHEMA d")
    sql("USE d")
    sql("CREATE TABLE t AS SELECT 1 a")
    sql("CREATE VIEW v AS SELECT a FROM t")
    sql("USE default")
    sql("CREATE VIEW w AS SELECT v.a FROM d.v")
    assert sql("SELECT w.a FROM w") == [(1,)]


def test_a_table_whose_query_fails_can_be_made_again(sql, tmp_path):
    sql.refused("CREATE TABLE t AS SELECT CAST(x AS INT) a FROM VALUES ('1'), ('y') AS v(x)", "CAST_INVALID_INPUT")
    assert not (tmp_path / "warehouse" / "t").exists()
    sql("CREATE TABLE t AS SELECT 1 a")
    assert sql("SELECT * FROM t") == [(1,)]


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_of_two_that_make_a_table_at_once_the_one_that_fails_takes_nothing_away(sql, kind):
    fails = f"CREATE TABLE t USING {kind} AS SELECT id, 1 / (id - 999) AS x FROM range(1000)"
    works = f"CREATE TABLE t USING {kind} AS SELECT id FROM range(1000)"

    def run(start, text, answers):
        start.wait(10)
        try:
            sql(text)
        except SparkError as error:
            answers.append(error.condition)
        else:
            answers.append("made")

    for _ in range(6):
        start, answers = threading.Barrier(2), []
        threads = [threading.Thread(target=run, args=(start, text, answers)) for text in (fails, works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert "made" in answers
        assert set(answers) - {"made"} <= {"DIVIDE_BY_ZERO", "TABLE_OR_VIEW_ALREADY_EXISTS"}
        assert sql("SELECT count(*) FROM t") == [(1000,)]
        sql("DROP TABLE t")

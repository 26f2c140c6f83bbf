"""`show()` prints exactly what Spark 4.3 printed for the same rows."""

import threading

import pytest

from headwater.errors import SparkError
from headwater.plan.expressions import Alias, Call, Column
from headwater.plan.relations import HtmlString, Project, Range, ShowString
from support.sql_session import Sql

VALUES = (
    "SELECT 1 a, NULL b, named_struct('x', 1, 'y', NULL) c, map('k', NULL, 'j', 2.5D) d, array(1, NULL, 3) e, "
    "1e10D f, binary('ab') g, date'2020-01-01' h, timestamp'2020-01-01 01:02:03.450' i, true l, 'a\\tb\\nc' m, "
    "1.50 n, array(binary('a')) o, CAST(0.00000001 AS DECIMAL(20, 10)) q, 'x' `na\\nme`"
)


@pytest.fixture(scope="module")
def sql(tmp_path_factory):
    sql = Sql(str(tmp_path_factory.mktemp("warehouse")), **{"spark.sql.session.timeZone": "UTC"})
    yield sql
    sql.close()


def test_values_are_printed_as_spark_prints_them(sql):
    assert sql.show(VALUES, truncate=0).splitlines()[3] == (
        "|1  |NULL|{1, NULL}|{k -> NULL, j -> 2.5}|[1, NULL, 3]|1.0E10|[61 62]|2020-01-01|2020-01-01 01:02:03.45|true"
        "|a\\tb\\nc|1.50|[[61]]|0.0000000100|x     |"
    )


def test_a_cut_table(sql):
    assert sql.show("SELECT '你好' a, 'abcdefghijklmnopqrstuvwxyz' b") == (
        "+----+--------------------+\n"
        "|   a|                   b|\n"
        "+----+--------------------+\n"
        "|你好|abcdefghijklmnopq...|\n"
        "+----+--------------------+\n"
    )
    assert sql.show("SELECT '你好' a, 'abcdefghijklmnopqrstuvwxyz' b", truncate=3) == (
        "+----+---+\n|   a|  b|\n+----+---+\n|你好|abc|\n+----+---+\n"
    )


def test_more_rows_than_shown(sql):
    assert sql.show("SELECT * FROM VALUES (0), (1), (2) AS t(id)", rows=2) == (
        "+---+\n| id|\n+---+\n|  0|\n|  1|\n+---+\nonly showing top 2 rows"
    )
    assert sql.show("SELECT * FROM VALUES (0), (1) AS t(id)", rows=1).endswith("only showing top 1 row")
    assert sql.show("SELECT * FROM VALUES (0), (1) AS t(id)", rows=2).endswith("+---+\n")


def test_no_rows(sql):
    assert sql.show("SELECT 1 id WHERE false") == "+---+\n| id|\n+---+\n+---+\n"
    assert sql.show("SELECT 1 id WHERE false", vertical=True) == "(0 rows)"


def test_vertical(sql):
    assert sql.show("SELECT 1 a, NULL bbbb, 'xy' c", vertical=True) == (
        "-RECORD 0----\n a    | 1    \n bbbb | NULL \n c    | xy   \n"
    )
    assert sql.show("SELECT * FROM VALUES (0), (1) AS t(id)", rows=1, vertical=True) == (
        "-RECORD 0--\n id  | 0   \nonly showing top 1 row"
    )


def test_columns_of_one_name(sql):
    assert sql.show("SELECT 1 a, 2 a").splitlines()[1:4:2] == ["|  a|  a|", "|  1|  2|"]


def test_a_notebook_table_escapes_html(sql):
    relation = sql.relation("SELECT 1 id, '<b>' x UNION ALL SELECT 2, 'y'")
    assert sql.session.execute(HtmlString(relation, 1, 20)).table()[0][0].as_py() == (
        "<table border='1'>\n<tr><th>id</th><th>x</th></tr>\n<tr><td>1</td><td>&lt;b&gt;</td></tr>\n</table>\n"
        "only showing top 1 row\n"
    )


def test_rows_without_columns(sql):
    relation = ShowString(Project(Range(0, 2, 1), ()), 20, 20)
    assert sql.session.execute(relation).table()[0][0].as_py() == "++\n||\n++\n||\n||\n++\n"


def test_a_long_show_can_be_canceled(sql):
    total = Project(Range(0, 1_000_000_000_000, 1), (Alias(Call("sum", (Column(("id",)),)), ("s",)),))
    execution = sql.session.execute(ShowString(total, 20, 20))
    threading.Timer(0.3, execution.cancel).start()
    with pytest.raises(SparkError) as caught:
        execution.table()
    assert caught.value.condition == "OPERATION_CANCELED"

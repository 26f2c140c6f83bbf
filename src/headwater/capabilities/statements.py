"""The SQL statements of Spark and Databricks, each with an example, and whether Headwater reads and runs it.

Invariant: a statement counts as supported if its example parses, each node of its query has a handler, and its
command has somebody to run it.
"""

from __future__ import annotations

from headwater.capabilities.compiled import node_compiles
from headwater.errors import SparkError
from headwater.plan.commands import Command
from headwater.sessions.commands.base import commands
from headwater.sql import parse_statement

STATEMENTS: dict[str, str] = {
    "ALTER SCHEMA": "ALTER SCHEMA s SET DBPROPERTIES (a = 'b')",
    "ALTER TABLE": "ALTER TABLE t ADD COLUMNS (a INT)",
    "ALTER VIEW": "ALTER VIEW v AS SELECT 1",
    "ANALYZE TABLE": "ANALYZE TABLE t COMPUTE STATISTICS",
    "BEGIN … END": "BEGIN SELECT 1; END",
    "CACHE TABLE": "CACHE TABLE t",
    "CALL": "CALL p()",
    "CLEAR CACHE": "CLEAR CACHE",
    "COMMENT ON": "COMMENT ON TABLE t IS 'x'",
    "COPY INTO": "COPY INTO t FROM '/x' FILEFORMAT = JSON",
    "CONVERT TO DELTA": "CONVERT TO DELTA parquet.`/x`",
    "CREATE FLOW": "CREATE FLOW f AS INSERT INTO t BY NAME SELECT 1",
    "CREATE FUNCTION": "CREATE FUNCTION f(a INT) RETURNS INT RETURN a",
    "CREATE MATERIALIZED VIEW": "CREATE MATERIALIZED VIEW v AS SELECT 1",
    "CREATE SCHEMA": "CREATE SCHEMA s",
    "CREATE STREAMING TABLE": "CREATE STREAMING TABLE t AS SELECT 1",
    "CREATE TABLE": "CREATE TABLE t (a INT) USING delta",
    "CREATE TABLE AS SELECT": "CREATE OR REPLACE TABLE t USING delta AS SELECT 1 AS a",
    "CREATE TABLE CLONE": "CREATE TABLE t SHALLOW CLONE s",
    "CREATE TABLE LIKE": "CREATE TABLE t LIKE s",
    "CREATE TEMPORARY FUNCTION": "CREATE TEMPORARY FUNCTION f(a INT) RETURNS INT RETURN a",
    "CREATE TEMPORARY VIEW": "CREATE TEMPORARY VIEW v AS SELECT 1",
    "CREATE VIEW": "CREATE VIEW v AS SELECT 1",
    "DECLARE VARIABLE": "DECLARE VARIABLE a INT",
    "DELETE": "DELETE FROM t WHERE a = 1",
    "DESCRIBE DETAIL": "DESCRIBE DETAIL t",
    "DESCRIBE FUNCTION": "DESCRIBE FUNCTION abs",
    "DESCRIBE HISTORY": "DESCRIBE HISTORY t",
    "DESCRIBE QUERY": "DESCRIBE QUERY SELECT 1",
    "DESCRIBE SCHEMA": "DESCRIBE SCHEMA s",
    "DESCRIBE TABLE": "DESCRIBE TABLE EXTENDED t",
    "DROP FUNCTION": "DROP FUNCTION f",
    "DROP SCHEMA": "DROP SCHEMA s",
    "DROP TABLE": "DROP TABLE t",
    "DROP VIEW": "DROP VIEW v",
    "EXECUTE IMMEDIATE": "EXECUTE IMMEDIATE 'SELECT 1'",
    "EXPLAIN": "EXPLAIN SELECT 1",
    "FSCK REPAIR TABLE": "FSCK REPAIR TABLE t DRY RUN",
    "GENERATE": "GENERATE symlink_format_manifest FOR TABLE t",
    "GRANT": "GRANT SELECT ON t TO u",
    "INSERT INTO": "INSERT INTO t SELECT 1",
    "INSERT INTO PARTITION": "INSERT INTO t PARTITION (a = 1) SELECT 1",
    "INSERT INTO REPLACE USING": "INSERT INTO t REPLACE USING (a) SELECT 1",
    "INSERT INTO REPLACE WHERE": "INSERT INTO t REPLACE WHERE a = 1 SELECT 1",
    "INSERT OVERWRITE": "INSERT OVERWRITE t SELECT 1",
    "INSERT OVERWRITE DIRECTORY": "INSERT OVERWRITE DIRECTORY '/x' USING parquet SELECT 1",
    "LOAD DATA": "LOAD DATA INPATH '/x' INTO TABLE t",
    "MERGE INTO": "MERGE INTO t USING s ON a = b WHEN MATCHED THEN DELETE",
    "OPTIMIZE": "OPTIMIZE t",
    "REFRESH TABLE": "REFRESH TABLE t",
    "REORG TABLE": "REORG TABLE t APPLY (PURGE)",
    "REPAIR TABLE": "REPAIR TABLE t SYNC METADATA",
    "RESET": "RESET a",
    "RESTORE": "RESTORE TABLE t TO VERSION AS OF 1",
    "REVOKE": "REVOKE SELECT ON t FROM u",
    "SELECT": "SELECT 1",
    "SELECT … CHANGES FROM": "SELECT * FROM t CHANGES FROM VERSION 1 TO VERSION 2",
    "SELECT … LATERAL VIEW": "SELECT * FROM t LATERAL VIEW explode(a) b AS c",
    "SELECT … MATCH_RECOGNIZE": "SELECT * FROM t MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS a > 1)",
    "SELECT … PIVOT": "SELECT * FROM t PIVOT (sum(a) FOR b IN (1))",
    "SELECT … QUALIFY": "SELECT a FROM t QUALIFY row_number() OVER (ORDER BY a) = 1",
    "SELECT … STREAM": "SELECT * FROM STREAM t",
    "SELECT … TABLESAMPLE": "SELECT * FROM t TABLESAMPLE (10 PERCENT)",
    "SELECT … TRANSFORM": "SELECT TRANSFORM(a) USING 'cat' FROM t",
    "SELECT … UNPIVOT": "SELECT * FROM t UNPIVOT (a FOR b IN (c, d))",
    "SELECT … VERSION AS OF": "SELECT * FROM t VERSION AS OF 1",
    "SELECT … |> …": "FROM t |> WHERE a > 1",
    "SET": "SET a = b",
    "SET TIME ZONE": "SET TIME ZONE 'UTC'",
    "SET VARIABLE": "SET VARIABLE a = 1",
    "SHOW CATALOGS": "SHOW CATALOGS",
    "SHOW COLUMNS": "SHOW COLUMNS IN t",
    "SHOW CREATE TABLE": "SHOW CREATE TABLE t",
    "SHOW FUNCTIONS": "SHOW FUNCTIONS",
    "SHOW GRANTS": "SHOW GRANTS ON t",
    "SHOW PARTITIONS": "SHOW PARTITIONS t",
    "SHOW SCHEMAS": "SHOW SCHEMAS",
    "SHOW TABLE EXTENDED": "SHOW TABLE EXTENDED LIKE 't'",
    "SHOW TABLES": "SHOW TABLES",
    "SHOW TBLPROPERTIES": "SHOW TBLPROPERTIES t",
    "SHOW VIEWS": "SHOW VIEWS",
    "TABLE": "TABLE t",
    "TRUNCATE TABLE": "TRUNCATE TABLE t",
    "UNCACHE TABLE": "UNCACHE TABLE t",
    "UPDATE": "UPDATE t SET a = 1",
    "USE": "USE s",
    "VACUUM": "VACUUM t",
    "VALUES": "VALUES (1)",
    "WITH": "WITH a AS (SELECT 1) SELECT * FROM a",
    "WITH RECURSIVE": "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a",
}
"""An example by statement."""


def runs(example: str) -> bool:
    """Whether the example is read, its query compiled and its command run by somebody."""
    try:
        node = parse_statement(example)
    except SparkError:
        return False
    runner = not isinstance(node, Command) or commands.get(type(node).__name__) is not None
    return runner and node_compiles(node)

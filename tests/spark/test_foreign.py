"""Genuine Spark reads the tables that it made and that were changed here: deletion vectors, widened types, clones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headwater.lake.table import LakeTable
from support.delta_acceptance import put
from support.genuine_spark import ask_spark
from support.sql_session import Sql

COLUMNS = {
    "deletion_vectors_partitioned": "id, part",
    "type_widening": "a, b, c, d, e, f, g, h, i, s, map_keys(m) AS keys, map_values(m) AS vals, part",
    "shallow_clone": "letter, int, date",
}
ASK = """
answer = {}
for name, (path, columns) in json.load(open("tables.json")).items():
    rows = [row.asDict(True) for row in spark.sql(f"SELECT {columns} FROM delta.`{path}`").collect()]
    history = [row.operation for row in spark.sql(f"DESCRIBE HISTORY delta.`{path}`").collect()]
    answer[name] = {"rows": [list(row.values()) for row in rows], "history": history}
"""


def test_spark_finds_the_rows_that_changes_here_left(tmp_path: Path) -> None:
    sql = Sql(str(tmp_path / "warehouse"))
    tables = {name: str(put(name, tmp_path)) for name in COLUMNS}
    vectors, widened, cloned = (f"delta.`{path}`" for path in tables.values())
    sql(f"UPDATE {vectors} SET id = id + 5000 WHERE part = 2")
    sql(f"DELETE FROM {vectors} WHERE id % 2 = 0")
    sql(f"MERGE INTO {vectors} t USING (SELECT 11 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE")
    sql(f"INSERT INTO {widened} SELECT * FROM {widened} WHERE a > 0")
    sql(f"DELETE FROM {widened} WHERE part = 13")
    sql(f"UPDATE {cloned} SET int = -1 WHERE letter = 'a'")
    expected = {name: _rows(sql, path, COLUMNS[name]) for name, path in tables.items()}
    operations = {name: _operations(path) for name, path in tables.items()}
    sql.close()
    (tmp_path / "tables.json").write_text(json.dumps({name: (path, COLUMNS[name]) for name, path in tables.items()}))

    answer = ask_spark(ASK, tmp_path)

    assert {name: sorted(found["rows"], key=json.dumps) for name, found in answer.items()} == expected
    assert {name: found["history"] for name, found in answer.items()} == operations


def _rows(sql: Sql, path: str, columns: str) -> list[Any]:
    found = sql(f"SELECT {columns} FROM delta.`{path}`")
    return sorted(json.loads(json.dumps(found, default=str)), key=json.dumps)


def _operations(path: str) -> list[str]:
    return [str(commit.info["operation"]) for commit in LakeTable.open(path).history()]

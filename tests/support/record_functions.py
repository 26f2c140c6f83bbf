"""Record what genuine Spark answers to the expressions of tests/functions/*.sql: run it with Spark's Python.

    .venv-spark/bin/python tests/support/record_functions.py

Each line of a `.sql` file is one expression; beside it a `.json` file keeps its text and type, or the error condition.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "functions"
ZONE = "America/Los_Angeles"


def query(expression: str) -> str:
    """The query that shows an expression's text and type."""
    return f"SELECT CAST(({expression}) AS STRING), typeof({expression})"


def answer(spark: Any, expression: str) -> dict[str, Any]:
    """Spark's answer."""
    try:
        text, kind = spark.sql(query(expression)).collect()[0]
    except Exception as error:
        condition = getattr(error, "getCondition", lambda: None)()
        return {"expression": expression, "error": condition or type(error).__name__}
    return {"expression": expression, "text": text, "type": kind}


def main() -> None:
    """Record all files."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.codegen.wholeStage", "false").getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    spark.conf.set("spark.sql.session.timeZone", ZONE)
    for path in sorted(FOLDER.glob("*.sql")):
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
        rows: list[str] = []
        for line in lines:
            rows.append(json.dumps(answer(spark, line), ensure_ascii=False))
            path.with_suffix(".json").write_text("[\n" + ",\n".join(rows) + "\n]\n", "utf-8")
    spark.stop()


if __name__ == "__main__":
    main()

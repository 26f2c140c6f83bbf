"""Asks genuine Spark's parser for the recordings in tests/unit/sql again.

Run it as `.venv-spark/bin/python tests/spark/record_parser.py`.

`recorded_expressions.json` holds expressions and the text Spark prints for its tree of each, `recorded_errors.json`
broken statements and Spark's message, `recorded_queries.json` queries with schema and rows. The keys are ours to add;
the values are Spark's.
"""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.plain_rows import plain

FOLDER = Path(__file__).resolve().parents[1] / "unit" / "sql"


def expression(parser, text):
    """Spark's text of its tree."""
    return parser.parseExpression(text).sql()


def error(parser, text):
    """Spark's message with the place; empty if it accepts the statement."""
    try:
        parser.parsePlan(text)
    except Exception as problem:
        return str(problem).strip()
    return ""


def record(name, parser, ask):
    """Ask for every key of a recording."""
    path = FOLDER / name
    answers = {text: ask(parser, text) for text in json.loads(path.read_text())}
    path.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")


def answer(session, text):
    """A query's schema and rows; for a failure its condition."""
    try:
        frame = session.sql(text)
        return {"schema": frame.schema.simpleString(), "rows": [plain(tuple(row)) for row in frame.collect()]}
    except Exception as problem:
        return {"error": problem.getCondition() if hasattr(problem, "getCondition") else str(problem)}


def record_queries(name, session):
    """Ask for every query of a recording, after its setup."""
    path = FOLDER / name
    recording = json.loads(path.read_text())
    for text in recording["setup"]:
        session.sql(text)
    recording["queries"] = {text: answer(session, text) for text in recording["queries"]}
    path.write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = (
        session.config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", "1").getOrCreate()
    )
    parser = session._jsparkSession.sessionState().sqlParser()
    record("recorded_expressions.json", parser, expression)
    record("recorded_errors.json", parser, error)
    record_queries("recorded_queries.json", session)
    session.stop()

"""Asks genuine Spark's parser for the recordings in tests/unit/sql again.

Run it as `.venv-spark/bin/python tests/spark/record_parser.py`.

`recorded_expressions.json` holds expressions and the text Spark prints for its tree of each; `recorded_errors.json`
holds broken statements and Spark's message. The keys are ours to add; the values are Spark's.
"""

import json
from pathlib import Path

from pyspark.sql import SparkSession

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


if __name__ == "__main__":
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    parser = session._jsparkSession.sessionState().sqlParser()
    record("recorded_expressions.json", parser, expression)
    record("recorded_errors.json", parser, error)
    session.stop()

"""`python -m support.gold_report`: run Spark's function examples, publish the counts, extend the record.

The record holds the ids of the examples that pass; a run that loses one fails and writes nothing, unless `--accept`
is given.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

from support.spark_gold import Outcome, check, examples, new_session

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests" / "spark_gold" / "passing.txt"
PAGE = ROOT / "docs" / "reference" / "spark_gold.md"


@cache
def recorded() -> frozenset[str]:
    """Ids of the examples that passed when the record was last written."""
    return frozenset(RECORD.read_text("utf-8").split()) if RECORD.exists() else frozenset()


def outcomes() -> dict[str, Outcome]:
    """Every example's outcome, by id."""
    session = new_session(Path(tempfile.mkdtemp(prefix="gold-")))
    try:
        return {example.id: check(example, session) for example in examples()}
    finally:
        session.close()
        session.runtime.close()


def page(found: dict[str, Outcome]) -> str:
    """The published table."""
    total = Counter(example.group for example in examples())
    passed = Counter(example.group for example in examples() if not found[example.id].problem)
    rows = [f"| {group} | {passed[group]} | {total[group]} |" for group in sorted(total)]
    exact = sum(outcome.nullability for outcome in found.values())
    return "\n".join(
        [
            "# Spark's function examples",
            "",
            "Examples of Apache Spark's SQL function documentation, run on Headwater: rows, column names and types",
            "as Spark gives them. Written by `make gold`.",
            "",
            "| group | pass | of |",
            "|---|---|---|",
            *rows,
            f"| **all** | **{sum(passed.values())}** | **{sum(total.values())}** |",
            "",
            f"In {exact} of them the nullability of every column and element is Spark's too.",
            "",
        ]
    )


def main() -> int:
    """Run, compare with the record, write."""
    found = outcomes()
    passing = {name for name, outcome in found.items() if not outcome.problem}
    lost = recorded() - passing
    for name in sorted(lost):
        print(f"lost {name}: {found[name].problem if name in found else 'no such example'}")
    if lost and "--accept" not in sys.argv:
        return 1
    RECORD.write_text("\n".join(sorted(passing)) + "\n", "utf-8")
    PAGE.write_text(page(found), "utf-8")
    print(f"{len(passing)} of {len(found)} pass, {len(passing - recorded())} of them new")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Records what genuine Delta does when two operations meet on one table: `python -m support.record_conflicts`.

Every pair runs for real on Apache Spark: the winner on a copy of the table, which gives its commit; the loser on
another copy, where a log store of our own puts that commit into the log just before its own. Needs `.venv-spark` and
a JDK; some twenty minutes.

Invariant: the record is data of what was seen; nothing in it is typed by hand.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from support.conflict_operations import DEFINITION, LEVELS, OPERATIONS, ROWS, VERSION
from support.genuine_spark import HOME, ask_spark

RECORD = Path(__file__).resolve().parents[1] / "data" / "delta_conflicts" / "outcomes.json"

ASK = """
import glob, os, shutil
context = spark.sparkContext
loader = context._jvm.java.lang.Thread.currentThread().getContextClassLoader()
loader.addURL(context._jvm.java.io.File(os.getcwd() + "/classes/").toURI().toURL())
context._jsc.sc().conf().set("spark.delta.logStore.file.impl", "Planting")
DEFINITION, ROWS, OPERATIONS, LEVELS, VERSION = json.load(open("asked.json"))

def run(statements, path):
    for text in statements:
        spark.sql(text.replace("{t}", f"delta.`{path}`")).collect()

def commits(path):
    return sorted(glob.glob(path + "/_delta_log/*.json"))[VERSION + 1:]

def rows(path):
    return sorted([list(row) for row in spark.read.format("delta").load(path).collect()], key=repr)

def with_level(base, level):
    path = os.path.abspath(level)
    shutil.copytree(base, path)
    for name in glob.glob(path + "/_delta_log/*.crc") + glob.glob(path + "/_delta_log/.*.crc"):
        os.unlink(name)
    first = path + "/_delta_log/" + "0" * 20 + ".json"
    lines = [json.loads(line) for line in open(first)]
    for line in lines:
        if "metaData" in line:
            line["metaData"]["configuration"]["delta.isolationLevel"] = level
    open(first, "w").write("".join(json.dumps(line) + "\\n" for line in lines))
    return path

def winning(base, level, name):
    path = os.path.abspath(f"{level}_winner_{name.replace(' ', '_')}")
    shutil.copytree(base, path)
    run(OPERATIONS[name], path)
    return path

def met(base, winner, place, loser):
    path = os.path.abspath(place)
    shutil.copytree(base, path)
    for file in glob.glob(winner + "/**/*", recursive=True):
        target = path + file[len(winner):]
        if os.path.isfile(file) and "/_delta_log/" not in file and not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(file, target)
    os.mkdir(path + "/_winner")
    for file in commits(winner):
        shutil.copy(file, path + "/_winner")
    error = None
    try:
        run(OPERATIONS[loser], path)
    except Exception as cause:
        error = [type(cause).__name__, str(cause)]
        for text in OPERATIONS[loser]:
            if text.startswith("RESET"):
                spark.sql(text)
    assert not os.path.exists(path + "/_winner"), (winner, loser, error)
    found = {"rows": rows(path), "error": error}
    shutil.rmtree(path)
    return found

base = os.path.abspath("base")
run([DEFINITION, *ROWS], base)
answer = {}
for level, pairs in LEVELS.items():
    start = with_level(base, level)
    winners = {name: winning(start, level, name) for name in dict.fromkeys(winner for winner, _ in pairs)}
    answer[level] = []
    for number, (winner, loser) in enumerate(pairs):
        found = met(start, winners[winner], f"{level}_{number}", loser)
        answer[level].append({"winner": winner, "loser": loser, **found})
        print(level, number, "of", len(pairs), winner, "/", loser, file=sys.stderr, flush=True)
"""


def main() -> None:
    """Run all pairs and write the record."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _compile(folder / "classes")
        (folder / "asked.json").write_text(json.dumps([DEFINITION, ROWS, OPERATIONS, LEVELS, VERSION]))
        write(ask_spark(ASK, folder, timeout=7200))


def write(answer: dict[str, list[dict[str, Any]]]) -> None:
    """Keep the answer, its errors as [class, condition, text]."""
    for pair in (pair for pairs in answer.values() for pair in pairs):
        pair["error"] = pair["error"] and told(pair["error"][1])
    RECORD.parent.mkdir(exist_ok=True)
    lines = {level: [json.dumps(pair, ensure_ascii=False) for pair in pairs] for level, pairs in answer.items()}
    parts = [f"{json.dumps(level)}: [\n" + ",\n".join(pairs) + "\n]" for level, pairs in lines.items()]
    RECORD.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def told(text: str) -> list[str]:
    """Class, condition and first line of an error as Py4J shows it; places on this machine are left out."""
    found = re.search(r"io\.delta\.exceptions\.(\w+): \[([\w.]+)\] ([^\n]*)", text)
    assert found is not None, text
    return [found[1], found[2], re.sub(r"`file:[^`]*`", "`t`", found[3])]


def _compile(folder: Path) -> None:
    jars = [*(HOME / "jars").glob("*.jar"), *HOME.glob("lib/python3*/site-packages/pyspark/jars/*.jar")]
    source = Path(__file__).with_name("Planting.java")
    command = ["javac", "-cp", ":".join(map(str, jars)), "-d", str(folder), str(source)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

"""Thousands of damaged records and files through Auto Loader: good rows once, damage accounted for, the sums reconcile.

Damage is made from good records by a seeded generator: cut, bytes flipped, inserted, taken out, swapped.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from sources.test_cloud_files import CloudBench
from support.files import put

SEED = 20_261_130
GOOD = 10_000
ROWS = 500


def damaged(chance: random.Random, good: str) -> str:
    """A damaged copy of a record, on one line and not empty."""
    text = list(good)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text)) if text else 0
        strange = chance.choice("{}[]\",:;\\'0e-+. \t\x00\x01\x7fäé€𝄞\u2028x")
        kind = chance.randrange(5)
        if kind == 0:
            text = text[:at]
        elif kind == 1:
            text[at : at + 1] = [strange]
        elif kind == 2:
            text.insert(at, strange)
        elif kind == 3:
            del text[at : at + chance.randint(1, 4)]
        else:
            text[at : at + 2] = reversed(text[at : at + 2])
    return "".join(text).strip() or "x"


def mixed(record: Callable[[int], str], folder: Path, kind: str) -> list[str]:
    """Files of good and damaged records by turns below `folder/in`; the damaged ones."""
    chance = random.Random(SEED)
    bad = [damaged(chance, record(number)) for number in range(GOOD)]
    for part in range(4):
        lines = [line for n in range(part, GOOD, 4) for line in (bad[n], record(n))]
        head = "id,k\n" if kind == "csv" else ""
        put(folder / "in" / f"{part}.{kind}", head + "\n".join(lines) + "\n")
    return bad


def good_ids(rows: list[tuple[Any, ...]]) -> list[int]:
    return sorted(row[0] for row in rows if row[1] is not None and row[1] == f"good{row[0]}")


def json_record(number: int) -> str:
    return f'{{"id": {number}, "k": "good{number}"}}'


def csv_record(number: int) -> str:
    return f"{number},good{number}"


def test_damaged_json_records_are_rescued_each_once(tmp_path: Path) -> None:
    bad = mixed(json_record, tmp_path, "json")
    stream = CloudBench(tmp_path, schema="id bigint, k string", reader={"rescuedDataColumn": "r"})
    rows = stream.step() or []
    clean = Counter(row[0] for row in rows if row[2] is None and row[1] == f"good{row[0]}")
    assert set(range(GOOD)) <= clean.keys()
    whole = [line for line in bad if _is_object(line) is False]
    kept = Counter(json.loads(row[2])["_corrupt_record"] for row in rows if row[2] and "_corrupt_record" in row[2])
    assert not Counter(whole) - kept
    assert len(rows) == GOOD + sum(_records(line) for line in bad)
    silent = [row for row in rows if row[0] is None and row[1] is None and row[2] is None]
    assert len(silent) <= sum(_is_object(line) is not False for line in bad)


def _is_object(line: str) -> bool | None:
    """Whether a record is a JSON object for sure (True), surely none (False), or may be one by laxer rules (None)."""
    try:
        return isinstance(json.loads(line, strict=False), dict)
    except ValueError:
        return None if line.lstrip()[:1] == "{" and line.rstrip()[-1:] == "}" else False


def _records(line: str) -> int:
    """How many rows a record gives: an array at the top gives one an element."""
    try:
        value = json.loads(line)
    except ValueError:
        return 1
    return len(value) if isinstance(value, list) else 1


@pytest.mark.parametrize(("kind", "record"), [("json", json_record), ("csv", csv_record)])
def test_damaged_records_and_rows_are_as_many_as_lines(tmp_path: Path, kind: str, record: Callable[[int], str]) -> None:
    bad = mixed(record, tmp_path, kind)
    keep = tmp_path / "bad"
    reader = {"badRecordsPath": str(keep), "header": "true"}
    stream = CloudBench(tmp_path, kind, schema="id bigint, k string", reader=reader)
    rows = stream.step() or []
    assert set(range(GOOD)) <= set(good_ids(rows))
    kept = [json.loads(line)["record"] for path in keep.glob("*/bad_records/part-*") for line in path.open()]
    assert len(rows) + len(kept) == GOOD + sum(_records(line) if kind == "json" else 1 for line in bad)
    assert not Counter(kept) - Counter(bad)


def test_damaged_csv_records_are_rescued_or_corrupt_each_once(tmp_path: Path) -> None:
    bad = mixed(csv_record, tmp_path, "csv")
    schema = "id bigint, k string, _corrupt_record string"
    stream = CloudBench(tmp_path, "csv", schema=schema, reader={"header": "true", "rescuedDataColumn": "r"})
    rows = stream.step() or []
    assert len(rows) == GOOD + len(bad)
    assert set(range(GOOD)) <= set(good_ids([row for row in rows if row[2] is None and row[3] is None]))
    lost = [row for row in rows if row[0] is None and row[2] is None and row[3] is None]
    assert len(lost) <= sum(line.partition(",")[0].strip() in ("", '""') for line in bad)


def test_lines_of_text_are_all_rows_whatever_is_in_them(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    lines = [damaged(chance, json_record(number)) for number in range(GOOD)]
    put(tmp_path / "in" / "a.txt", "\n".join(lines) + "\n")
    stream = CloudBench(tmp_path, "text")
    assert Counter(row[0] for row in stream.step() or []) == Counter(lines)


def test_damaged_xml_documents_give_their_rows_up_to_there_and_then_themselves(tmp_path: Path) -> None:
    chance, texts = random.Random(SEED), []
    for number in range(150):
        rows = "".join(f"<row><id>{number * 10 + n}</id></row>" for n in range(10))
        texts.append(f"<rows>{rows}</rows>")
    for number, text in enumerate(texts):
        if number % 3:
            at = chance.randrange(len("<rows>"), len(text) - 1)
            texts[number] = text[:at] if number % 3 == 1 else text[:at] + chance.choice("<>&\x01") + text[at:]
        put(tmp_path / "in" / f"{number:03}.xml", texts[number])
    reader = {"rowTag": "row", "rescuedDataColumn": "r"}
    stream = CloudBench(tmp_path, "xml", schema="id bigint", reader=reader)
    found = stream.step() or []
    ids = Counter(row[0] for row in found if row[0] is not None)
    assert max(ids.values()) == 1
    assert {n for number in range(0, 150, 3) for n in range(number * 10, number * 10 + 10)} <= ids.keys()
    kept = Counter(json.loads(row[1])["_corrupt_record"] for row in found if row[1] and "_corrupt_record" in row[1])
    assert max(kept.values()) == 1
    for number, text in enumerate(texts):
        mine = range(number * 10, number * 10 + 10)
        seen = sum(row[0] in mine or f"/{number:03}.xml" in (row[1] or "") for row in found)
        assert seen == 10 or text in kept, (number, seen, text)


TABLE = pa.table({"id": list(range(ROWS)), "k": [f"good{n}" for n in range(ROWS)]})


def _avro(path: Path) -> None:
    fields = [{"name": "id", "type": "long"}, {"name": "k", "type": "string"}]
    with path.open("wb") as stream:
        rows = TABLE.to_pylist()
        fastavro.writer(stream, {"type": "record", "name": "r", "fields": fields}, rows, "deflate", sync_interval=500)


WRITERS: dict[str, Callable[[Path], None]] = {
    "avro": _avro,
    "orc": lambda path: orc.write_table(TABLE, str(path), compression="zlib"),
    "parquet": lambda path: pq.write_table(TABLE, path, row_group_size=100, write_page_checksum=True),
}


def _cuts(whole: bytes, chance: random.Random) -> Iterator[bytes]:
    """Files that were cut off."""
    for _ in range(40):
        yield whole[: chance.randrange(1, len(whole))]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_is_cut_off_is_named_or_passed_over_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    chance = random.Random(SEED)
    WRITERS[kind](tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    named = 0
    for number, cut in enumerate(_cuts(whole, chance)):
        folder = tmp_path / str(number)
        put(folder / "in" / f"cut.{kind}", cut)
        stream = CloudBench(folder, kind, schema="id bigint, k string")
        rows, error = _outcome(stream)
        if error:
            assert f"cut.{kind}" in error
            named += 1
        else:
            assert rows == sorted(rows_of_table()[: len(rows)], key=repr)  # Avro cut between two blocks is a file
            assert kind == "avro"
    assert named >= 35
    passed = tmp_path / "passed"
    for number, cut in enumerate(_cuts(whole, random.Random(SEED))):
        put(passed / "in" / f"{number:02}.{kind}", cut)
    put(passed / "in" / f"whole.{kind}", whole)
    stream = CloudBench(passed, kind, schema="id bigint, k string", reader={"ignoreCorruptFiles": "true"})
    rows = stream.step() or []
    counts = Counter(rows)
    assert set(rows_of_table()) == counts.keys()
    assert counts[ROWS - 1, f"good{ROWS - 1}"] == 1  # no cut file has the last row


def _outcome(stream: CloudBench) -> tuple[list[tuple[Any, ...]], str]:
    """The rows of the next batch, or why it failed."""
    try:
        return stream.step() or [], ""
    except Exception as error:
        return [], str(error) or repr(error)


def rows_of_table() -> list[tuple[int, str]]:
    return [(row["id"], row["k"]) for row in TABLE.to_pylist()]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_with_a_flipped_byte_gives_its_rows_or_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    chance = random.Random(SEED)
    WRITERS[kind](tmp_path / "whole")
    whole = bytearray((tmp_path / "whole").read_bytes())
    known, failed = set(rows_of_table()), 0
    for number in range(40):
        flipped = bytearray(whole)
        for _ in range(5):
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        folder = tmp_path / str(number)
        put(folder / "in" / f"flipped.{kind}", bytes(flipped))
        stream = CloudBench(folder, kind, schema="id bigint, k string")
        rows, error = _outcome(stream)
        if error:
            assert f"flipped.{kind}" in error or kind == "parquet", error  # a page that DuckDB cannot read
            failed += 1
        else:
            assert len(rows) <= ROWS
            wrong = 0 if kind == "orc" else len(set(rows) - known)  # ORC has no checksums
            assert wrong <= 200, "more is lost than what the damage may touch"
    assert failed >= 5

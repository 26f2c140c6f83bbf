"""The upsert of every Delta guide: MERGE inside foreachBatch, killed at every point and at random moments.

Invariant: what must be there is computed in plain Python, from all rows at once. `HEADWATER_KILLS` sets how often each
kind of upsert is killed at random.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from headwater.lake.table import LakeTable
from support.kill import KILLED, Job, Nursery
from support.lake import rows

KILLS = int(os.environ.get("HEADWATER_KILLS", "6"))
POINTS = ("lake.rows_written", "lake.data_written", "lake.committed", "storage.temp", "storage.link")
STEPS = tuple(f"step{step}" for step in range(1, 9))
KINDS = ("counting_upsert", "repeatable_upsert")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@dataclass
class Updates:
    """Files of updates, a key at most once in each; `gone` deletes."""

    folder: Path
    chance: random.Random
    written: list[list[tuple[int, str]]] = field(default_factory=list)

    def add(self, count: int = 1) -> None:
        """So many files more."""
        for _ in range(count):
            number = len(self.written)
            keys = self.chance.sample(range(30), self.chance.randint(1, 12))
            batch = [(key, self.chance.choice((f"v{number}", f"w{key}", "gone"))) for key in keys]
            lines = "".join(json.dumps({"id": key, "v": value}) + "\n" for key, value in batch)
            aside = self.folder / f"{number:05}.tmp"
            aside.write_text(lines)
            (self.folder / "in").mkdir(exist_ok=True)
            aside.rename(self.folder / "in" / f"{number:05}.json")
            self.written.append(batch)

    def expected(self, kind: str) -> list[tuple[int, str, int]]:
        """By key: its last value, and how often it was seen since it came (or once, if nobody counts)."""
        seen: dict[int, list[str]] = {}
        for key, value in (one for batch in self.written for one in batch):
            seen.setdefault(key, []).append(value)
        found = []
        for key, values in sorted(seen.items()):
            last = len(values) - values[::-1].index("gone") if "gone" in values else 0
            if values[last:]:
                found.append((key, values[-1], len(values[last:]) if kind == "counting_upsert" else 1))
        return found

    def check(self, kind: str) -> None:
        """The table is what the updates say, by both readers, and so is what its change data feed adds up to."""
        path = str(self.folder / "out")
        table = DeltaTable(path)
        found = pa.table(table.scan()).to_pylist()
        assert sorted((row["id"], row["v"], row["n"]) for row in found) == self.expected(kind)
        assert rows(LakeTable.open(path)) == sorted(self.expected(kind), key=repr)
        assert state_of(table) == self.expected(kind)


def state_of(table: DeltaTable) -> list[tuple[int, str, int]]:
    """What the changes of all versions, one after the other, leave."""
    changes = pa.table(table.load_cdf(0).read_all()).to_pylist()
    live: dict[int, tuple[int, str, int]] = {}
    order = {"update_preimage": 0, "delete": 0, "insert": 1, "update_postimage": 1}
    for row in sorted(changes, key=lambda row: (row["_commit_version"], order[row["_change_type"]])):
        now = (row["id"], row["v"], row["n"])
        if order[row["_change_type"]]:
            assert row["id"] not in live, row
            live[row["id"]] = now
        else:
            assert live.pop(row["id"], None) == now, row
    return sorted(live.values())


def test_a_kill_at_any_point_merges_each_batch_once(nursery: Nursery, tmp_path: Path) -> None:
    kind, killed = "counting_upsert", 0
    updates = Updates(tmp_path, random.Random(kind))
    for point in (*STEPS, *POINTS):
        updates.add(2)
        hit = 2 if point in POINTS else 1
        (outcome,) = nursery.run(Job(str(tmp_path), "json", script=kind, crash=f"{point}:{hit}"))
        assert outcome.status in (KILLED, 0), (point, outcome)
        killed += outcome.status == KILLED
    assert killed >= len(STEPS) + len(POINTS) - 2
    (last,) = nursery.run(Job(str(tmp_path), "json", script=kind))
    assert last.status == 0, last.error
    updates.check(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_kills_at_random_moments_merge_each_batch_once(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    seed = f"{kind} {os.environ.get('HEADWATER_SEED', '1')}"
    chance = random.Random(seed)
    updates, killed = Updates(tmp_path, chance), 0
    for _ in range(KILLS):
        updates.add(chance.randint(1, 3))
        (outcome,) = nursery.run(Job(str(tmp_path), "json", script=kind, kill_after_ms=chance.randint(200, 1200)))
        assert outcome.status in (KILLED, 0), outcome.error
        killed += outcome.status == KILLED
    (last,) = nursery.run(Job(str(tmp_path), "json", script=kind))
    assert last.status == 0, last.error
    print("seed", seed, "kills", killed, "batches", len(updates.written), "rows", sum(map(len, updates.written)))
    updates.check(kind)

"""Laws of operators under fire: two folders of JSON files, a law's plan over them, a Delta table, and kills.

Invariant: the rows fed are the same for the same seed; a child reads and writes nothing but its job's folder.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.laws import END, LAWS, SCHEMA, START, Law, Row, answer_of

if TYPE_CHECKING:
    from support.kill import Job

PREFIX = "law:"
NAMES = [name for name, make in LAWS.items() if not name.endswith("update")]
"""Laws whose answers a Delta table can hold: there is no update mode for it."""


def command(job: Job) -> Any:
    """The start command of a job whose operator is `law:<name>`."""
    from headwater.plan.commands import StartStream, Trigger
    from headwater.plan.relations import ReadSource
    from headwater.streaming.analysis import with_explicit_aggregates
    from headwater.types.ddl import parse_schema

    law = LAWS[job.operator.removeprefix(PREFIX)]()
    options = (("maxFilesPerTrigger", "1"),)
    sides = [
        ReadSource("json", parse_schema(SCHEMA), options, (f"{job.folder}/{side}",), streaming=True) for side in "ab"
    ]
    plan = with_explicit_aggregates(law.plan(sides[0], sides[1]))
    law.close()
    checkpoint = (("checkpointLocation", f"{job.folder}/checkpoint"),)
    return StartStream(plan, "delta", checkpoint, law.mode, Trigger("available_now"), path=f"{job.folder}/out")


@dataclass
class LawFeed:
    """Input of a law's job, and what must come out of it.

    Args:
        folder: the job's.
        name: the law's.
        seed: of the rows.
    """

    folder: Path
    name: str
    seed: int
    written: tuple[list[Row], list[Row]] = field(default_factory=lambda: ([], []))

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._times = [START, START]
        self._files = [0, 0]
        for side in "ab":
            (self.folder / side).mkdir(parents=True, exist_ok=True)

    def add(self) -> None:
        """A file more on each side: some rows, later than all before."""
        for side in (0, 1):
            self._write(side, [self._row(side) for _ in range(self._random.randint(0, 6))])

    def end(self) -> None:
        """The rows that close all windows."""
        for side in (0, 1):
            self._write(side, [END])

    def _row(self, side: int) -> Row:
        draw = self._random
        self._times[side] += timedelta(seconds=draw.randint(1, 30))
        key, value = draw.choice([0, 1, 2, None]), draw.choice([0, 1, -5, 2**40, None])
        return {"k": key, "ts": self._times[side], "v": value, "s": draw.choice(["x", "", "ü", None])}

    def _write(self, side: int, rows: list[Row]) -> None:
        name = f"{self._files[side]:05}.json"
        aside = self.folder / f"{'ab'[side]}-{name}"
        aside.write_text("".join(json.dumps(dict(row), default=datetime.isoformat) + "\n" for row in rows), "utf-8")
        aside.rename(self.folder / "ab"[side] / name)
        self._files[side] += 1
        self.written[side].extend(rows)

    def check(self) -> None:
        """The table holds exactly the law's batch answer: nothing lost, nothing doubled, nothing changed."""
        from deltalake import DeltaTable

        law: Law = LAWS[self.name]()
        wanted = law.batch(*self.written)
        law.close()
        found: Counter[tuple[Any, ...]] = answer_of(DeltaTable(str(self.folder / "out")).to_pyarrow_table())
        if law.mode == "append":
            wanted, found = without_end(wanted), without_end(found)
        lost, doubled = wanted - found, found - wanted
        assert not lost, f"{self.name}: lost {list(lost.items())[:5]} ({len(lost)})"
        assert not doubled, f"{self.name}: doubled or changed {list(doubled.items())[:5]} ({len(doubled)})"


def without_end(answer: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Rows about the closing row, which no watermark has passed, left out."""
    late = (START + timedelta(days=300)).timestamp()
    return Counter({row: n for row, n in answer.items() if not any(_after(value, late) for value in row)})


def _after(value: Any, late: float) -> bool:
    if isinstance(value, tuple):
        return any(_after(one, late) for one in value)
    return isinstance(value, float) and value > late

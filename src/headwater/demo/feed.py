"""A realistic e-commerce event feed: one JSON-lines file per second dropped into a folder.

Some lines are broken and some prices are not numbers, as in life; after a while a new field (`coupon`) appears.

Invariants: the same seed gives the same files; a file appears whole (written aside, then renamed); event ids are
unique and ascending.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

CATALOG = {
    "books": ["novel", "atlas", "cookbook"],
    "electronics": ["headphones", "keyboard", "webcam"],
    "garden": ["shears", "planter", "hose"],
    "kitchen": ["kettle", "pan", "scale"],
    "outdoor": ["tent", "backpack", "lantern"],
    "toys": ["puzzle", "kite", "blocks"],
}
TYPES, TYPE_WEIGHTS = ["view", "add_to_cart", "purchase"], [80, 14, 6]
COUNTRIES = ["DE", "FR", "GB", "IN", "JP", "US"]
BROKEN_LINES, BAD_PRICES = 0.004, 0.004
COUPON_FROM_FILE = 6
START = datetime(2026, 1, 1, tzinfo=UTC)


class Feed:
    """The feed.

    Args:
        folder: where files are dropped; made if missing.
        rows: lines per file.
        seed: of all that is random.
    """

    def __init__(self, folder: Path, *, rows: int = 2000, seed: int = 7) -> None:
        self.folder = folder
        self.rows = rows
        self.files = 0
        self.events = 0
        self._random = random.Random(seed)
        folder.mkdir(parents=True, exist_ok=True)

    def drop(self) -> Path:
        """Write the next file and return its path."""
        path = self.folder / f"events-{self.files:05d}.json"
        aside = self.folder / f".{path.name}.tmp"
        aside.write_text("".join(f"{line}\n" for line in self._lines()), "utf-8")
        os.replace(aside, path)
        self.files += 1
        return path

    def run(self, stop: threading.Event, seconds_between: float = 1.0) -> None:
        """Drop files until `stop` is set."""
        while not stop.is_set():
            self.drop()
            stop.wait(seconds_between)

    def _lines(self) -> Iterator[str]:
        for _ in range(self.rows):
            line = json.dumps(self._event())
            yield line[: len(line) // 2] if self._random.random() < BROKEN_LINES else line

    def _event(self) -> dict[str, object]:
        pick = self._random
        category = pick.choice(list(CATALOG))
        kind = pick.choices(TYPES, TYPE_WEIGHTS)[0]
        price: object = round(pick.lognormvariate(3, 0.8), 2)
        event: dict[str, object] = {
            "event_id": self.events,
            "event_time": (START + timedelta(milliseconds=40 * self.events)).isoformat(timespec="milliseconds"),
            "event_type": kind,
            "user_id": pick.randrange(20_000),
            "category": category,
            "product": pick.choice(CATALOG[category]),
            "price": "n/a" if pick.random() < BAD_PRICES else price,
            "quantity": pick.choice([1, 1, 1, 2, 3]),
            "country": pick.choice(COUNTRIES),
        }
        if self.files >= COUPON_FROM_FILE and kind == "purchase":
            event["coupon"] = pick.choice([None, "SPRING", "WELCOME10"])
        self.events += 1
        return event

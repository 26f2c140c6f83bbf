"""The feed is realistic, reproducible, and whole."""

from __future__ import annotations

import json
from pathlib import Path

from headwater.demo.feed import COUPON_FROM_FILE, Feed


def lines(folder: Path) -> list[str]:
    return [line for path in sorted(folder.glob("*.json")) for line in path.read_text("utf-8").splitlines()]


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        feed = Feed(tmp_path / name, rows=200, seed=3)
        feed.drop()
        feed.drop()

    assert lines(tmp_path / "a") == lines(tmp_path / "b")


def test_some_lines_are_broken_some_prices_are_text_and_coupons_come_later(tmp_path: Path) -> None:
    feed = Feed(tmp_path, rows=1000)
    for _ in range(COUPON_FROM_FILE + 1):
        feed.drop()

    whole, broken = [], 0
    for line in lines(tmp_path):
        try:
            whole.append(json.loads(line))
        except ValueError:
            broken += 1

    assert broken > 0
    assert any(event["price"] == "n/a" for event in whole)
    with_coupon = [event["event_id"] for event in whole if "coupon" in event]
    assert min(with_coupon) >= COUPON_FROM_FILE * 1000
    assert len({event["event_id"] for event in whole}) == len(whole)


def test_no_half_written_file_is_ever_in_the_folder(tmp_path: Path) -> None:
    path = Feed(tmp_path, rows=10).drop()

    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

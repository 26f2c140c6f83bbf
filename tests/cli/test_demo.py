"""`headwater demo`: the medallion on the built-in feed and on the user's own files."""

from __future__ import annotations

import json
from pathlib import Path

from deltalake import DeltaTable

from support.command import headwater, interrupt, start_headwater, wait_for


def rows(base: Path, table: str) -> list[dict[str, object]]:
    return DeltaTable(str(base / "tables" / table)).to_pyarrow_table().to_pylist()


def test_gold_agrees_with_the_files_that_were_fed(tmp_path: Path) -> None:
    base = tmp_path / "demo"

    done = headwater("demo", "--seconds", "9", "--dir", base, cwd=tmp_path, timeout=120)

    assert done.returncode == 0, done.stderr + done.stdout
    events: dict[str, int] = {}
    for path in sorted((base / "landing").glob("*.json")):
        for line in path.read_text("utf-8").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event["price"] != "n/a":
                events[event["category"]] = events.get(event["category"], 0) + 1
    assert {row["category"]: row["events"] for row in rows(base, "gold")} == events
    assert str(base / "tables" / "gold") in done.stdout
    assert "coupon" in rows(base, "bronze")[0]


def test_ctrl_c_ends_it_cleanly_with_the_gold_table(tmp_path: Path) -> None:
    base = tmp_path / "demo"
    running = start_headwater("demo", "--seconds", "600", "--dir", base, cwd=tmp_path)
    wait_for(lambda: (base / "tables" / "gold" / "_delta_log").exists(), running)

    out, err = interrupt(running, 60)

    assert running.returncode == 0, err
    assert "revenue" in out


def test_own_csv_files_are_the_input(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.csv").write_text("name,colour\nkite,red\nball,red\npan,blue\n")

    done = headwater("demo", "--seconds", "3", "--input", own, "--dir", tmp_path / "demo", cwd=tmp_path, timeout=60)

    assert done.returncode == 0, done.stderr + done.stdout
    assert {row["colour"]: row["count"] for row in rows(tmp_path / "demo", "gold")} == {"red": 2, "blue": 1}


def test_a_folder_without_data_files_is_a_usage_error(tmp_path: Path) -> None:
    done = headwater("demo", "--input", tmp_path, cwd=tmp_path)

    assert done.returncode == 2
    assert "no .json or .csv" in done.stderr

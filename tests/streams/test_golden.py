"""Checkpoints that earlier builds wrote are gone on from: the same rows as that build gave."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.golden import BATCHES, FOLDER, QUERIES, run

KEPT = sorted(path.parent for path in FOLDER.glob("*/*/answer.json"))


def test_every_query_has_a_checkpoint() -> None:
    assert {path.name for path in KEPT} == set(QUERIES)


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_kept_checkpoint_is_gone_on_from(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "checkpoint", tmp_path / "checkpoint")

    assert run(folder.name, tmp_path / "checkpoint", BATCHES) == json.loads((folder / "answer.json").read_text("utf-8"))

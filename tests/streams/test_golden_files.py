"""Auto Loader checkpoints that earlier builds wrote are gone on from: no file is read again, and none is left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.golden_files import BATCHES, FOLDER, put, run

KEPT = sorted(FOLDER.iterdir())


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.name)
def test_a_kept_checkpoint_is_gone_on_from(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept, tmp_path / "checkpoint")
    for number in range(BATCHES):
        put(tmp_path, number)
    assert run(tmp_path) == 0
    for number in range(BATCHES, BATCHES + 20):
        put(tmp_path, number)
    assert run(tmp_path) == 20
    assert run(tmp_path) == 0
    newest = max(int(path.name) for path in (tmp_path / "checkpoint" / "offsets").iterdir() if path.name.isdecimal())
    assert json.loads((tmp_path / "checkpoint" / "offsets" / str(newest)).read_text().split("\n")[2])["seqNum"] == 42

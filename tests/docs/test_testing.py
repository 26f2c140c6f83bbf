"""The tests that the guide and the examples show pass as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def passes(file: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "--rootdir", str(folder), str(file)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)
    assert found.returncode == 0, found.stdout


def test_the_guide(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guide" / "testing.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    file = tmp_path / "test_guide.py"
    file.write_text("\n".join(blocks))

    passes(file, tmp_path)


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("test_*.py")), ids=lambda path: path.name)
def test_examples(example: Path, tmp_path: Path) -> None:
    passes(example, tmp_path)

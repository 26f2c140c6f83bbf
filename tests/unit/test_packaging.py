"""The package: a built wheel holds every file of `src/headwater`."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/headwater"


def _files() -> set[Path]:
    return {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def test_every_data_file_is_package_data() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    packed = {path for pattern in setuptools["package-data"]["headwater"] for path in PACKAGE.glob(pattern)}
    data = {path for path in _files() if path.suffix != ".py"}
    assert PACKAGE / "conditions.json" in data
    assert {str(path.relative_to(PACKAGE)) for path in data - packed} == set()


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for path in _files() if path.suffix == ".py"}
    assert {str(folder.relative_to(PACKAGE)) for folder in folders if not (folder / "__init__.py").exists()} == set()

"""Things that modules register by name: found wherever they are, without importing more than it takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.registry import Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Registry[object]]]:
    """A package with the modules `alpha`, `two_words` and the folder `aa`, each of which registers something."""
    name = "registered_things"
    folder = tmp_path / name
    (folder / "aa").mkdir(parents=True)
    (folder / "__init__.py").write_text("from headwater.registry import Registry\nthings = Registry(__name__)\n")
    for module, registers in (("alpha", "First"), ("two_words", "twoWords"), ("aa/__init__", "last")):
        text = f"from registered_things import things\n\n\n@things.register({registers!r})\ndef made(): ...\n"
        (folder / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name, __import__(name).things
    for loaded in [one for one in sys.modules if one.split(".")[0] == name]:
        del sys.modules[loaded]


def test_a_name_is_found_without_importing_the_rest(package: tuple[str, Registry[object]]) -> None:
    name, things = package
    assert things.get("TWOWORDS") is not None
    assert f"{name}.two_words" in sys.modules
    assert f"{name}.alpha" not in sys.modules
    assert things.get("first") is not None
    assert f"{name}.aa" not in sys.modules


def test_what_nobody_registered_is_not_found_and_all_names_are_known(package: tuple[str, Registry[object]]) -> None:
    _, things = package
    assert things.get("another") is None
    assert things.names() == ["first", "last", "twowords"]


def test_a_name_has_one_owner(package: tuple[str, Registry[object]], tmp_path: Path) -> None:
    name, things = package
    text = "from registered_things import things\n\n\n@things.register('FIRST')\ndef other(): ...\n"
    (tmp_path / name / "beta.py").write_text(text)
    with pytest.raises(ValueError, match=r"`FIRST` is registered twice .* registered_things.alpha.made"):
        things.names()

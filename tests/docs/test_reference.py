"""The generated reference pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def generator() -> object:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["cli.md", "settings.md", "conditions.md"])
def test_the_page_is_what_make_docs_would_write(page: str) -> None:
    expected = generator().PAGES[page]()  # type: ignore[attr-defined]

    assert (DOCS / "reference" / page).read_text("utf-8") == expected, "run `make docs`"

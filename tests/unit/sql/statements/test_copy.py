"""COPY INTO: Databricks' clauses."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.copying import ALL_ROWS, CopyInto
from headwater.plan.relations import Project
from headwater.sql import parse_statement


def copy(text: str) -> CopyInto:
    made = parse_statement(f"COPY INTO a.t {text}")
    assert isinstance(made, CopyInto)
    return made


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM '/in' FILEFORMAT = JSON", {}),
        ("BY POSITION FROM '/in' FILEFORMAT = json", {"by_position": True}),
        ("(x, y) FROM '/in' FILEFORMAT = json", {"columns": ("x", "y")}),
        ("FROM '/in' FILEFORMAT = json FILES = ('a', 'b/c')", {"files": ("a", "b/c")}),
        ("FROM '/in' FILEFORMAT = json VALIDATE PATTERN = '*.j'", {"pattern": "*.j", "validate": ALL_ROWS}),
        ("FROM '/in' FILEFORMAT = json VALIDATE ALL", {"validate": ALL_ROWS}),
        ("FROM '/in' FILEFORMAT = json VALIDATE 15 ROWS", {"validate": 15}),
        (
            "FROM '/in' FILEFORMAT = json COPY_OPTIONS ('force' = 'true') FORMAT_OPTIONS ('a' = 'b', c = 1)",
            {"copy_options": (("force", "true"),), "format_options": (("a", "b"), ("c", "1"))},
        ),
    ],
)
def test_clauses(text: str, wanted: dict[str, Any]) -> None:
    assert copy(text) == CopyInto(("a", "t"), "/in", "json", **wanted)


def test_a_query_over_the_path() -> None:
    made = copy("FROM (SELECT a::INT AS x, _metadata.file_path FROM 's3://b/in' WHERE a > 1) FILEFORMAT = csv")
    assert (made.path, type(made.query)) == ("s3://b/in", Project)


@pytest.mark.parametrize(
    "text",
    [
        "FROM '/in'",
        "FROM '/in' FILEFORMAT = json FILES = ('a') PATTERN = 'b'",
        "FROM '/in' FILEFORMAT = json VALIDATE VALIDATE",
        "FROM '/in' FILEFORMAT = json VALIDATE x ROWS",
        "FROM '/in' FILEFORMAT = json NONSENSE",
    ],
)
def test_what_is_no_copy(text: str) -> None:
    with pytest.raises(ParseError):
        copy(text)


@pytest.mark.parametrize(
    "text",
    [
        "FROM '/in' WITH (CREDENTIAL c) FILEFORMAT = json",
        "FROM other FILEFORMAT = json",
        "FROM (SELECT * FROM 'a' JOIN 'b') FILEFORMAT = json",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError):
        copy(text)

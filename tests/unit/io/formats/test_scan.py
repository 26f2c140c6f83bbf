"""Building blocks of scans."""

import pytest

from headwater.duck import sql_text
from headwater.io.formats.scan import lines
from support.files import put, run, status


@pytest.mark.parametrize("text", ["a\nb\nc", "a\r\nb\r\nc\r\n", "a\r\nb\nc\n"])
def test_every_kind_of_line_end_gives_one_row_a_line(tmp_path, text):
    path = put(tmp_path / "a.txt", text)
    assert run(sql_text(lines([status(path)]))) == [(line, str(path)) for line in "abc"]

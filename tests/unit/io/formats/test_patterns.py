"""Java date patterns as strptime formats."""

import pytest

from headwater.errors import UnsupportedError
from headwater.io.formats.patterns import strptime_formats


@pytest.mark.parametrize(
    ("pattern", "formats"),
    [
        ("yyyy-MM-dd", ["%Y-%m-%d"]),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", ["%Y-%m-%dT%H:%M:%S.%g%z"]),
        ("HH:mm[:ss]", ["%H:%M:%S", "%H:%M"]),
        ("d MMM yy h a", ["%d %b %y %I %p"]),
        ("''yyyy", ["'%Y"]),
        ("100%", ["100%%"]),
    ],
)
def test_patterns(pattern, formats):
    assert strptime_formats(pattern) == formats


def test_a_letter_that_cannot_be_read_names_the_pattern():
    with pytest.raises(UnsupportedError, match="qq yyyy"):
        strptime_formats("qq yyyy")

"""Reader options that would change what is read and are not implemented: they raise instead of being ignored.

Invariant: an option that is accepted works, or changes nothing in Spark either.
"""

from __future__ import annotations

from headwater.errors import unsupported
from headwater.io.formats.base import FormatOptions

_ALLOWED: dict[str, dict[str, tuple[str, ...]]] = {
    "json": {
        "dropFieldIfAllNull": ("false",),
        "locale": ("en-us",),
    },
    "csv": {
        "charToEscapeQuoteEscaping": (),
        "unescapedQuoteHandling": ("stop_at_delimiter",),
        "singleVariantColumn": (),
        "locale": ("en-us",),
    },
}
"""By format: each option with the values, in lower case, that mean what is done anyway."""


def refuse(file_format: str, options: FormatOptions, time_zone: str | None = None) -> None:
    """Raises UNSUPPORTED_FEATURE naming the first option that cannot be kept."""
    for name, allowed in _ALLOWED[file_format].items():
        given = options.get(name.lower())
        if given is not None and given.lower() not in allowed:
            raise unsupported(f"the {file_format.upper()} reader option {name}={given}", "Leave it out.")
    zone = options.get("timezone")
    if zone is not None and time_zone is not None and zone != time_zone:
        raise unsupported(
            f"the {file_format.upper()} reader option timeZone={zone}", "Set spark.sql.session.timeZone instead."
        )

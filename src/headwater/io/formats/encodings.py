"""The options that say how bytes become lines: `encoding` (or `charset`) and `lineSep`.

Invariant: what cannot be read as asked raises; nothing is read as another encoding or cut at another place.
"""

from __future__ import annotations

from headwater.errors import unsupported
from headwater.io.formats.base import FormatOptions

_ENCODINGS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "latin-1": "latin-1",
    "utf-16": "utf-16",
    "utf-16le": "utf-16",
}
_LINE_ENDS = ("", "\n", "\r", "\r\n")
_ESCAPED = {"\\n": "\n", "\\r": "\r", "\\r\\n": "\r\n", "\\t": "\t"}


def encoding_of(options: FormatOptions) -> str:
    """DuckDB's name of the encoding asked for."""
    asked = options.text("encoding", options.text("charset", "utf-8"))
    if asked.lower() not in _ENCODINGS:
        raise unsupported(f"the encoding `{asked}`", "Convert the file to UTF-8.")
    found = _ENCODINGS[asked.lower()]
    if found != "utf-8" and (options.flag("multiLine") or separator_of(options)):
        raise unsupported(f"the encoding `{asked}` with multiLine or lineSep", "Convert the file to UTF-8.")
    return found


def separator_of(options: FormatOptions) -> str:
    """What ends a record; empty for a line's usual ends."""
    text = options.text("lineSep")
    separator = _ESCAPED.get(text, text)
    if separator in _LINE_ENDS:
        return ""
    if options.flag("multiLine"):
        raise unsupported("the option lineSep with multiLine", "Leave one of them out.")
    return separator

"""The row elements of an XML file, one after the other.

Invariants: no more of the document is held than the row at hand; entities and DTDs are not resolved; a document that is
damaged gives its rows up to there and then its whole text once, as in Spark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headwater.io.formats.xml_values import XmlOptions
from headwater.io.libraries import library
from headwater.io.s3_files import reading
from headwater.io.storage import FileStatus


class Damaged(str):
    """The text of a document that is not well-formed."""


def rows(file: FileStatus, options: XmlOptions, encoding: str | None = None) -> Iterator[Any]:
    """Elements, each valid until the next is asked for, and at most one `Damaged`. Raises FileNotFoundError."""
    etree = library("lxml.etree", "xml")
    with reading(file.path) as stream:
        events = etree.iterparse(
            stream, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, encoding=encoding
        )
        try:
            yield from _outermost(events, options)
            return
        except etree.XMLSyntaxError:
            pass
    with reading(file.path) as stream:
        text = stream.read().decode(encoding or "utf-8", "replace").strip()
    if text:
        yield Damaged(text)


def _outermost(events: Any, options: XmlOptions) -> Iterator[Any]:
    inside = None
    for event, element in events:
        if event == "start":
            if inside is None and _is_row(element, options):
                inside = element
        elif inside is None:
            element.clear()
        elif element is inside:
            yield element
            inside = None
            _drop(element)


def _is_row(element: Any, options: XmlOptions) -> bool:
    local = element.tag.rpartition("}")[2]
    qualified = f"{element.prefix}:{local}" if element.prefix else local
    return options.row_tag in ((qualified,) if options.namespaces else (local, qualified))


def _drop(element: Any) -> None:
    """Let go of a row and of what stands before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]

"""An XML element as the value of a column: attributes, text and children by Spark's rules, leaves as text.

Invariants: attributes are fields `_name`, text beside them the field `_VALUE`; of a repeated child an array takes all
and any other type the last; an element that is read as a string and has children gives their markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from headwater.errors import AnalysisError, unsupported
from headwater.io.formats.base import FormatOptions
from headwater.io.libraries import library

_REFUSED = ("rowValidationXSDPath", "wildcardColName", "singleVariantColumn")


@dataclass(frozen=True)
class XmlOptions:
    """Spark's options of the format; see its guide.

    Attributes:
        row_tag: the elements that are rows.
        prefix, value_tag: names of attributes begin with, and of text beside them.
        attributes, namespaces, trimmed: whether attributes, prefixes and spaces around text count.
        null: the text that is null, or None.
        sensitive: whether names that differ in case are different columns.
    """

    row_tag: str
    prefix: str = "_"
    value_tag: str = "_VALUE"
    attributes: bool = True
    namespaces: bool = True
    trimmed: bool = True
    null: str | None = None
    sensitive: bool = False

    @classmethod
    def of(cls, options: FormatOptions, *, rescuing: bool = False) -> XmlOptions:
        """From reader options. Raises XML_ROW_TAG_MISSING, UNSUPPORTED_FEATURE."""
        for option in _REFUSED:
            if option.lower() in options:
                raise unsupported(f"the XML reader option {option}", "Leave it out.")
        if not options.text("rowTag").strip():
            raise AnalysisError("XML_ROW_TAG_MISSING", rowTag="`rowTag`")
        return cls(
            options.text("rowTag").strip(),
            options.text("attributePrefix", "_"),
            options.text("valueTag", "_VALUE"),
            not options.flag("excludeAttribute"),
            not options.flag("ignoreNamespace"),
            options.flag("ignoreSurroundingSpaces", True),
            options.get("nullvalue"),
            rescuing and options.flag("readerCaseSensitive", True),
        )

    def name(self, name: str) -> str:
        """A column's name as names are compared."""
        return name if self.sensitive else name.lower()


def members(element: Any, options: XmlOptions) -> Iterator[tuple[str, Any]]:
    """What an element holds, in order: attributes as texts, pieces of text under the value tag, child elements."""
    if options.attributes:
        prefixes = {uri: prefix for prefix, uri in element.nsmap.items()}
        for key, value in element.attrib.items():
            yield options.prefix + _qualified(key, prefixes, options), value
    if _text(element.text):
        yield options.value_tag, element.text
    for child in element:
        if isinstance(child.tag, str):
            yield _qualified(child.tag, {_uri(child.tag): child.prefix}, options), child
        if _text(child.tail):
            yield options.value_tag, child.tail


def is_plain(element: Any, options: XmlOptions) -> bool:
    """Whether an element is only text."""
    return not any(isinstance(child.tag, str) for child in element) and not (options.attributes and element.attrib)


def whole_text(element: Any) -> str:
    """All text of an element without children, comments left out."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def shown(text: str | None, options: XmlOptions) -> str | None:
    """A text as a value."""
    found = (text or "").strip() if options.trimmed else text or ""
    return None if found == options.null else found


def value_of(item: Any, kind: DataType, options: XmlOptions) -> Any:
    """A text or an element as a value of `kind` whose leaves are text."""
    if isinstance(kind, ArrayType):
        return [value_of(item, kind.elementType, options)]
    if isinstance(kind, StructType):
        return _struct(item, kind, options)
    if isinstance(item, str):
        return shown(item, options)
    if isinstance(kind, MapType):
        return [(name, value_of(one, kind.valueType, options)) for name, one in _last(members(item, options)).items()]
    if any(isinstance(child.tag, str) for child in item):
        return _markup(item) if isinstance(kind, StringType) else None
    return shown(whole_text(item), options)


def row_of(element: Any, fields: Sequence[StructField], options: XmlOptions) -> dict[str, Any]:
    """The fields of a row; those that are not there are missing."""
    known = {options.name(field.name): field for field in fields}
    row: dict[str, Any] = {}
    for name, item in members(element, options):
        field = known.get(options.name(name))
        if field is None:
            continue
        value = value_of(item, field.dataType, options)
        if isinstance(field.dataType, ArrayType):
            row.setdefault(field.name, []).extend(value)
        else:
            row[field.name] = value
    return row


def lost(element: Any, fields: Sequence[StructField], options: XmlOptions) -> dict[str, Any]:
    """What an element holds that no field takes, inside structs too, as JSON takes it."""
    known = {options.name(field.name): field for field in fields}
    found: dict[str, Any] = {}
    for name, item in members(element, options):
        field = known.get(options.name(name))
        kind = field.dataType if field is not None else None
        kind = kind.elementType if isinstance(kind, ArrayType) else kind
        if field is None:
            _put(found, name, anything(item, options))
        elif isinstance(kind, StructType) and not isinstance(item, str):
            inside = lost(item, kind.fields, options)
            if inside:
                _put(found, name, inside)
    return found


def anything(item: Any, options: XmlOptions) -> Any:
    """A text or an element as JSON takes it."""
    if isinstance(item, str):
        return shown(item, options)
    if is_plain(item, options):
        return shown(whole_text(item), options)
    found: dict[str, Any] = {}
    for name, one in members(item, options):
        _put(found, name, anything(one, options))
    return found


def markup(element: Any) -> str:
    """The text of an element with its tags."""
    text: str = library("lxml.etree", "xml").tostring(element, encoding="unicode", with_tail=False)
    return text


def _struct(item: Any, kind: StructType, options: XmlOptions) -> dict[str, Any] | None:
    if isinstance(item, str) or is_plain(item, options):
        text = shown(item if isinstance(item, str) else whole_text(item), options)
        return {options.value_tag: text} if options.value_tag in kind.names else (None if text else {})
    return row_of(item, kind.fields, options)


def _markup(element: Any) -> str:
    inner = [element.text or "", *(markup(child) + (child.tail or "") for child in element)]
    return "".join(inner).strip()


def _last(pairs: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    return dict(pairs)


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    """A name met again becomes a list."""
    if name not in found:
        found[name] = value
    elif isinstance(found[name], list):
        found[name].append(value)
    else:
        found[name] = [found[name], value]


def _text(text: str | None) -> bool:
    return bool(text and text.strip())


def _uri(tag: str) -> str:
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""


def _qualified(tag: str, prefixes: dict[str, str | None], options: XmlOptions) -> str:
    """`{uri}name` as `prefix:name`."""
    if not tag.startswith("{"):
        return tag
    uri, _, local = tag[1:].partition("}")
    prefix = prefixes.get(uri)
    return f"{prefix}:{local}" if prefix and options.namespaces else local

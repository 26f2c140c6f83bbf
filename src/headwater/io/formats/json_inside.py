"""What a record has inside its structs that the schema cannot take: for the rescued-data column.

Invariants: null for a record that fits; an array that holds such a struct is kept whole; a struct keeps only what is
lost. Records are looked into only where the schema has nested columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType
from sqlglot import exp

from headwater.io.formats.cells import CellRules
from headwater.io.formats.json_values import field_of, mismatched, value_at
from headwater.io.formats.scan import LINE, call, name, value_of


class _Wish(NamedTuple):
    rules: CellRules
    unknown: bool


def lost_inside(field: StructField, rules: CellRules, *, unknown: bool = True) -> list[exp.Expr]:
    """Texts `"field":value` of what is lost inside a column, each null if nothing is.

    `unknown`: fields that the schema does not have count as lost.
    """
    texts = _lost(field.dataType, _step("$", field.name), field_of(field.name), _Wish(rules, unknown))
    return [_pair(field.name, text) for text in texts]


def is_given(value: exp.Expr) -> exp.Expr:
    """Whether a value is not null."""
    return exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.null()))


def _lost(data_type: DataType, path: str, value: exp.Expr, wish: _Wish) -> Iterator[exp.Expr]:
    """The value's JSON, reduced to what is lost; null if nothing is."""
    kind = "ARRAY" if isinstance(data_type, ArrayType) else "OBJECT"
    whens: list[exp.If] = []
    if isinstance(data_type, ArrayType | MapType | StructType):
        whens.append(exp.If(this=_is_other(path, kind), true=_raw(path)))
    if isinstance(data_type, StructType):
        texts = [*_fields(data_type, path, value, wish)]
        texts += [_unknown(path, data_type.names)] if wish.unknown else []
        found = exp.or_(*[is_given(text) for text in texts])
        whens.append(exp.If(this=found, true=call("concat", "{", call("concat_ws", ",", *texts), "}")))
    elif wish.unknown and isinstance(data_type, ArrayType) and isinstance(data_type.elementType, StructType):
        keys = call("flatten", call("json_keys", name(LINE), f"{path}[*]"))
        odd = exp.Not(this=call("list_has_all", value_of(data_type.elementType.names), keys))
        whens.append(exp.If(this=odd, true=_raw(path)))
    if whens:
        yield exp.Case(ifs=whens)


def _is_other(path: str, kind: str) -> exp.Expr:
    """Whether there is a value at `path` that is neither of this JSON kind nor null."""
    return exp.Not(
        this=exp.In(this=call("json_type", name(LINE), path), expressions=[*map(exp.convert, (kind, "NULL"))])
    )


def _fields(struct: StructType, path: str, value: exp.Expr, wish: _Wish) -> Iterator[exp.Expr]:
    for field in struct.fields:
        inner, place = call("struct_extract", value.copy(), field.name), _step(path, field.name)
        wrong = mismatched(inner, field.dataType, wish.rules)
        if wrong is not None:
            yield _pair(field.name, exp.Case(ifs=[exp.If(this=wrong, true=_raw(place))]))
        for text in _lost(field.dataType, place, inner, wish):
            yield _pair(field.name, text)


def _unknown(path: str, known: Sequence[str]) -> exp.Expr:
    """`"key":value` of the keys at `path` that are not known, joined; null if there are none."""
    key = exp.to_identifier("key")
    strange = exp.Not(this=call("list_contains", value_of(list(known)), exp.column(key.copy())))
    keys = call("json_keys", name(LINE), path)
    odd = call("list_filter", keys, exp.Lambda(this=strange, expressions=[key.copy()]))
    quoted = exp.cast(call("to_json", exp.column(key.copy())), "VARCHAR")
    value = value_at(call("json_extract", name(LINE), path), exp.column(key.copy()))
    pair = call("concat", quoted.copy(), ":", value)
    texts = call("list_transform", odd, exp.Lambda(this=pair, expressions=[key.copy()]))
    return exp.Nullif(this=call("array_to_string", texts, ","), expression=exp.Literal.string(""))


def _pair(column: str, text: exp.Expr) -> exp.Expr:
    """`"column":text`, null if the text is."""
    return exp.DPipe(this=exp.Literal.string(json.dumps(column, ensure_ascii=False) + ":"), expression=text)


def _raw(path: str) -> exp.Expr:
    return exp.cast(call("json_extract", name(LINE), path), "VARCHAR")


def _step(path: str, key: str) -> str:
    return f"{path}.{json.dumps(key, ensure_ascii=False)}"

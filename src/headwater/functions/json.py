"""Spark's JSON functions: paths into JSON text, JSON to columns and back.

Invariants: malformed JSON gives NULLs (an error in FAILFAST mode); numbers are read only from JSON numbers; field names
match exactly; `to_json` leaves NULL fields out.
"""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    CharType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    IntegralType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
    VariantType,
)
from sqlglot import exp

from headwater.errors import AnalysisError, SparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    case,
    cast,
    duck,
    either,
    equal,
    is_null,
    lambda_,
    let,
    literal_text,
    names,
    struct_of,
    text_literal,
    titled,
    to_text,
    try_cast,
)
from headwater.functions.datetime_text import read_text, written
from headwater.functions.json_text import infer_schema
from headwater.functions.raising import fail
from headwater.types.ddl import parse_schema, parse_type
from headwater.types.duck import duck_name

_TEXT = (StringType, CharType, VarcharType)


@function("get_json_object")
def get_json_object(call: FunctionCall) -> Typed:
    """get_json_object(json text, path) → string at the path (`$.a[0].b`, `$[*]`), NULL if absent or malformed"""
    text, path = call.take(2)
    body = to_text(call, text).sql
    if (
        isinstance(path.literal, str)
        and path.literal.startswith("$")
        and not any(c in path.literal for c in "*'\"\\ -")
    ):
        known = path.literal
        read = lambda x: case((duck("json_valid", x), duck("json_extract_string", x, known)))  # noqa: E731
        return Typed(let([body], read), StringType(), True)
    return Typed(duck("hw_json_path", body, to_text(call, path).sql), StringType(), True)


@function("json_array_length")
def json_array_length(call: FunctionCall) -> Typed:
    """json_array_length(json text) → int, NULL unless it is an array"""
    body = to_text(call, call.take(1)[0]).sql

    def count(x: exp.Expression) -> exp.Expression:
        array = case((duck("json_valid", x), equal(duck("json_type", x), "ARRAY")))
        return case((array, cast(duck("json_array_length", x), "INTEGER")))

    return Typed(let([body], count), IntegerType(), True)


@function("json_object_keys")
def json_object_keys(call: FunctionCall) -> Typed:
    """json_object_keys(json text) → array<string> of the outer keys, NULL unless it is an object"""
    body = to_text(call, call.take(1)[0]).sql

    def keys(x: exp.Expression) -> exp.Expression:
        object_ = case((duck("json_valid", x), equal(duck("json_type", x), "OBJECT")))
        return case((object_, duck("json_keys", x)))

    return Typed(let([body], keys), ArrayType(StringType(), True), True)


def options_of(operand: Typed | None) -> dict[str, str]:
    """The options of a `map('key', 'value', …)` argument, keys in lower case."""
    if operand is None:
        return {}
    if isinstance(operand.literal, tuple):
        return {str(key).lower(): str(item) for key, item in operand.literal}
    sides = [side for side in operand.sql.find_all(exp.Array)][:2]
    if len(sides) < 2:
        return {}
    keys, values = ([item.name for item in side.expressions] for side in sides)
    return {key.lower(): item for key, item in zip(keys, values, strict=True)}


def schema_argument(call: FunctionCall, operand: Typed) -> DataType:
    """The type that a schema argument (DDL or JSON text, or `schema_of_json(…)`) names."""
    text = literal_text(call, operand, "schema") or ""
    try:
        return parse_type(text)
    except SparkError:
        return parse_schema(text)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


def _shape(kind: DataType) -> Value:
    """The structure `json_transform` is given: leaves that need care stay JSON."""
    if isinstance(kind, StructType):
        return {field.name: _shape(field.dataType) for field in kind.fields}  # type: ignore[return-value]
    if isinstance(kind, ArrayType):
        return [_shape(kind.elementType)]  # type: ignore[return-value]
    if isinstance(kind, MapType):
        return f"MAP(VARCHAR, {_flat(kind.valueType)})"
    return _flat(kind)


def _flat(kind: DataType) -> str:
    if isinstance(kind, StructType):
        parts = [f"{exp.to_identifier(f.name, quoted=True).sql('duckdb')} {_flat(f.dataType)}" for f in kind.fields]
        return f"STRUCT({', '.join(parts)})"
    if isinstance(kind, ArrayType):
        return f"{_flat(kind.elementType)}[]"
    if isinstance(kind, MapType):
        return f"MAP(VARCHAR, {_flat(kind.valueType)})"
    return "VARCHAR" if isinstance(kind, (*_TEXT, DateType, TimestampType, TimestampNTZType, BinaryType)) else "JSON"


class _Reader:
    """Turns what `json_transform` gave into the wanted type."""

    def __init__(self, call: FunctionCall, options: dict[str, str]) -> None:
        self._call = call
        self._options = options

    def value(self, sql: exp.Expression, kind: DataType) -> exp.Expression:
        """The typed value of one piece."""
        if isinstance(kind, _TEXT):
            return sql
        if isinstance(kind, StructType):
            return let([sql], lambda row: case((is_null(row), None), otherwise=self.struct(row, kind)))
        if isinstance(kind, ArrayType):
            return duck("list_transform", sql, lambda_(lambda item: self.value(item, kind.elementType)))
        if isinstance(kind, MapType):
            return let([sql], lambda entries: self._map(entries, kind))
        return self._leaf(sql, kind)

    def _map(self, entries: exp.Expression, kind: MapType) -> exp.Expression:
        read = lambda_(lambda item: self.value(item, kind.valueType))
        keys = cast(duck("map_keys", entries), f"{duck_name(kind.keyType)}[]")
        made = duck("map", keys, duck("list_transform", duck("map_values", entries), read))
        return case((is_null(entries), None), otherwise=made)

    def struct(self, row: exp.Expression, kind: StructType) -> exp.Expression:
        """The struct of a row's fields."""
        return struct_of([(f.name, self.value(duck("struct_extract", row, f.name), f.dataType)) for f in kind.fields])

    def _leaf(self, sql: exp.Expression, kind: DataType) -> exp.Expression:
        name = duck_name(kind)
        if isinstance(kind, BinaryType):
            return duck("hw_decode_base64", sql)
        if isinstance(kind, DateType | TimestampType | TimestampNTZType):
            return self._moment(sql, kind)
        if isinstance(kind, VariantType):
            return sql
        if isinstance(kind, BooleanType):
            return let([cast(sql, "VARCHAR")], lambda x: case((equal(x, "true"), True), (equal(x, "false"), False)))
        pattern = r"-?\d+" if isinstance(kind, IntegralType) else r"-?\d+(\.\d+)?([eE][+-]?\d+)?"
        read = lambda x: case((duck("regexp_full_match", x, pattern), try_cast(x, name)), *self._unusual(x, kind, name))  # noqa: E731
        return let([cast(sql, "VARCHAR")], read)

    def _unusual(self, text: exp.Expression, kind: DataType, name: str) -> list[tuple[Value, Value]]:
        if not isinstance(kind, DoubleType | FloatType):
            return []
        words = {
            '"NaN"': "NaN",
            '"Infinity"': "Infinity",
            '"-Infinity"': "-Infinity",
            '"+INF"': "Infinity",
            '"-INF"': "-Infinity",
        }
        return [(equal(text, word), cast(number, name)) for word, number in words.items()]

    def _moment(self, sql: exp.Expression, kind: DataType) -> exp.Expression:
        keys = {DateType: "dateformat", TimestampType: "timestampformat", TimestampNTZType: "timestampntzformat"}
        pattern = self._options.get(keys[type(kind)])
        text = Typed(sql, StringType())
        if pattern is None:
            from headwater.functions.conversion import cast_typed

            return cast_typed(text, kind, self._call, attempt=True).sql
        from dataclasses import replace

        return read_text(replace(self._call, operands=(text, text_literal(pattern))), kind, strict=False)


def _structure(kind: DataType) -> str:
    import json

    return json.dumps(_shape(kind))


@function("from_json")
def from_json(call: FunctionCall) -> Typed:
    """from_json(json text, schema[, options]) → struct, array or map; malformed text gives NULL fields"""
    text, schema, *rest = call.take(2, 3)
    kind = schema_argument(call, schema)
    options = options_of(rest[0] if rest else None)
    corrupt = (
        options.get("columnnameofcorruptrecord")
        or call.settings("spark.sql.columnNameOfCorruptRecord")
        or "_corrupt_record"
    )
    fields = [f for f in kind.fields if f.name != corrupt] if isinstance(kind, StructType) else []
    wanted: DataType = StructType(fields) if isinstance(kind, StructType) else kind
    reader = _Reader(call, options)
    failfast = options.get("mode", "PERMISSIVE").upper() == "FAILFAST"

    def read(body: exp.Expression) -> exp.Expression:
        made = duck("json_transform", body, _structure(wanted))
        fits = equal(duck("json_type", body), "OBJECT") if isinstance(kind, StructType | MapType) else True
        good = case((duck("json_valid", body), fits), otherwise=False)
        if isinstance(kind, StructType):
            malformed = _row(reader, kind, corrupt, cast(None, "VARCHAR"), body)
            value = let([made], lambda row: _row(reader, kind, corrupt, row, None))
        else:
            malformed, value = cast(None, duck_name(kind)), reader.value(made, kind)
        if failfast:
            malformed = fail(
                SparkError, "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", badRecord=body, failFastMode="FAILFAST"
            )
        blank = either(is_null(body), equal(duck("trim", body), ""))
        return case((blank, None), (good, value), otherwise=malformed)

    nullable_kind = _nullable(kind)
    return Typed(let([to_text(call, text).sql], read), nullable_kind, True, name=titled(call, text.name))


def _row(
    reader: _Reader, kind: StructType, corrupt: str, row: exp.Expression, record: exp.Expression | None
) -> exp.Expression:
    """The struct of a parsed row; for a malformed one NULL fields and the record where the schema asks for it."""
    pairs: list[tuple[str, Value]] = []
    for field in kind.fields:
        if field.name == corrupt:
            pairs.append((field.name, record if record is not None else cast(None, "VARCHAR")))
        elif record is not None:
            pairs.append((field.name, cast(None, duck_name(field.dataType))))
        else:
            pairs.append((field.name, reader.value(duck("struct_extract", row, field.name), field.dataType)))
    return struct_of(pairs)


def _nullable(kind: DataType) -> DataType:
    """The type with every part nullable, as parsers give it."""
    if isinstance(kind, StructType):
        return StructType([StructField(f.name, _nullable(f.dataType), True) for f in kind.fields])
    if isinstance(kind, ArrayType):
        return ArrayType(_nullable(kind.elementType), True)
    return MapType(kind.keyType, _nullable(kind.valueType), True) if isinstance(kind, MapType) else kind


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────


class JsonWriter:
    """JSON text of values by their Spark type."""

    def __init__(self, call: FunctionCall, options: dict[str, str]) -> None:
        self._call = call
        self._options = options
        self._keep_nulls = options.get("ignorenullfields", "true") == "false"

    def text(self, sql: exp.Expression, kind: DataType) -> exp.Expression:
        """The JSON of a value, NULL for NULL."""
        if isinstance(kind, StructType):
            return let([sql], lambda row: case((is_null(row), None), otherwise=self._struct(row, kind)))
        if isinstance(kind, ArrayType):
            item = lambda x: duck("coalesce", self.text(x, kind.elementType), "null")  # noqa: E731
            return self._list("[", duck("list_transform", sql, lambda_(item)), "]")
        if isinstance(kind, MapType):
            return self._list(
                "{", duck("list_transform", duck("map_entries", sql), lambda_(lambda e: self._entry(e, kind))), "}"
            )
        return self._leaf(sql, kind)

    def _list(self, opening: str, items: exp.Expression, closing: str) -> exp.Expression:
        joined = duck("array_to_string", items, ",")
        return _concat(exp.Literal.string(opening), joined, exp.Literal.string(closing))

    def _struct(self, row: exp.Expression, kind: StructType) -> exp.Expression:
        parts = []
        for field in kind.fields:
            text = self.text(duck("struct_extract", row, field.name), field.dataType)
            if self._keep_nulls:
                text = duck("coalesce", text, "null")
            parts.append(_concat(duck("to_json", field.name), exp.Literal.string(":"), text))
        return self._list("{", exp.Array(expressions=parts), "}")

    def _entry(self, entry: exp.Expression, kind: MapType) -> exp.Expression:
        from headwater.functions.text_form import text_of

        key = duck("struct_extract", entry, "key")
        shown = _key_text(key, kind.keyType) if isinstance(kind.keyType, StructType) else text_of(key, kind.keyType)
        value = duck("coalesce", self.text(duck("struct_extract", entry, "value"), kind.valueType), "null")
        return _concat(duck("to_json", shown), exp.Literal.string(":"), value)

    def _leaf(self, sql: exp.Expression, kind: DataType) -> exp.Expression:
        from headwater.functions.text_form import text_of

        if isinstance(kind, DoubleType | FloatType):
            finite = duck("isfinite", sql)
            return case((finite, text_of(sql, kind)), otherwise=_quoted(text_of(sql, kind)))
        if isinstance(kind, IntegralType | DecimalType | BooleanType | VariantType):
            return cast(sql, "VARCHAR")
        if isinstance(kind, BinaryType):
            return _quoted(duck("to_base64", sql))
        if isinstance(kind, DateType | TimestampType | TimestampNTZType):
            return _quoted(self._moment(sql, kind))
        return _quoted(sql if isinstance(kind, _TEXT) else text_of(sql, kind))

    def _moment(self, sql: exp.Expression, kind: DataType) -> exp.Expression:
        if isinstance(kind, DateType):
            pattern = self._options.get("dateformat", "yyyy-MM-dd")
            return written(self._call, Typed(cast(sql, "TIMESTAMP"), TimestampNTZType()), text_literal(pattern))
        if isinstance(kind, TimestampNTZType):
            pattern = self._options.get("timestampntzformat", "yyyy-MM-dd'T'HH:mm:ss.SSS")
            return written(self._call, Typed(sql, kind), text_literal(pattern))
        utc = self._call.time_zone in ("UTC", "Etc/UTC", "GMT", "Z")
        default = "yyyy-MM-dd'T'HH:mm:ss.SSS" + ("'Z'" if utc else "XXX")
        return written(self._call, Typed(sql, kind), text_literal(self._options.get("timestampformat", default)))


def _key_text(key: exp.Expression, kind: StructType) -> exp.Expression:
    """A struct as a map key, as Spark prints rows: `[1,a]`."""
    from headwater.functions.text_form import text_of

    parts = [duck("coalesce", text_of(duck("struct_extract", key, f.name), f.dataType), "null") for f in kind.fields]
    joined = duck("array_to_string", exp.Array(expressions=parts), ",")
    return _concat(exp.Literal.string("["), joined, exp.Literal.string("]"))


def _quoted(text: exp.Expression) -> exp.Expression:
    return cast(duck("to_json", text), "VARCHAR")


def _concat(first: exp.Expression, *rest: exp.Expression) -> exp.Expression:
    for part in rest:
        first = exp.DPipe(this=first, expression=part)
    return exp.Paren(this=first)


@function("to_json")
def to_json(call: FunctionCall) -> Typed:
    """to_json(struct | array | map[, options]) → JSON text without NULL fields"""
    value, *rest = call.take(1, 2)
    if not isinstance(value.type, StructType | ArrayType | MapType | VariantType):
        raise AnalysisError(
            "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
            sqlExpr=f'"{titled(call, *names(call.operands))}"',
            paramIndex="first",
            requiredType='("STRUCT" or "ARRAY" or "MAP" or "VARIANT")',
            inputSql=f'"{value.name}"',
            inputType=f'"{value.type.simpleString().upper() if value.type else "VOID"}"',
        )
    writer = JsonWriter(call, options_of(rest[0] if rest else None))
    return Typed(writer.text(value.sql, value.type), StringType(), True, name=titled(call, value.name))


@function("schema_of_json")
def schema_of_json(call: FunctionCall) -> Typed:
    """schema_of_json(literal json text[, options]) → string: its schema as DDL"""
    text, *rest = call.take(1, 2)
    known = literal_text(call, text, "json") or ""
    ddl = infer_schema(known, options_of(rest[0] if rest else None))
    return Typed(exp.Literal.string(ddl), StringType(), False, ddl, titled(call, text.name))

"""Generators: explode and its kin in a select list, `LATERAL VIEW`, and as table functions; other table functions.

Invariants: one generator a select list; the rows are made by DuckDB's `unnest` in a SELECT of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql.types import IntegerType, LongType, ShortType, StringType, StructField, TimestampType
from sqlglot import exp

from headwater.compile.compiler import Compiler, on
from headwater.compile.constants import Constant, constant
from headwater.compile.frame import Frame, Item, reference
from headwater.compile.outputs import items_of, outputs_of
from headwater.compile.relations.leaves import range_frame
from headwater.compile.resolved import Attribute
from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.functions.base import Typed, functions
from headwater.functions.generator import row_type
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from headwater.plan.identifiers import parse_name


def has_generator(expression: ex.Expression) -> bool:
    """Whether the expression is (an alias of) a generator call."""
    if isinstance(expression, ex.Alias):
        return has_generator(expression.child)
    if not isinstance(expression, ex.Call):
        return False
    known = functions.get(expression.name)
    return known is not None and known.kind == "generator"


def project_generators(expressions: Sequence[ex.Expression], frame: Frame, compiler: Compiler) -> Frame:
    """A select list with a generator. Raises UNSUPPORTED_GENERATOR.MULTI_GENERATOR."""
    at = [i for i, e in enumerate(expressions) if has_generator(e)]
    if len(at) > 1:
        shown = ", ".join(f'"{_call(expressions[i]).name}"' for i in at)
        raise AnalysisError("UNSUPPORTED_GENERATOR.MULTI_GENERATOR", num=len(at), generators=shown)
    chosen = expressions[at[0]]
    scope = compiler.scope(frame)
    before = items_of(outputs_of(expressions[: at[0]], scope, compiler), compiler)
    after = items_of(outputs_of(expressions[at[0] + 1 :], scope, compiler), compiler)
    typed = compiler.expression(_call(chosen), scope)
    names = chosen.names if isinstance(chosen, ex.Alias) else ()
    taken = {item.attribute.sql for item in before}
    after = [
        Item(compiler.again(i.attribute), i.sql or reference(i.attribute)) if i.attribute.sql in taken else i
        for i in after
    ]
    return _generated(frame, before, typed, names, after, compiler)


def _call(expression: ex.Expression) -> ex.Call:
    inner = expression.child if isinstance(expression, ex.Alias) else expression
    assert isinstance(inner, ex.Call)
    return inner


def _generated(
    frame: Frame, before: list[Item], typed: Typed, names: Sequence[str], after: list[Item], compiler: Compiler
) -> Frame:
    fields = _named(row_type(typed).fields, names)
    if frame.limited or frame.order:
        frame = compiler.closed(frame)
    row = compiler.attribute("row", row_type(typed), True)
    unnested = Item(row, exp.Anonymous(this="unnest", expressions=[typed.sql]))
    rows = compiler.closed(compiler.project(frame, [*before, unnested, *after]))
    made = [_field(row, old, new, compiler) for old, new in zip(row_type(typed).fields, fields, strict=True)]
    return rows.projected([*(Item(i.attribute) for i in before), *made, *(Item(i.attribute) for i in after)])


def _named(fields: Sequence[StructField], names: Sequence[str]) -> list[StructField]:
    if not names:
        return list(fields)
    if len(names) != len(fields):
        raise AnalysisError(
            "UDTF_ALIAS_NUMBER_MISMATCH",
            aliasesNum=len(fields),
            aliasesSize=len(fields),
            aliasesNames=", ".join(f"`{name}`" for name in names),
        )
    return [StructField(name, f.dataType, f.nullable) for name, f in zip(names, fields, strict=True)]


def _field(row: Attribute, old: StructField, new: StructField, compiler: Compiler) -> Item:
    value = exp.Anonymous(this="struct_extract", expressions=[reference(row), exp.Literal.string(old.name)])
    return Item(compiler.attribute(new.name, new.dataType, new.nullable), value)


@on(plan.GeneratorJoin)
def _generator_join(node: plan.GeneratorJoin, frame: Frame, compiler: Compiler) -> Frame:
    scope = compiler.scope(frame)
    call = _call(node.generator)
    name = call.name.lower()
    if node.outer and not name.endswith("_outer"):
        call = replace(call, name=f"{name}_outer")
    typed = compiler.expression(call, replace(scope, hidden=()))
    kept = [Item(a) for a in frame.attributes]
    made = _generated(frame, kept, typed, node.columns, [], compiler)
    new = {a.sql for a in made.attributes} - {item.attribute.sql for item in kept}
    return made.renamed([replace(a, qualifiers=((node.alias,),)) if a.sql in new else a for a in made.attributes])


@on(plan.TableFunction)
def _table_function(node: plan.TableFunction, compiler: Compiler) -> Frame:
    frame = Frame(None, ())
    if node.name.lower() == "range":
        return _range(node, frame, compiler)
    if node.name.lower() in _CHANGES:
        return compiler.relation(_changes(node, compiler))
    call = ex.Call(node.name, node.arguments)
    if not has_generator(call):
        raise unsupported(f"the table function {node.name}")
    typed = compiler.expression(call, compiler.scope(frame))
    return _generated(frame, [], typed, (), [], compiler)


def _range(node: plan.TableFunction, frame: Frame, compiler: Compiler) -> Frame:
    values = [compiler.expression(argument, compiler.scope(frame)).literal for argument in node.arguments]
    if not all(isinstance(value, int) for value in values) or not 1 <= len(values) <= 4:
        raise unsupported("range() with other arguments than integer constants")
    numbers = [value for value in values if isinstance(value, int)]
    start, end = (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
    return range_frame(start, end, numbers[2] if len(numbers) > 2 else 1, compiler)


# ── table_changes ───────────────────────────────────────────────────────────────────────────────────────────

_CHANGES = {"table_changes": "table name", "table_changes_by_path": "table path"}


def _changes(node: plan.TableFunction, compiler: Compiler) -> plan.ReadTable:
    """The read of a Delta table's change data feed.

    Raises INCORRECT_NUMBER_OF_ARGUMENTS, DELTA_UNSUPPORTED_EXPRESSION, DELTA_CDC_READ_NULL_RANGE_BOUNDARY.
    """
    name = node.name.lower()
    if node.streaming:
        way = 'Use spark.readStream with option("readChangeFeed", "true").'
        raise unsupported(f"STREAM {name}", way)
    if not 2 <= len(node.arguments) <= 3:
        failure = "not enough args" if len(node.arguments) < 2 else "too many args"
        raise AnalysisError("INCORRECT_NUMBER_OF_ARGUMENTS", failure=failure, functionName=name, minArgs=2, maxArgs=3)
    table = constant(node.arguments[0], compiler)
    if table.text is None or not isinstance(table.type, StringType) or not isinstance(node.arguments[0], ex.Literal):
        raise _unsupported_type(_CHANGES[name], table, "StringType literal")
    parts = ("delta", table.text) if name == "table_changes_by_path" else parse_name(table.text)
    ends = zip(("starting", "ending"), node.arguments[1:], strict=False)
    options = [_boundary(end, constant(value, compiler)) for end, value in ends]
    return plan.ReadTable(parts, (("readChangeFeed", "true"), *options))


def _boundary(end: str, value: Constant) -> tuple[str, str]:
    """The read option for an end of the range: a number is a version, everything else a time."""
    if value.text is None:
        raise IllegalArgumentError("DELTA_CDC_READ_NULL_RANGE_BOUNDARY")
    if isinstance(value.type, ShortType | IntegerType | LongType):
        return f"{end}Version", value.text
    if isinstance(value.type, StringType | TimestampType):
        return f"{end}Timestamp", value.text
    raise _unsupported_type(f"{end} option", value, "IntegerType,LongType,StringType,TimestampType")


def _unsupported_type(where: str, found: Constant, supported: str) -> AnalysisError:
    kind = str(found.type).removesuffix("()")
    return AnalysisError("DELTA_UNSUPPORTED_EXPRESSION", expType=kind, causedBy=where, supportedTypes=supported)

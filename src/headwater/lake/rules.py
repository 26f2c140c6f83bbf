"""What the rows of a Delta table must meet and which columns they compute: the expressions of its metadata, compiled,
and the numbers of its identity columns.

This room holds no compiler: `sessions.rules` enters one here (`compile_with`), and every write asks `rules_of`.

Invariant: a table with expressions is never written without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import SparkError, unsupported
from headwater.lake.actions import Metadata
from headwater.lake.identity import identities
from headwater.lake.merge import Clause, Merge, target_column
from headwater.lake.properties import CONSTRAINT

GENERATION = "delta.generationExpression"
DEFAULT = "CURRENT_DEFAULT"


@dataclass(frozen=True)
class Check:
    """A condition that each row must meet; null is not met, as in Delta.

    Attributes:
        name, text: as messages have them.
        condition: a DuckDB predicate over columns named `row_column(i)`.
        values: what messages show of a row, by name.
    """

    name: str
    text: str
    condition: exp.Expr
    values: tuple[tuple[str, exp.Expr], ...] = ()


@dataclass(frozen=True)
class Rules:
    """All of a table's.

    Attributes:
        generated: the value of each generated column by its place, over `row_column(i)`.
        numbers: that of each identity column, which new rows alone get.
        defaults: the value of each column with a DEFAULT where rows do not bring it.
    """

    checks: tuple[Check, ...] = ()
    generated: Mapping[int, exp.Expr] = field(default_factory=dict)
    numbers: Mapping[int, exp.Expr] = field(default_factory=dict)
    defaults: Mapping[int, exp.Expr] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.checks or self.computed or self.defaults)

    @property
    def computed(self) -> Mapping[int, exp.Expr]:
        """What a new row's columns are where it does not bring them."""
        return {**self.generated, **self.numbers}

    def guarded(self, value: exp.Expr) -> exp.Expr:
        """A column's value, or an error if a check is not met."""
        case = exp.Case()
        for number, check in enumerate(self.checks):
            met = exp.Coalesce(this=check.condition.copy(), expressions=[exp.false()])
            case = case.when(exp.Not(this=exp.paren(met)), _failure(number, check))
        return case.else_(value) if self.checks else value

    def violation(self, text: str) -> SparkError | None:
        """What DuckDB's message means, if a check has raised it."""
        if _VIOLATED not in text:
            return None
        number, _, values = text.split(_VIOLATED, 1)[1].partition(";")
        check = self.checks[int(number)]
        return SparkError(
            "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES", constraintName=check.name, expression=check.text, values=values
        )


_VIOLATED = "CHECK constraint violated: "


def row_column(index: int) -> str:
    """The name that rules use for the table's column `index`."""
    return f"row_{index}"


def _failure(number: int, check: Check) -> exp.Expr:
    parts: list[exp.Expr] = [exp.Literal.string(f"{_VIOLATED}{number};")]
    for place, (name, value) in enumerate(check.values):
        shown = exp.Cast(this=value.copy(), to=exp.DataType.build("text"))
        parts.append(exp.Literal.string(("\n" if place else "") + f" - {name} : "))
        parts.append(exp.Coalesce(this=shown, expressions=[exp.Literal.string("null")]))
    return exp.Anonymous(this="error", expressions=[exp.Anonymous(this="concat", expressions=parts)])


NO_RULES = Rules()
Compiler = Callable[[Metadata, Connection], Rules]
_compilers: list[Compiler] = []


def compile_with(compiler: Compiler) -> Compiler:
    """Decorator: the function compiles the expressions of a table's metadata."""
    _compilers[:] = [compiler]
    return compiler


def constraints(metadata: Metadata) -> dict[str, str]:
    """The table's CHECK constraints: expressions by name."""
    settings = metadata.configuration.items()
    return {key[len(CONSTRAINT) :]: text for key, text in settings if key.lower().startswith(CONSTRAINT)}


def generations(metadata: Metadata) -> dict[str, str]:
    """The expressions of generated columns by column."""
    return _texts(metadata, GENERATION)


def defaults(metadata: Metadata) -> dict[str, str]:
    """The expressions of columns with a DEFAULT by column."""
    return _texts(metadata, DEFAULT)


def _texts(metadata: Metadata, key: str) -> dict[str, str]:
    found = {field.name: (field.metadata or {}).get(key) for field in metadata.schema.fields}
    return {name: text for name, text in found.items() if text is not None}


def rules_of(metadata: Metadata, connection: Connection) -> Rules:
    """The table's rules, in the connection's time zone. Raises what the compiler raises of a broken expression."""
    return replace(
        _compiled(metadata, connection),
        numbers={index: one.number() for index, one in identities(metadata.schema).items()},
    )


def _compiled(metadata: Metadata, connection: Connection) -> Rules:
    if not constraints(metadata) and not generations(metadata) and not defaults(metadata):
        return NO_RULES
    if not _compilers:
        raise unsupported(
            "writing to a Delta table with `checkConstraints`, `generatedColumns` or `allowColumnDefaults` here"
        )
    return _compilers[0](metadata, connection)


def generating(merge: Merge, rules: Rules) -> Merge:
    """The merge with generated and identity columns computed where its clauses leave them alone."""
    if not rules.computed:
        return merge
    return replace(merge, clauses=tuple(_generating(clause, rules) for clause in merge.clauses))


def _generating(clause: Clause, rules: Rules) -> Clause:
    if clause.kind == "delete":
        return clause
    values = list(clause.values)
    made = {row_column(index): value for index, value in enumerate(clause.values)}
    computed = rules.computed if clause.kind == "insert" else rules.generated
    for index, expression in computed.items():
        if _untouched(clause, index):
            values[index] = exp.paren(_over(expression, made))
    return replace(clause, values=tuple(values))


def _untouched(clause: Clause, index: int) -> bool:
    value = clause.values[index]
    if clause.kind == "insert":
        return isinstance(value, exp.Null)
    return isinstance(value, exp.Column) and value.name == target_column(index)


def _over(expression: exp.Expr, made: Mapping[str, exp.Expr]) -> exp.Expr:
    """The expression with a row's columns replaced by their new values."""

    def value(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and not node.table and node.name in made:
            return exp.paren(made[node.name].copy())
        return node

    return expression.copy().transform(value)

"""Which rows of a stream may make a query fail, asked in one pass: DuckDB's `TRY` around what each level computes.

Only for chains of projections and filters over one stream, which is what most plans are below their first join or
aggregation. Rows are suspects: whoever asks tries each by itself, and looks for others by other means.

Invariant: the query asked fails for no row; what cannot be asked so is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

ROW, _FAILED, _MET, _VALUES = "__row", "__row_failed", "__row_met", "__row_values"
_PARTS = {"expressions", "from_", "where"}
_STRANGE = (exp.Query, exp.Subquery, exp.Window, exp.AggFunc, exp.Unnest, exp.Explode, exp.Star)
_ROWS = {"unnest", "explode"}


@dataclass(frozen=True)
class Chain:
    """Projections and filters, the last one first, over the view of one stream."""

    stream: str
    levels: tuple[exp.Select, ...]

    @classmethod
    def of(cls, query: exp.Query) -> Chain | None:
        """A query that is one; None for any other."""
        levels: list[exp.Select] = []
        node: exp.Expr = query
        while isinstance(node, exp.Select):
            source = node.args["from_"].this if node.args.get("from_") else None
            inner = source.this if isinstance(source, exp.Subquery) else None
            if not _passes(node):
                if not _is_plain(node):
                    return None
                levels.append(node)
            if isinstance(source, exp.Table):
                is_stream = source.name.startswith("stream_") and not source.alias
                return cls(source.name, tuple(levels)) if is_stream else None
            if inner is None or source is None or source.args["alias"].args.get("columns"):
                return None
            node = inner
        return None

    def suspects(self, rows: exp.Select) -> exp.Query:
        """The numbers of the rows that may fail.

        Args:
            rows: the columns of the stream and `ROW`.
        """
        current = rows.copy().select(_named(exp.false(), _FAILED), copy=False)
        for level in reversed(self.levels):
            current = _tried(level, current)
        return exp.select(_column(ROW)).from_(_under(current, "tried")).where(_column(_FAILED))


def _tried(level: exp.Select, below: exp.Query) -> exp.Select:
    """What a level gives for each row, its number, and whether it has failed here or below."""
    source = level.args["from_"].this
    name = source.alias_or_name
    where = level.args.get("where")
    condition = _without_errors(where.this) if where is not None else exp.true()
    met = exp.Select(expressions=[exp.Star(), _named(_try({"met": condition}), _MET)], from_=_from(below, name))
    values = {each.alias_or_name: _without_errors(each.unalias()) for each in level.expressions}
    goes_on = exp.and_(exp.Not(this=_column(_FAILED)), exp.Coalesce(this=_met(), expressions=[exp.false()]))
    failed = exp.or_(_column(_FAILED), exp.Is(this=_column(_MET), expression=exp.null()))
    computed = exp.Case(ifs=[exp.If(this=goes_on, true=_try(values))])
    columns = [_column(ROW), _named(failed, _FAILED), _column(_MET), _named(computed, _VALUES)]
    tried = exp.Select(expressions=columns, from_=_from(met, name))
    lost = exp.and_(_met(), exp.Is(this=_column(_VALUES), expression=exp.null()))
    now = exp.or_(_column(_FAILED), exp.Coalesce(this=exp.paren(lost), expressions=[exp.false()]))
    taken = [_named(_field(_VALUES, each), each) for each in values]
    kept = exp.select(_column(ROW), _named(now, _FAILED), *taken).from_(_under(tried, "tried"))
    return kept.where(exp.or_(_column(_FAILED), _met()))


def _without_errors(value: exp.Expr) -> exp.Expr:
    """The value with what fails, too, in place of `error(…)`, which `TRY` does not take: its text is no number."""

    def changed(node: exp.Expr) -> exp.Expr:
        if not (isinstance(node, exp.Anonymous) and str(node.this).lower() == "error"):
            return node
        number = exp.Cast(this=node.expressions[0], to=exp.DataType.build("int"))
        return exp.Case(ifs=[exp.If(this=exp.Is(this=number, expression=exp.null()), true=exp.null())])

    return value.copy().transform(changed, copy=False)


def _is_plain(level: exp.Select) -> bool:
    parts = {name for name, part in level.args.items() if part}
    names = [each.alias_or_name for each in level.expressions]
    if not parts <= _PARTS or len({name.lower() for name in names}) < len(names) or not all(names):
        return False
    where = level.args.get("where")
    values: Sequence[exp.Expr] = [*level.expressions, *([where.this] if where is not None else [])]
    return not any(_is_strange(node) for value in values for node in value.walk())


def _is_strange(node: exp.Expr) -> bool:
    return isinstance(node, _STRANGE) or (isinstance(node, exp.Anonymous) and str(node.this).lower() in _ROWS)


def _passes(level: exp.Select) -> bool:
    """Whether it gives what is below it as it is."""
    (first, *more) = level.expressions
    return (
        isinstance(first, exp.Star)
        and not more
        and {n for n, part in level.args.items() if part} <= {"expressions", "from_"}
    )


def _try(values: dict[str, exp.Expr]) -> exp.Expr:
    pairs = [exp.PropertyEQ(this=exp.to_identifier(n, quoted=True), expression=value) for n, value in values.items()]
    return exp.Anonymous(this="TRY", expressions=[exp.Struct(expressions=pairs)])


def _met() -> exp.Expr:
    return _field(_MET, "met")


def _field(struct: str, name: str) -> exp.Expr:
    return exp.Anonymous(this="struct_extract", expressions=[_column(struct), exp.Literal.string(name)])


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _named(value: exp.Expr, name: str) -> exp.Expr:
    return exp.alias_(value, name, quoted=True)


def _from(query: exp.Query, name: str) -> exp.From:
    return exp.From(this=_under(query, name))


def _under(query: exp.Query, name: str) -> exp.Subquery:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(name)))

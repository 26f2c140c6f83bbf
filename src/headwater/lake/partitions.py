"""Which files a condition over the partition columns means, computed by DuckDB on the partitions' values.

Invariants: exact: the values have the columns' types and the condition is computed as it is for rows, whatever it is; a
condition that cannot be computed for the values means every file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql.types import BinaryType, StructField
from sqlglot import exp

from headwater.duck import Connection, DuckError, sql_text
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.mapping import mode_of, physical_name
from headwater.types.duck import to_duck

_PLACE = "place_"
_CHANCE = ("random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "nextval", "setseed")

Partition = tuple[tuple[str, str | None], ...]


def partition_of(file: AddFile) -> Partition:
    """The file's partition, as a key."""
    return tuple(sorted(file.partition_values.items()))


def conjuncts_over(condition: exp.Expr, names: Iterable[str]) -> exp.Expr | None:
    """The part of a condition that is about the columns `names` alone; None if it says nothing of them.

    What comes out otherwise each time it is asked, and subqueries, are no such part.
    """
    known = {name.lower() for name in names}
    parts: list[exp.Expr] = [exp.paren(part.copy()) for part in _conjuncts(condition) if _is_over(part, known)]
    return reduce(lambda one, other: exp.And(this=one, expression=other), parts) if parts else None


def _conjuncts(condition: exp.Expr) -> Iterable[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.this)
        yield from _conjuncts(condition.expression)
    else:
        yield condition


def _is_over(part: exp.Expr, names: set[str]) -> bool:
    columns = list(part.find_all(exp.Column))
    if not columns or part.find(exp.Query, exp.Rand, exp.Uuid) is not None:
        return False
    called = (each.name.lower() for each in part.find_all(exp.Anonymous))
    return all(column.name.lower() in names for column in columns) and not any(name in _CHANCE for name in called)


@dataclass(frozen=True)
class PartitionPredicate:
    """A condition over partition columns, each of which it calls `name(index, field)`; None means every file."""

    connection: Connection
    metadata: Metadata
    condition: exp.Expr | None
    name: Callable[[int, StructField], str]

    @staticmethod
    def within(
        connection: Connection,
        metadata: Metadata,
        condition: exp.Expr,
        name: Callable[[int, StructField], str] = lambda _, field: str(field.name),
    ) -> PartitionPredicate:
        """What a condition over all columns says of the partition columns."""
        fields = enumerate(metadata.schema.fields)
        names = [name(i, field) for i, field in fields if field.name in metadata.partition_columns]
        return PartitionPredicate(connection, metadata, conjuncts_over(condition, names), name)

    def matching(self, files: Sequence[AddFile]) -> tuple[AddFile, ...]:
        """The files of partitions that meet the condition. Raises DuckError if it cannot be computed."""
        if self.condition is None or not files:
            return tuple(files)
        partitions = list({partition_of(file): file for file in files}.values())
        source = exp.Subquery(
            this=self._values(partitions), alias=exp.TableAlias(this=exp.to_identifier("partitions_"))
        )
        query = exp.select(_PLACE).from_(source).where(self.condition.copy())
        met = {partition_of(partitions[place]) for (place,) in self.connection.execute(sql_text(query)).fetchall()}
        return tuple(file for file in files if partition_of(file) in met)

    def possible(self, files: Sequence[AddFile]) -> tuple[AddFile, ...]:
        """As `matching`; all of the files if it cannot be computed for them."""
        try:
            return self.matching(files)
        except DuckError:
            return tuple(files)

    def first(self, files: Sequence[AddFile]) -> AddFile | None:
        """The first of the files that it may mean."""
        return next(iter(self.possible(files)), None)

    def _values(self, partitions: Sequence[AddFile]) -> exp.Query:
        rows: list[exp.Query] = [self._row(place, file) for place, file in enumerate(partitions)]
        return reduce(lambda one, other: exp.Union(this=one, expression=other, distinct=False), rows)

    def _row(self, place: int, file: AddFile) -> exp.Select:
        columns: list[exp.Expr] = [exp.alias_(exp.Literal.number(place), _PLACE)]
        mode = mode_of(self.metadata)
        for index, field in enumerate(self.metadata.schema.fields):
            if field.name not in self.metadata.partition_columns:
                continue
            text = file.partition_values.get(physical_name(field, mode))
            value: exp.Expr = exp.Null() if text is None else exp.Literal.string(text)
            if isinstance(field.dataType, BinaryType):
                value = exp.Anonymous(this="encode", expressions=[value])
            typed = exp.Cast(this=value, to=to_duck(field.dataType))
            columns.append(exp.alias_(typed, self.name(index, field), quoted=True))
        return exp.Select(expressions=columns)

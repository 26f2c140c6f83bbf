"""Relations in Spark's terms: what a DataFrame is, before names and types are resolved.

Each class is one relation of the Connect protocol (`spark.connect.Relation`) or its SQL twin. `plan_id` is the
client's number of the DataFrame, by which `df["a"]` finds its columns.

Invariants: a relation holds no connection, no schema and no data but the rows of `LocalData`.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal as OneOf

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.plan.expressions import Alias, Call, Column, Expression, Literal, PythonUDF, SortOrder
from headwater.plan.node import Node, node


@node
class Relation(Node):
    """Base of all relations."""

    plan_id: int | None = field(default=None, kw_only=True, compare=False)


FILE_COLUMN = "_metadata"
"""The hidden column of file reads."""


def names_file_column(plan: Node) -> bool:
    """Whether an expression of the plan needs the hidden column."""
    return any(
        (isinstance(node, Column) and any(part.lower() == FILE_COLUMN for part in node.parts[:3]))
        or (isinstance(node, Call) and node.name.lower() == "input_file_name")
        for node in plan.walk()
    )


# ── leaves ──────────────────────────────────────────────────────────────────────────────────────────────────


@node
class ReadSource(Relation):
    """`spark.read.format(format)` / `spark.readStream.format(format)` with its options and paths.

    `file_column`: the query names the hidden column `_metadata` of file reads. `filters`: conditions
    that stand above it in the plan, too (`sessions.pushing`).
    """

    format: str
    schema: StructType | None
    options: tuple[tuple[str, str], ...]
    paths: tuple[str, ...] = ()
    streaming: bool = False
    name: str | None = None
    file_column: bool = field(default=False, kw_only=True)
    filters: tuple[Expression, ...] = field(default=(), kw_only=True)


@node
class ReadTable(Relation):
    """A table or view by (multi-part) name; also ``delta.`path` `` and ``json.`path` ``.

    `moment`: as it was at the time that a constant expression means (`TIMESTAMP AS OF`). `filters`: as of `ReadSource`.
    """

    parts: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    streaming: bool = False
    file_column: bool = field(default=False, kw_only=True)
    filters: tuple[Expression, ...] = field(default=(), kw_only=True)
    moment: Expression | None = field(default=None, kw_only=True)


@node
class LocalData(Relation):
    """Rows sent by the client; `schema` overrides the Arrow types."""

    data: pa.Table
    schema: StructType | None = None

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


@node
class Range(Relation):
    """`spark.range(start, end, step)`: one column `id` bigint."""

    start: int
    end: int
    step: int


@node
class OneRow(Relation):
    """`SELECT` without FROM: one row, no columns."""


@node
class CachedRemote(Relation):
    """A relation kept by the server under an id (checkpoint, foreachBatch)."""

    relation_id: str


@node
class TableFunction(Relation):
    """A table-valued function: `range(…)`, `explode(…)`, `read_files(…)`; `streaming` is SQL's `STREAM f(…)`."""

    name: str
    arguments: tuple[Expression, ...] = ()
    streaming: bool = False


@node
class Values(Relation):
    """`VALUES (…), (…)`."""

    rows: tuple[tuple[Expression, ...], ...]


# ── one input ───────────────────────────────────────────────────────────────────────────────────────────────


@node
class Project(Relation):
    """`SELECT expressions FROM input`."""

    input: Relation
    expressions: tuple[Expression, ...]


@node
class WithColumns(Relation):
    """`withColumns`: replaces columns of the same name in place, appends the others."""

    input: Relation
    aliases: tuple[Alias, ...]


@node
class WithColumnsRenamed(Relation):
    """`withColumnsRenamed`: (old, new) pairs; unknown old names are ignored."""

    input: Relation
    renames: tuple[tuple[str, str], ...]


@node
class ToDF(Relation):
    """`toDF(*names)`: all columns renamed by position."""

    input: Relation
    names: tuple[str, ...]


@node
class ToSchema(Relation):
    """`df.to(schema)`: columns matched by name, reordered and cast."""

    input: Relation
    schema: StructType


@node
class Drop(Relation):
    """`drop(columns)`; unknown names are ignored."""

    input: Relation
    columns: tuple[Expression, ...] = ()
    names: tuple[str, ...] = ()


@node
class Filter(Relation):
    """`WHERE condition`."""

    input: Relation
    condition: Expression


@node
class Aggregate(Relation):
    """`groupBy(grouping).agg(aggregates)`; output is the grouping columns, then the aggregates.

    `output_grouping` is false for SQL, whose select list (`aggregates`) is the whole output. SQL's PIVOT sets
    `implicit_grouping`, by all columns that it does not name, and may name its values (`pivot_names`, "" for none).
    """

    input: Relation
    kind: OneOf["groupby", "rollup", "cube", "pivot", "grouping_sets"]
    grouping: tuple[Expression, ...]
    aggregates: tuple[Expression, ...]
    pivot_column: Expression | None = None
    pivot_values: tuple[Literal, ...] = ()
    grouping_sets: tuple[tuple[Expression, ...], ...] = ()
    having: Expression | None = None
    output_grouping: bool = True
    pivot_names: tuple[str, ...] = ()
    implicit_grouping: bool = False


@node
class Sort(Relation):
    """`ORDER BY`; `is_global` false is `sortWithinPartitions`."""

    input: Relation
    order: tuple[SortOrder, ...]
    is_global: bool = True


@node
class Limit(Relation):
    """The first `count` rows."""

    input: Relation
    count: int


@node
class Offset(Relation):
    """All but the first `count` rows."""

    input: Relation
    count: int


@node
class Tail(Relation):
    """The last `count` rows."""

    input: Relation
    count: int


@node
class Deduplicate(Relation):
    """`dropDuplicates(names)`, `distinct()` (all columns), `dropDuplicatesWithinWatermark`."""

    input: Relation
    names: tuple[str, ...] = ()
    all_columns: bool = False
    within_watermark: bool = False


@node
class Distinct(Relation):
    """SQL's `SELECT DISTINCT`: to Spark an aggregation by all columns, which matters to a stream."""

    input: Relation


@node
class Sample(Relation):
    """`sample(fraction)`: rows with lower ≤ u < upper."""

    input: Relation
    lower: float
    upper: float
    with_replacement: bool = False
    seed: int | None = None


@node
class SubqueryAlias(Relation):
    """`df.alias(name)` / `(…) AS name`; `columns` renames by position (SQL `AS t(a, b)`)."""

    input: Relation
    alias: str
    columns: tuple[str, ...] = ()


@node
class Repartition(Relation):
    """`repartition`, `coalesce`, `repartitionByRange`: no effect on one machine."""

    input: Relation
    partitions: int | None = None
    expressions: tuple[Expression, ...] = ()


@node
class Hint(Relation):
    """A planner hint: accepted, no effect."""

    input: Relation
    name: str
    parameters: tuple[Expression, ...] = ()


@node
class Unpivot(Relation):
    """`unpivot(ids, values, variable, value)`; `values` None means all other columns, `ids` None likewise (SQL)."""

    input: Relation
    ids: tuple[Expression, ...] | None
    values: tuple[Expression, ...] | None
    variable_name: str
    value_name: str


@node
class Transpose(Relation):
    """`transpose(index)`; no index means the first column."""

    input: Relation
    index: tuple[Expression, ...] = ()


@node
class WithWatermark(Relation):
    """`withWatermark(event_time, delay)`; no effect on a batch."""

    input: Relation
    event_time: str
    delay: str


@node
class CollectMetrics(Relation):
    """`observe(name, metrics)`."""

    input: Relation
    name: str
    metrics: tuple[Expression, ...]


@node
class ShowString(Relation):
    """`show()`: one row, one string column `show_string`."""

    input: Relation
    rows: int
    truncate: int
    vertical: bool = False


@node
class HtmlString(Relation):
    """The notebook table: one row, one string column `html_string`."""

    input: Relation
    rows: int
    truncate: int


@node
class FillNA(Relation):
    """`na.fill`: one value for all `names` (or all columns), or a value per name."""

    input: Relation
    names: tuple[str, ...]
    values: tuple[Literal, ...]


@node
class DropNA(Relation):
    """`na.drop`: keep rows with at least `min_non_nulls` (None: all) non-null values among `names`."""

    input: Relation
    names: tuple[str, ...]
    min_non_nulls: int | None = None


@node
class ReplaceNA(Relation):
    """`na.replace`: (old, new) pairs applied to `names` (or all columns)."""

    input: Relation
    names: tuple[str, ...]
    replacements: tuple[tuple[Literal, Literal], ...]


@node
class Statistic(Relation):
    """The `df.stat` and describe family, by Connect's relation name (`summary`, `describe`, `cov`, `corr`, …)."""

    input: Relation
    kind: str
    columns: tuple[str, ...] = ()
    arguments: tuple[object, ...] = ()


@node
class GeneratorJoin(Relation):
    """SQL's `LATERAL VIEW [OUTER] generator AS alias(columns)`."""

    input: Relation
    generator: Expression
    outer: bool
    alias: str
    columns: tuple[str, ...]


@node
class ApplyInPandasWithState(Relation):
    """`groupBy(grouping).applyInPandasWithState(function, output, state, output_mode, timeout)`."""

    input: Relation
    grouping: tuple[Expression, ...]
    function: PythonUDF
    output: StructType
    state: StructType
    output_mode: OneOf["append", "update", "complete"]
    timeout: OneOf["NoTimeout", "ProcessingTimeTimeout", "EventTimeTimeout"]


@node
class TransformWithState(Relation):
    """`groupBy(grouping).transformWithState(processor, …)`, or `…InPandas`: by the function's `eval_type`.

    `initial`: rows that the first batch hands to `handleInitialState`, by `initial_grouping`.
    """

    input: Relation
    grouping: tuple[Expression, ...]
    function: PythonUDF
    output: StructType
    output_mode: OneOf["append", "update", "complete"]
    time_mode: OneOf["none", "processingtime", "eventtime"]
    event_time: str = ""
    initial: Relation | None = None
    initial_grouping: tuple[Expression, ...] = ()


# ── several inputs ──────────────────────────────────────────────────────────────────────────────────────────


@node
class Join(Relation):
    """`left.join(right, condition | using, kind)`."""

    left: Relation
    right: Relation
    kind: OneOf["inner", "full_outer", "left_outer", "right_outer", "left_anti", "left_semi", "cross"]
    condition: Expression | None = None
    using: tuple[str, ...] = ()
    natural: bool = False
    lateral: bool = False


@node
class SetOperation(Relation):
    """UNION, INTERSECT, EXCEPT; `by_name` with `allow_missing` as in `unionByName`."""

    left: Relation
    right: Relation
    kind: OneOf["union", "intersect", "except"]
    all: bool = False
    by_name: bool = False
    allow_missing: bool = False


@node
class CommonTables(Relation):
    """SQL's `WITH name AS (…), … body`; a later table may use the earlier ones."""

    tables: tuple[tuple[str, Relation], ...]
    body: Relation


@node
class WithRelations(Relation):
    """A root whose subquery expressions name `references` by plan id."""

    root: Relation
    references: tuple[Relation, ...]


@node
class UnboundSQL(Relation):
    """SQL text inside a DataFrame plan, with its bound parameters (literals or expressions)."""

    query: str
    named: tuple[tuple[str, Expression], ...] = ()
    positional: tuple[Expression, ...] = ()

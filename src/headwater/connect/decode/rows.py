"""Relations that pick, order and shape rows and columns of one input.

Invariant: one function per protocol message, nothing resolved.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, relation
from headwater.connect.decode.columns import alias, sort_orders
from headwater.plan import relations as p
from headwater.plan.expressions import Alias


@relation("project")
def project(decoder: Decoder, message: Any) -> p.Relation:
    """`select`; without an input, `SELECT` of constants."""
    source = decoder.relation(message.input) if message.HasField("input") else p.OneRow()
    return p.Project(source, decoder.expressions(message.expressions))


@relation("filter")
def filter_(decoder: Decoder, message: Any) -> p.Filter:
    """`where`."""
    return p.Filter(decoder.relation(message.input), decoder.expression(message.condition))


@relation("with_columns")
def with_columns(decoder: Decoder, message: Any) -> p.WithColumns:
    """`withColumn(s)`, `withMetadata`."""
    aliases: list[Alias] = [alias(decoder, item) for item in message.aliases]
    return p.WithColumns(decoder.relation(message.input), tuple(aliases))


@relation("with_columns_renamed")
def with_columns_renamed(decoder: Decoder, message: Any) -> p.WithColumnsRenamed:
    """`withColumn(s)Renamed`."""
    renames = [(item.col_name, item.new_col_name) for item in message.renames]
    renames = renames or sorted(message.rename_columns_map.items())
    return p.WithColumnsRenamed(decoder.relation(message.input), tuple(renames))


@relation("to_df")
def to_df(decoder: Decoder, message: Any) -> p.ToDF:
    """`toDF`."""
    return p.ToDF(decoder.relation(message.input), tuple(message.column_names))


@relation("to_schema")
def to_schema(decoder: Decoder, message: Any) -> p.ToSchema:
    """`to(schema)`."""
    return p.ToSchema(decoder.relation(message.input), decoder.struct(message.schema))


@relation("drop")
def drop(decoder: Decoder, message: Any) -> p.Drop:
    """`drop`."""
    return p.Drop(decoder.relation(message.input), decoder.expressions(message.columns), tuple(message.column_names))


@relation("sort")
def sort(decoder: Decoder, message: Any) -> p.Sort:
    """`orderBy`, `sortWithinPartitions`."""
    everywhere = message.is_global if message.HasField("is_global") else True
    return p.Sort(decoder.relation(message.input), sort_orders(decoder, message.order), everywhere)


@relation("limit")
def limit(decoder: Decoder, message: Any) -> p.Limit:
    """`limit`."""
    return p.Limit(decoder.relation(message.input), message.limit)


@relation("offset")
def offset(decoder: Decoder, message: Any) -> p.Offset:
    """`offset`."""
    return p.Offset(decoder.relation(message.input), message.offset)


@relation("tail")
def tail(decoder: Decoder, message: Any) -> p.Tail:
    """`tail`."""
    return p.Tail(decoder.relation(message.input), message.limit)


@relation("deduplicate")
def deduplicate(decoder: Decoder, message: Any) -> p.Deduplicate:
    """`distinct`, `dropDuplicates`, `dropDuplicatesWithinWatermark`."""
    return p.Deduplicate(
        decoder.relation(message.input),
        tuple(message.column_names),
        message.all_columns_as_keys,
        message.within_watermark,
    )


@relation("sample")
def sample(decoder: Decoder, message: Any) -> p.Sample:
    """`sample`, `randomSplit`."""
    return p.Sample(
        decoder.relation(message.input),
        message.lower_bound,
        message.upper_bound,
        message.with_replacement,
        message.seed if message.HasField("seed") else None,
    )


@relation("subquery_alias")
def subquery_alias(decoder: Decoder, message: Any) -> p.SubqueryAlias:
    """`alias`."""
    return p.SubqueryAlias(decoder.relation(message.input), message.alias)


@relation("repartition")
def repartition(decoder: Decoder, message: Any) -> p.Repartition:
    """`repartition(n)`, `coalesce(n)`."""
    return p.Repartition(decoder.relation(message.input), message.num_partitions)


@relation("repartition_by_expression")
def repartition_by_expression(decoder: Decoder, message: Any) -> p.Repartition:
    """`repartition(columns)`, `repartitionByRange`."""
    count = message.num_partitions if message.HasField("num_partitions") else None
    return p.Repartition(decoder.relation(message.input), count, decoder.expressions(message.partition_exprs))


@relation("hint")
def hint(decoder: Decoder, message: Any) -> p.Hint:
    """`hint`."""
    return p.Hint(decoder.relation(message.input), message.name, decoder.expressions(message.parameters))


@relation("unpivot")
def unpivot(decoder: Decoder, message: Any) -> p.Unpivot:
    """`unpivot`, `melt`."""
    return p.Unpivot(
        decoder.relation(message.input),
        decoder.expressions(message.ids),
        decoder.expressions(message.values.values) if message.HasField("values") else None,
        message.variable_column_name,
        message.value_column_name,
    )


@relation("transpose")
def transpose(decoder: Decoder, message: Any) -> p.Transpose:
    """`transpose`."""
    return p.Transpose(decoder.relation(message.input), decoder.expressions(message.index_columns))


@relation("with_watermark")
def with_watermark(decoder: Decoder, message: Any) -> p.WithWatermark:
    """`withWatermark`."""
    return p.WithWatermark(decoder.relation(message.input), message.event_time, message.delay_threshold)


@relation("collect_metrics")
def collect_metrics(decoder: Decoder, message: Any) -> p.CollectMetrics:
    """`observe`."""
    return p.CollectMetrics(decoder.relation(message.input), message.name, decoder.expressions(message.metrics))


@relation("show_string")
def show_string(decoder: Decoder, message: Any) -> p.ShowString:
    """`show`."""
    return p.ShowString(decoder.relation(message.input), message.num_rows, message.truncate, message.vertical)


@relation("html_string")
def html_string(decoder: Decoder, message: Any) -> p.HtmlString:
    """The table of a notebook."""
    return p.HtmlString(decoder.relation(message.input), message.num_rows, message.truncate)

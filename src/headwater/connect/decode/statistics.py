"""The `df.na` and `df.stat` families, `describe` and `summary`.

Invariant: one function per protocol message, nothing resolved.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, relation
from headwater.connect.decode.literals import literal
from headwater.plan import relations as p


@relation("fill_na")
def fill_na(decoder: Decoder, message: Any) -> p.FillNA:
    """`na.fill`."""
    values = tuple([literal(decoder, value) for value in message.values])
    return p.FillNA(decoder.relation(message.input), tuple(message.cols), values)


@relation("drop_na")
def drop_na(decoder: Decoder, message: Any) -> p.DropNA:
    """`na.drop`."""
    least = message.min_non_nulls if message.HasField("min_non_nulls") else None
    return p.DropNA(decoder.relation(message.input), tuple(message.cols), least)


@relation("replace")
def replace_na(decoder: Decoder, message: Any) -> p.ReplaceNA:
    """`na.replace`."""
    pairs = [(literal(decoder, item.old_value), literal(decoder, item.new_value)) for item in message.replacements]
    return p.ReplaceNA(decoder.relation(message.input), tuple(message.cols), tuple(pairs))


@relation("summary")
def summary(decoder: Decoder, message: Any) -> p.Statistic:
    """`summary(*statistics)`."""
    return p.Statistic(decoder.relation(message.input), "summary", arguments=tuple(message.statistics))


@relation("describe")
def describe(decoder: Decoder, message: Any) -> p.Statistic:
    """`describe(*columns)`."""
    return p.Statistic(decoder.relation(message.input), "describe", tuple(message.cols))


@relation("crosstab")
def crosstab(decoder: Decoder, message: Any) -> p.Statistic:
    """`stat.crosstab(a, b)`."""
    return p.Statistic(decoder.relation(message.input), "crosstab", (message.col1, message.col2))


@relation("cov")
def cov(decoder: Decoder, message: Any) -> p.Statistic:
    """`stat.cov(a, b)`."""
    return p.Statistic(decoder.relation(message.input), "cov", (message.col1, message.col2))


@relation("corr")
def corr(decoder: Decoder, message: Any) -> p.Statistic:
    """`stat.corr(a, b, method)`; argument: the method."""
    columns = (message.col1, message.col2)
    return p.Statistic(decoder.relation(message.input), "corr", columns, (message.method or "pearson",))


@relation("approx_quantile")
def approx_quantile(decoder: Decoder, message: Any) -> p.Statistic:
    """`stat.approxQuantile`; arguments: the probabilities (tuple), the relative error."""
    arguments = (tuple(message.probabilities), message.relative_error)
    return p.Statistic(decoder.relation(message.input), "approx_quantile", tuple(message.cols), arguments)


@relation("freq_items")
def freq_items(decoder: Decoder, message: Any) -> p.Statistic:
    """`stat.freqItems`; argument: the support."""
    support = message.support if message.HasField("support") else 0.01
    return p.Statistic(decoder.relation(message.input), "freq_items", tuple(message.cols), (support,))


@relation("sample_by")
def sample_by(decoder: Decoder, message: Any) -> p.Statistic:
    """`stat.sampleBy`; arguments: the column, ((stratum, fraction), …), the seed."""
    fractions = tuple([(literal(decoder, item.stratum), item.fraction) for item in message.fractions])
    seed = message.seed if message.HasField("seed") else None
    arguments = (decoder.expression(message.col), fractions, seed)
    return p.Statistic(decoder.relation(message.input), "sample_by", arguments=arguments)

"""What there is to support, area by area, and what of it Headwater has.

Invariants: the protocol's areas come from its own descriptors, Spark's functions from a recording of its registry
and from PySpark's own source; an area's `have` asks a registry or tries a statement.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pyspark.sql.connect import proto as pb2

from headwater.capabilities.compiled import relation_compiles
from headwater.capabilities.python_functions import python_functions
from headwater.capabilities.statements import STATEMENTS, runs
from headwater.compile.special import SPECIAL
from headwater.connect.analyze import _ANALYSES
from headwater.connect.commands.base import handlers
from headwater.connect.decode.base import commands, expressions, relations
from headwater.functions.base import functions
from headwater.io.formats.base import formats
from headwater.sessions.commands import base as session_commands
from headwater.sessions.commands.catalog_calls import _CALLS
from headwater.sinks.base import sinks
from headwater.sources.base import sources

_SOURCES = (
    *("avro", "binaryfile", "cloudfiles", "csv", "delta", "eventhubs", "json", "kafka", "kinesis", "orc", "parquet"),
    *("pubsub", "pulsar", "rate", "rate-micro-batch", "socket", "text", "xml"),
)
_SINKS = (
    *("avro", "console", "csv", "delta", "foreach", "foreachbatch", "json", "kafka", "kinesis", "memory", "noop"),
    *("orc", "parquet", "text", "xml"),
)
_COMPILED = frozenset(SPECIAL) | {"cast", "range"}
"""Functions without an entry in the registry, because the compiler itself makes them."""
_FORMATS = ("avro", "binaryfile", "csv", "jdbc", "json", "orc", "parquet", "text", "xml")


@dataclass(frozen=True)
class Area:
    """One kind of thing.

    Attributes:
        title: heading on the compatibility page.
        names: everything there is.
        have: what of it is supported.
    """

    title: str
    names: Callable[[], frozenset[str]]
    have: Callable[[], frozenset[str]]

    def missing(self) -> frozenset[str]:
        """What is not supported."""
        return self.names() - self.have()


def _variants(message: Any, oneof: str) -> Callable[[], frozenset[str]]:
    return lambda: frozenset(field.name for field in message.DESCRIPTOR.oneofs_by_name[oneof].fields)


def _registered(*registries: Any) -> Callable[[], frozenset[str]]:
    return lambda: frozenset(name for registry in registries for name in registry.names())


@cache
def _functions() -> frozenset[str]:
    recorded = json.loads(files(__package__).joinpath("spark.json").read_text("utf-8"))
    sent = (name for names in python_functions().values() for name in names)
    return frozenset(name.lower() for name in (*recorded["functions"], *sent))


def _catalog_calls() -> frozenset[str]:
    session_commands.commands.names()  # loads the modules whose functions enter _CALLS
    return frozenset(_CALLS)


INVENTORY: dict[str, Area] = {
    "relation": Area(
        "Relations of the protocol",
        _variants(pb2.Relation, "rel_type"),
        lambda: frozenset(name for name in relations.names() if relation_compiles(name)),
    ),
    "expression": Area("Expressions of the protocol", _variants(pb2.Expression, "expr_type"), _registered(expressions)),
    "command": Area(
        "Commands of the protocol", _variants(pb2.Command, "command_type"), _registered(commands, handlers)
    ),
    "analysis": Area(
        "Analyses of the protocol",
        _variants(pb2.AnalyzePlanRequest, "analyze"),
        lambda: frozenset(name for name in _ANALYSES if name),
    ),
    "catalog": Area("Catalog calls", _variants(pb2.Catalog, "cat_type"), _catalog_calls),
    "pipeline": Area("Pipeline commands", _variants(pb2.PipelineCommand, "command_type"), frozenset),
    "statement": Area(
        "SQL statements",
        lambda: frozenset(STATEMENTS),
        lambda: frozenset(name for name, example in STATEMENTS.items() if runs(example)),
    ),
    "function": Area("Functions", _functions, lambda: _functions() & (_registered(functions)() | _COMPILED)),
    "format": Area("Batch formats", lambda: frozenset(_FORMATS), _registered(formats)),
    "source": Area("Streaming sources", lambda: frozenset(_SOURCES), _registered(sources)),
    "sink": Area("Streaming sinks", lambda: frozenset(_SINKS), _registered(sinks)),
}
"""All areas by the name of their section in `ledger.json`."""

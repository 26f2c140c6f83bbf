"""The decoder: looks up who decodes a message, guards the depth of plans, and names what nobody decodes.

Families register with `@relation`, `@expression`, `@command` under the protocol's own field names, so the three
registries are the list of what this server understands.

Invariants: a message without a decoder raises UNSUPPORTED_FEATURE with its name; a plan of more than `MAX_DEPTH`
nested relations is refused before it can exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pyspark.sql.types import DataType, StructType

from headwater.connect.proto import pb2, type_from_proto
from headwater.errors import PYTHON_WAY_OUT, ParseError, SparkError, unsupported
from headwater.plan.commands import Command
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation
from headwater.registry import Registry

MAX_DEPTH = 1024

RelationDecoder = Callable[["Decoder", Any], Relation]
ExpressionDecoder = Callable[["Decoder", Any], Expression]
CommandDecoder = Callable[["Decoder", Any], Command]

relations: Registry[RelationDecoder] = Registry("headwater.connect.decode")
expressions: Registry[ExpressionDecoder] = Registry("headwater.connect.decode")
commands: Registry[CommandDecoder] = Registry("headwater.connect.decode")

F = TypeVar("F", bound=Callable[..., Any])


def relation(name: str) -> Callable[[F], F]:
    """Decorator: the function decodes the relation `name` of the protocol."""
    return _entering(relations, name)


def expression(name: str) -> Callable[[F], F]:
    """Decorator: the function decodes the expression `name` of the protocol."""
    return _entering(expressions, name)


def command(name: str) -> Callable[[F], F]:
    """Decorator: the function decodes the command `name` of the protocol."""
    return _entering(commands, name)


def _entering(registry: Registry[Any], name: str) -> Callable[[F], F]:
    def enter(decode: F) -> F:
        registry.register(name)(decode)
        return decode

    return enter


def _no_artifact(digest: str) -> bytes:
    raise SparkError("CONNECT_INVALID_PLAN.CANNOT_FIND_CACHED_LOCAL_RELATION", hash=digest)


def _no_run(call: Command) -> Relation:
    raise unsupported(f"{type(call).__name__} inside a relation")


_PYTHON = {
    "map_partitions": "mapInPandas, mapInArrow or foreachPartition",
    "co_group_map": "cogroup().applyInPandas or applyInArrow",
    "register_function": "spark.udf.register",
    "common_inline_user_defined_table_function": "a Python UDTF",
    "register_table_function": "spark.udtf.register",
    "common_inline_user_defined_data_source": "a Python data source",
}
"""What runs Python functions, by the name of its message."""


@dataclass
class Decoder:
    """Decodes the messages of one plan.

    Args:
        artifact: bytes the client has cached in the session, by hash.
        run: executes a catalog call, whose protocol message is a relation.
        default_format: for `load` and `start` without `format`.
        python_paths: what `sys.path` needs for the client's functions.
    """

    artifact: Callable[[str], bytes] = _no_artifact
    run: Callable[[Command], Relation] = _no_run
    default_format: str = "delta"
    python_paths: Callable[[], Sequence[str]] = tuple
    _depth: int = field(default=0, init=False)

    def relation(self, message: Any) -> Relation:
        """A `Relation` message as a plan node. Raises CONNECT_INVALID_PLAN, UNSUPPORTED_FEATURE."""
        kind = message.WhichOneof("rel_type")
        decode: RelationDecoder = self._find(relations, kind, "relation")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            reason = f"it has more than {MAX_DEPTH} nested relations; keep a part with checkpoint() or a table"
            raise SparkError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg=reason)
        node = decode(self, getattr(message, kind))
        self._depth -= 1
        if message.common.HasField("plan_id"):
            node = replace(node, plan_id=message.common.plan_id)
        return node

    def expression(self, message: Any) -> Expression:
        """An `Expression` message as a plan node."""
        kind = message.WhichOneof("expr_type")
        decode: ExpressionDecoder = self._find(expressions, kind, "expression")
        return decode(self, getattr(message, kind))

    def expressions(self, messages: Iterable[Any]) -> tuple[Expression, ...]:
        """Several `Expression` messages."""
        return tuple([self.expression(message) for message in messages])

    def command(self, message: Any) -> Command:
        """A `Command` message as a plan node."""
        kind = message.WhichOneof("command_type")
        decode: CommandDecoder = self._find(commands, kind, "command")
        return decode(self, getattr(message, kind))

    def type(self, message: Any) -> DataType:
        """A `DataType` message as a Spark type."""
        if message.WhichOneof("kind") == "unparsed":
            return _parsed(message.unparsed.data_type_string)
        return type_from_proto(message)

    def struct(self, message: Any) -> StructType:
        """A `DataType` message that must be a struct."""
        kind = self.type(message)
        return kind if isinstance(kind, StructType) else StructType().add("value", kind)

    @staticmethod
    def _find(registry: Registry[Any], kind: str | None, what: str) -> Any:
        found = registry.get(kind) if kind else None
        if found is None and kind in _PYTHON:
            raise unsupported(f"{_PYTHON[kind]} (Python functions over rows)", PYTHON_WAY_OUT)
        if found is None:
            raise unsupported(f"the {what} `{kind or 'unknown'}` of the Spark Connect protocol")
        return found


def _parsed(text: str) -> DataType:
    """The type, or the struct of the columns, that a text describes."""
    from headwater.types.ddl import parse_schema, parse_type

    try:
        return parse_type(text)
    except ParseError as error:
        try:
            return parse_schema(text)
        except ParseError:
            raise error from None


def understood() -> dict[str, list[str]]:
    """What is decoded, by message: for the capability ledger."""
    return {"Relation": relations.names(), "Expression": expressions.names(), "Command": commands.names()}


def fields_of(message: str) -> list[str]:
    """All variants of `Relation`, `Expression` or `Command` that the protocol has."""
    return [item.name for oneof in getattr(pb2, message).DESCRIPTOR.oneofs for item in oneof.fields]

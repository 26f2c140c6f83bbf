"""AnalyzePlan: what can be said about a plan without running it.

Invariants: each of the protocol's analyses has one function here; nothing is executed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyspark
from pyspark.sql.types import DataType, StructType

from headwater.connect.commands.base import decoder_for
from headwater.connect.fingerprint import canonical, fingerprint
from headwater.connect.plans import decompress
from headwater.connect.proto import pb2, type_to_proto
from headwater.connect.session import SessionHolder
from headwater.errors import ParseError, unsupported
from headwater.plan.commands import Explain
from headwater.plan.relations import LocalData, OneRow, Relation

_Response = pb2.AnalyzePlanResponse
_Modes = pb2.AnalyzePlanRequest.Explain
_MODES = {
    _Modes.EXPLAIN_MODE_UNSPECIFIED: "simple",
    _Modes.EXPLAIN_MODE_SIMPLE: "simple",
    _Modes.EXPLAIN_MODE_EXTENDED: "extended",
    _Modes.EXPLAIN_MODE_CODEGEN: "codegen",
    _Modes.EXPLAIN_MODE_COST: "cost",
    _Modes.EXPLAIN_MODE_FORMATTED: "formatted",
}


def analyze(holder: SessionHolder, request: Any) -> Any:
    """Answer an AnalyzePlanRequest."""
    kind = request.WhichOneof("analyze")
    answer = _ANALYSES.get(kind)
    if answer is None:
        raise unsupported(f"the analysis `{kind}` of the Spark Connect protocol")
    return _Response(**{kind: answer(holder, getattr(request, kind))})


def _relation(holder: SessionHolder, message: Any) -> Relation:
    return decoder_for(holder.session, holder.artifacts).relation(message)


def _plan(holder: SessionHolder, message: Any) -> Relation:
    return _relation(holder, decompress(message).root)


def _schema(holder: SessionHolder, message: Any) -> Any:
    return _Response.Schema(schema=type_to_proto(_schema_of(holder, message)))


def _schema_of(holder: SessionHolder, message: Any) -> StructType:
    return holder.session.resolve(_plan(holder, message.plan)).schema


def _explain(holder: SessionHolder, message: Any) -> Any:
    relation = holder.session.run(Explain(_plan(holder, message.plan), _MODES[message.explain_mode]))
    assert relation is not None
    table = holder.session.execute(relation).table()
    return _Response.Explain(explain_string=str(table.column(0)[0].as_py()))


def _tree_string(holder: SessionHolder, message: Any) -> Any:
    schema = _schema_of(holder, message)
    text = schema.treeString(message.level) if message.HasField("level") else schema.treeString()
    return _Response.TreeString(tree_string=text)


def _is_local(holder: SessionHolder, message: Any) -> Any:
    return _Response.IsLocal(is_local=isinstance(_plan(holder, message.plan), LocalData | OneRow))


def _is_streaming(holder: SessionHolder, message: Any) -> Any:
    return _Response.IsStreaming(is_streaming=holder.session.resolve(_plan(holder, message.plan)).streaming)


def _input_files(holder: SessionHolder, message: Any) -> Any:
    return _Response.InputFiles(files=holder.session.input_files(_plan(holder, message.plan)))


def _spark_version(_: SessionHolder, __: Any) -> Any:
    return _Response.SparkVersion(version=pyspark.__version__)


def _ddl_parse(_: SessionHolder, message: Any) -> Any:
    from headwater.types.ddl import parse_schema, parse_type

    try:
        parsed: DataType = parse_type(message.ddl_string)
    except ParseError:
        parsed = parse_schema(message.ddl_string)
    return _Response.DDLParse(parsed=type_to_proto(parsed))


def _json_to_ddl(_: SessionHolder, message: Any) -> Any:
    from headwater.types.ddl import parse_schema, to_ddl

    return _Response.JsonToDDL(ddl_string=to_ddl(parse_schema(message.json_string)))


def _same_semantics(holder: SessionHolder, message: Any) -> Any:
    plans = (_plan(holder, message.target_plan), _plan(holder, message.other_plan))
    return _Response.SameSemantics(result=canonical(plans[0]) == canonical(plans[1]))


def _semantic_hash(holder: SessionHolder, message: Any) -> Any:
    return _Response.SemanticHash(result=fingerprint(_plan(holder, message.plan)))


def _persist(holder: SessionHolder, message: Any) -> Any:
    level = pb2.StorageLevel(use_disk=True, use_memory=True, deserialized=True, replication=1)
    if message.HasField("storage_level"):
        level = message.storage_level
    holder.storage_levels[fingerprint(_relation(holder, message.relation))] = level
    return _Response.Persist()


def _unpersist(holder: SessionHolder, message: Any) -> Any:
    holder.storage_levels.pop(fingerprint(_relation(holder, message.relation)), None)
    return _Response.Unpersist()


def _get_storage_level(holder: SessionHolder, message: Any) -> Any:
    level = holder.storage_levels.get(fingerprint(_relation(holder, message.relation)))
    return _Response.GetStorageLevel(storage_level=level or pb2.StorageLevel(replication=1))


_ANALYSES: dict[str | None, Callable[[SessionHolder, Any], Any]] = {
    "schema": _schema,
    "explain": _explain,
    "tree_string": _tree_string,
    "is_local": _is_local,
    "is_streaming": _is_streaming,
    "input_files": _input_files,
    "spark_version": _spark_version,
    "ddl_parse": _ddl_parse,
    "json_to_ddl": _json_to_ddl,
    "same_semantics": _same_semantics,
    "semantic_hash": _semantic_hash,
    "persist": _persist,
    "unpersist": _unpersist,
    "get_storage_level": _get_storage_level,
}

"""Relations whose rows a Python function makes from the rows of a group.

Invariants: nothing is unpickled here; modes and schemas are checked here, so that a wrong one fails before anything
is resolved.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, relation
from headwater.connect.decode.functions import inline_function
from headwater.errors import PYTHON_WAY_OUT, IllegalArgumentError, unsupported
from headwater.plan import relations as p
from headwater.types.ddl import parse_schema

_OUTPUT_MODES = {"append", "update", "complete"}
_TIME_MODES = {"none", "processingtime", "eventtime"}
_TIMEOUTS = {name.lower(): name for name in ("NoTimeout", "ProcessingTimeTimeout", "EventTimeTimeout")}


@relation("apply_in_pandas_with_state")
def apply_in_pandas_with_state(decoder: Decoder, message: Any) -> p.ApplyInPandasWithState:
    """`groupBy(…).applyInPandasWithState(…)`."""
    timeout = _TIMEOUTS.get(message.timeout_conf.lower())
    if timeout is None:
        reason = f"{message.timeout_conf!r} is no timeout; there are {', '.join(_TIMEOUTS.values())}"
        raise IllegalArgumentError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg=reason)
    mode = _output_mode(message.output_mode)
    if mode == "complete":
        reason = "The output mode of function should be append or update"
        raise IllegalArgumentError("_LEGACY_ERROR_TEMP_3102", msg=reason)
    return p.ApplyInPandasWithState(
        decoder.relation(message.input),
        decoder.expressions(message.grouping_expressions),
        inline_function(decoder, message.func),
        parse_schema(message.output_schema),
        parse_schema(message.state_schema),
        mode,  # type: ignore[arg-type]
        timeout,  # type: ignore[arg-type]
    )


@relation("group_map")
def group_map(decoder: Decoder, message: Any) -> p.TransformWithState:
    """`groupBy(…).transformWithState(…)` and `…InPandas`."""
    if not message.HasField("transform_with_state_info"):
        raise unsupported("applyInPandas or applyInArrow (Python functions over rows)", PYTHON_WAY_OUT)
    info = message.transform_with_state_info
    return p.TransformWithState(
        decoder.relation(message.input),
        decoder.expressions(message.grouping_expressions),
        inline_function(decoder, message.func),
        decoder.struct(info.output_schema),
        _output_mode(message.output_mode),  # type: ignore[arg-type]
        _time_mode(info.time_mode),  # type: ignore[arg-type]
        info.event_time_column_name,
        decoder.relation(message.initial_input) if message.HasField("initial_input") else None,
        decoder.expressions(message.initial_grouping_expressions),
    )


def _output_mode(text: str) -> str:
    mode = text.lower()
    if mode not in _OUTPUT_MODES:
        raise IllegalArgumentError("STREAMING_OUTPUT_MODE.INVALID", outputMode=text)
    return mode


def _time_mode(text: str) -> str:
    mode = text.lower()
    if mode not in _TIME_MODES:
        raise IllegalArgumentError("STATEFUL_PROCESSOR_UNKNOWN_TIME_MODE", timeMode=text)
    return mode

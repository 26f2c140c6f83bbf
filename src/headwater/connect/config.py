"""The Config call: read, set and unset a session's settings.

Invariants: a key that was never set and has no default cannot be read without a default (SQL_CONF_NOT_FOUND);
settings of the server cannot be changed by a session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headwater.connect.proto import pb2
from headwater.connect.session import SessionHolder
from headwater.errors import AnalysisError, SparkError
from headwater.settings import SETTINGS, Settings

STATIC = frozenset(
    {
        "spark.master",
        "spark.sql.catalogImplementation",
        "spark.sql.extensions",
        "spark.sql.streaming.streamingQueryListeners",
        "spark.sql.streaming.ui.enabled",
        "spark.sql.warehouse.dir",
    }
)
"""Settings of the server, which a session cannot change."""

_Operation = Callable[[Settings, Any, Any], None]


def config(holder: SessionHolder, request: Any) -> Any:
    """Answer a ConfigRequest."""
    response = pb2.ConfigResponse()
    operation = request.operation
    kind = operation.WhichOneof("op_type")
    _OPERATIONS[kind](holder.session.settings, getattr(operation, kind), response)
    return response


def _set(settings: Settings, message: Any, response: Any) -> None:
    for pair in message.pairs:
        try:
            _set_one(settings, pair.key, pair.value if pair.HasField("value") else "")
        except SparkError as error:
            if not message.silent:
                raise
            response.warnings.append(str(error))


def _set_one(settings: Settings, key: str, value: str) -> None:
    if key in STATIC:
        raise AnalysisError("CANNOT_MODIFY_STATIC_CONFIG", key=f'"{key}"')
    settings.set(key, value)


def _get(settings: Settings, message: Any, response: Any) -> None:
    for key in message.keys:
        value = settings.lookup(key)
        if value is None and key not in SETTINGS:
            raise AnalysisError("SQL_CONF_NOT_FOUND", sqlConf=f'"{key}"')
        _add(response, key, _default(key) if value is None else value)


def _get_with_default(settings: Settings, message: Any, response: Any) -> None:
    for pair in message.pairs:
        value = settings.lookup(pair.key)
        default = pair.value if pair.HasField("value") else None
        _add(response, pair.key, default if value is None else value)


def _get_option(settings: Settings, message: Any, response: Any) -> None:
    for key in message.keys:
        _add(response, key, settings.lookup(key))


def _get_all(settings: Settings, message: Any, response: Any) -> None:
    for key, value in settings.items():
        if key.startswith(message.prefix):
            _add(response, key[len(message.prefix) :], value)


def _unset(settings: Settings, message: Any, _: Any) -> None:
    for key in message.keys:
        if key in STATIC:
            raise AnalysisError("CANNOT_MODIFY_STATIC_CONFIG", key=f'"{key}"')
        settings.unset(key)


def _is_modifiable(_: Settings, message: Any, response: Any) -> None:
    for key in message.keys:
        _add(response, key, "false" if key in STATIC or key not in SETTINGS else "true")


def _default(key: str) -> str | None:
    if key != "spark.sql.session.timeZone":
        return None
    from headwater.sessions.zone import machine_time_zone

    return machine_time_zone()


def _add(response: Any, key: str, value: str | None) -> None:
    response.pairs.append(pb2.KeyValue(key=key, value=value))


_OPERATIONS: dict[str, _Operation] = {
    "set": _set,
    "get": _get,
    "get_with_default": _get_with_default,
    "get_option": _get_option,
    "get_all": _get_all,
    "unset": _unset,
    "is_modifiable": _is_modifiable,
}

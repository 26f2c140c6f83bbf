"""Table functions over files: `read_files`, `cloud_files`, `cloud_files_state`, as reads of their sources.

`read_files` takes Auto Loader's options without their prefix, by name; column types are inferred unless it is told
otherwise. `STREAM read_files` and the older `cloud_files(path, format, map(…))` are streams.

Invariant: arguments are constants; anything else raises.
"""

from __future__ import annotations

from collections.abc import Sequence

from headwater.errors import AnalysisError, unsupported
from headwater.plan.expressions import Alias, Call, Cast, Expression, Literal, NamedArgument
from headwater.plan.relations import ReadSource
from headwater.sources.cloud_files.options import PREFIX, prefixed_names
from headwater.types.ddl import parse_schema

NAMES = frozenset({"read_files", "cloud_files", "cloud_files_state"})


def file_function(name: str, arguments: Sequence[Expression]) -> ReadSource:
    """The read that a call stands for. Raises INCORRECT_NUMBER_OF_ARGUMENTS, UNSUPPORTED_FEATURE."""
    if name == "cloud_files":
        return _cloud_files(arguments)
    path = _path(name, arguments)
    if name == "cloud_files_state":
        return ReadSource(name, None, (), (path,))
    return _read_files(path, arguments[1:])


def _read_files(path: str, arguments: Sequence[Expression]) -> ReadSource:
    prefixed = prefixed_names()
    schema = None
    options = {PREFIX + "infercolumntypes": "true"}
    for argument in arguments:
        if not isinstance(argument, NamedArgument):
            raise AnalysisError(
                "INCORRECT_NUMBER_OF_ARGUMENTS",
                failure="too many args",
                functionName="read_files",
                minArgs=1,
                maxArgs=1,
            )
        key, value = argument.key.lower(), _text("read_files", argument.value)
        if key == "schema":
            schema = parse_schema(value)
        else:
            options[PREFIX + key if key in prefixed else key] = value
    return ReadSource("read_files", schema, tuple(options.items()), (path,))


def _cloud_files(arguments: Sequence[Expression]) -> ReadSource:
    if not 2 <= len(arguments) <= 3:
        failure = "not enough args" if len(arguments) < 2 else "too many args"
        raise AnalysisError(
            "INCORRECT_NUMBER_OF_ARGUMENTS", failure=failure, functionName="cloud_files", minArgs=2, maxArgs=3
        )
    path, kind = (_text("cloud_files", one) for one in arguments[:2])
    options = dict(_map(arguments[2])) if len(arguments) > 2 else {}
    schema = next((value for key, value in options.items() if key.lower() == "schema"), None)
    kept = tuple((key, value) for key, value in options.items() if key.lower() != "schema")
    return ReadSource(
        "cloudFiles",
        parse_schema(schema) if schema else None,
        (("cloudFiles.format", kind), *kept),
        (path,),
        streaming=True,
    )


def _path(name: str, arguments: Sequence[Expression]) -> str:
    if not arguments or (name == "cloud_files_state" and len(arguments) > 1):
        failure = "too many args" if arguments else "not enough args"
        raise AnalysisError("INCORRECT_NUMBER_OF_ARGUMENTS", failure=failure, functionName=name, minArgs=1, maxArgs=1)
    return _text(name, arguments[0])


def _map(argument: Expression) -> list[tuple[str, str]]:
    if not isinstance(argument, Call) or argument.name != "map" or len(argument.arguments) % 2:
        raise unsupported("options of cloud_files that are no map(…) of constants", "Write map('key', 'value', …).")
    texts = [_text("cloud_files", one) for one in argument.arguments]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _text(name: str, argument: Expression) -> str:
    """The text of a constant."""
    while isinstance(argument, Alias | Cast):
        argument = argument.child
    if not isinstance(argument, Literal) or argument.value is None:
        raise unsupported(f"an argument of {name} that is no constant", "Write a string, a number, true or false.")
    return str(argument.value).lower() if isinstance(argument.value, bool) else str(argument.value)

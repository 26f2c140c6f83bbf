"""Errors that rows raise while DuckDB runs, carried through DuckDB's message and read back at the edge.

Invariants: a carried error names a class of `headwater.errors` and a row of conditions.json; `translate` gives back
exactly the error that `fail` or a kernel stated.
"""

from __future__ import annotations

import json
import re

from sqlglot import exp

from headwater import errors
from headwater.functions.building import Value, cast, duck, struct, struct_of

_CARRIED = re.compile(errors.CARRIED + r"(\{.*\})", re.DOTALL)


def fail(kind: type[errors.SparkError], condition: str, **parameters: Value) -> exp.Expression:
    """An expression that raises the error when it is evaluated; parameters may be SQL expressions."""
    texts = struct_of([(name, cast(item, "VARCHAR")) for name, item in parameters.items()])
    body = struct(kind=kind.__name__, condition=condition, parameters=texts if parameters else None)
    message = exp.DPipe(this=exp.Literal.string(errors.CARRIED), expression=cast(duck("to_json", body), "VARCHAR"))
    return duck("error", message)


def translate(failure: Exception) -> errors.SparkError | None:
    """The Spark error that a DuckDB failure carries, or None if it carries none."""
    found = _CARRIED.search(str(failure))
    if found is None:
        return None
    body, _ = json.JSONDecoder().raw_decode(found[1])
    kind = getattr(errors, body["kind"], errors.RuntimeSparkError)
    error = kind(
        body["condition"],
        **{name: text if text is not None else "NULL" for name, text in (body["parameters"] or {}).items()},
    )
    assert isinstance(error, errors.SparkError)
    return error

"""Errors that a scan raises while it runs: carried as text in DuckDB's message, read back by the session.

Invariant: the text is the one `functions.raising` reads: a mark, then JSON of the error's class, condition and
parameters.
"""

from __future__ import annotations

from sqlglot import exp

from headwater.errors import CARRIED, RuntimeSparkError, SparkError
from headwater.io.formats.scan import call, struct


def fail(kind: type[SparkError], condition: str, **parameters: exp.Expr) -> exp.Expr:
    """An expression that raises the error when it is evaluated."""
    body = struct(
        kind=exp.Literal.string(kind.__name__),
        condition=exp.Literal.string(condition),
        parameters=struct(**parameters),
    )
    text = exp.DPipe(this=exp.Literal.string(CARRIED), expression=exp.cast(call("to_json", body), "VARCHAR"))
    return call("error", text)


def fail_malformed(record: exp.Expr, file: exp.Expr) -> exp.Expr:
    """Raise MALFORMED_RECORD_IN_PARSING (mode FAILFAST), naming record and file."""
    place = call("concat", record, exp.Literal.string(" (in file "), file, exp.Literal.string(")"))
    mode = exp.Literal.string("FAILFAST")
    return fail(RuntimeSparkError, "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", badRecord=place, failFastMode=mode)

"""Generators: explode and its kin in a select list, `LATERAL VIEW`, and as table functions.

Invariants: one generator a select list; a row whose array is empty gives no row, or with `outer` one row of NULLs.
"""

from __future__ import annotations

from collections.abc import Sequence

from headwater.compile.compiler import Compiler
from headwater.compile.frame import Frame
from headwater.errors import unsupported
from headwater.functions.base import functions
from headwater.plan import expressions as ex

GENERATORS = {"explode", "explode_outer", "posexplode", "posexplode_outer", "inline", "inline_outer", "stack", "json_tuple"}


def has_generator(expression: ex.Expression) -> bool:
    """Whether the expression is (an alias of) a generator call."""
    if isinstance(expression, ex.Alias):
        return has_generator(expression.child)
    if not isinstance(expression, ex.Call):
        return False
    name = expression.name.lower()
    if name in GENERATORS:
        return True
    known = functions.get(name)
    return known is not None and known.kind == "generator"


def project_generators(expressions: Sequence[ex.Expression], frame: Frame, compiler: Compiler) -> Frame:
    """A select list with a generator."""
    del expressions, frame, compiler
    raise unsupported("generators")

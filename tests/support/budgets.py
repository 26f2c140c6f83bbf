"""Size budgets of the source tree, checked by `make check`.

Files: 400 lines is the aim (a ratchet list names the exceptions), 800 the hard stop. Functions: median at most
10 lines, 99th percentile at most 80, at most 6 parameters. Every file opens with a docstring.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "headwater"
FILE_HARD, FILE_AIM, MEDIAN, P99, PARAMETERS = 800, 400, 10, 80, 6
OVER_AIM_ALLOWED = 12
"""How many files may lie between aim and hard stop; only ever lowered."""


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All function definitions of a module."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters of a function, without `self` and `cls`."""
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def complaints() -> list[str]:
    """Every budget that is broken, as one line each."""
    found: list[str] = []
    lengths: list[int] = []
    over = 0
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text("utf-8")
        if not text.strip():
            found.append(f"{path}: is empty")
            continue
        tree = ast.parse(text)
        lines = len(text.splitlines())
        over += lines > FILE_AIM
        if lines > FILE_HARD:
            found.append(f"{path}: {lines} lines, hard stop {FILE_HARD}")
        if ast.get_docstring(tree) is None:
            found.append(f"{path}: no opening docstring")
        for node in functions(tree):
            lengths.append((node.end_lineno or node.lineno) - node.lineno + 1)
            if parameters(node) > PARAMETERS and node.name != "__init__":
                found.append(
                    f"{path}:{node.lineno}: `{node.name}` takes {parameters(node)} parameters, budget {PARAMETERS}"
                )
    if over > OVER_AIM_ALLOWED:
        found.append(f"{over} files over {FILE_AIM} lines, allowed {OVER_AIM_ALLOWED}")
    if lengths and statistics.median(lengths) > MEDIAN:
        found.append(f"median function has {statistics.median(lengths)} lines, budget {MEDIAN}")
    if lengths and sorted(lengths)[int(len(lengths) * 0.99)] > P99:
        found.append(f"99th percentile function has {sorted(lengths)[int(len(lengths) * 0.99)]} lines, budget {P99}")
    return found


if __name__ == "__main__":
    problems = complaints()
    print("\n".join(problems) or "budgets hold")
    sys.exit(bool(problems))

"""Stream scenarios: queries and their input step by step, run on genuine Spark to record and on Headwater to compare.

    @scenario({"events": "k STRING, ts TIMESTAMP, v LONG"}, [[("a", 1, 10)], [("b", 30, 1)]], mode="update complete")
    def sums(spark, events):
        return events.withWatermark("ts", "10 seconds").groupBy("k").sum("v")

Rows are tuples in the order of the columns; a number in a TIMESTAMP column is seconds after 2024-01-01. A step is the
rows of the only input, or a dict of rows by input: they land in one batch. `Advance` moves the clock of a scenario
with `clock=True`, whose query triggers every second of a clock moved by hand (one second per data step).

Invariants: this module runs under both engines and imports neither; a run is plain JSON (`Run`), so that a recording
is its text; the files `tests/scenarios/*.py` hold scenarios only.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

HOME = Path(__file__).resolve().parents[1] / "scenarios"
RECORDED = HOME / "recorded"
BASE = datetime(2024, 1, 1)
BASE_MS = int(BASE.replace(tzinfo=UTC).timestamp() * 1000)
SECOND_MS = 1000

TIMES = "event times"
"""Begins the differences in the average, oldest and newest event time of a batch."""

Rows = Sequence[tuple[Any, ...]]
Run = dict[str, Any]
"""`columns`, `batches` (`batch`, `rows`, `input_rows`, `event_time`, `operators`, `observed`), `error`."""


@dataclass(frozen=True)
class Advance:
    """A step without data: the clock moves by that many seconds, and one trigger fires."""

    seconds: int


Step = Rows | Mapping[str, Rows] | Advance


@dataclass(frozen=True)
class Scenario:
    """One query with its input.

    Attributes:
        file: the module it stands in; `name` is unique there.
        build: `(spark, *inputs) -> DataFrame`.
        inputs: DDL by name of input, in the order of `build`'s parameters.
        conf: settings of the session, set before the query is built.
        clock: see the module.
    """

    file: str
    name: str
    build: Callable[..., Any]
    inputs: Mapping[str, str]
    steps: Sequence[Step]
    mode: str
    conf: Mapping[str, str] = field(default_factory=dict)
    clock: bool = False

    @property
    def id(self) -> str:
        """`file/name`."""
        return f"{self.file}/{self.name}"


_entered: list[Scenario] = []


def scenario(
    inputs: Mapping[str, str],
    steps: Sequence[Step],
    *,
    mode: str = "append",
    conf: Mapping[str, str] | None = None,
    clock: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the function builds a scenario's query. Several modes (`"append update"`) make a scenario each."""
    modes = mode.split()

    def enter(build: Callable[..., Any]) -> Callable[..., Any]:
        file = Path(build.__code__.co_filename).stem
        for one in modes:
            name = build.__name__ if len(modes) == 1 else f"{build.__name__}_{one}"
            assert all(other.name != name for other in _entered), f"two scenarios are called {name}"
            _entered.append(Scenario(file, name, build, inputs, steps, one, conf or {}, clock))
        return build

    return enter


def load(file: str) -> list[Scenario]:
    """The scenarios of `tests/scenarios/<file>.py`."""
    global _entered
    _entered = []
    _module(HOME / f"{file}.py")
    return _entered


def files() -> list[str]:
    """The files of scenarios."""
    return sorted(path.stem for path in HOME.glob("*.py") if not path.stem.startswith("test_"))


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"scenarios_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # classes are pickled by looking their module up
    spec.loader.exec_module(module)
    return module


# ── input ───────────────────────────────────────────────────────────────────────────────────────────────────


def data(one: Scenario, step: Step) -> dict[str, Rows]:
    """The rows of a step by input."""
    if isinstance(step, Advance):
        return {}
    if isinstance(step, Mapping):
        return dict(step)
    return {next(iter(one.inputs)): step}


def write(folder: Path, one: Scenario, number: int) -> None:
    """Write the files of a step under `folder/<input>/`, each whole before it is seen."""
    moves = []
    for name, rows in data(one, one.steps[number]).items():
        hidden = folder / f".{name}-{number}"
        hidden.write_text("".join(json.dumps(_json(one.inputs[name], row)) + "\n" for row in rows), "utf-8")
        moves.append((hidden, folder / name / f"{number:04}.json"))
    for hidden, target in moves:
        hidden.rename(target)


def _json(ddl: str, row: tuple[Any, ...]) -> dict[str, Any]:
    columns = [column.split(maxsplit=1) for column in re.split(r",\s*(?![^<]*>)", ddl)]
    assert len(columns) == len(row), f"{row} is no row of {ddl}"
    return {name: _cell(kind, value) for (name, kind), value in zip(columns, row, strict=True) if value is not None}


def _cell(kind: str, value: Any) -> Any:
    if kind.upper().startswith("TIMESTAMP") and isinstance(value, int | float):
        return stamp(value)
    return value


def stamp(seconds: float) -> str:
    """`seconds` after the base, as a literal of JSON and SQL."""
    return (BASE + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


# ── output ──────────────────────────────────────────────────────────────────────────────────────────────────

# Metrics that say what an operator did; the others depend on the machine or on the way of storing.
_TELLING = re.compile(r"num(DroppedDuplicateRows|\w+Vars|\w+Timers|ValuesRemovedDueToTTLExpiry)")


def rendered(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as JSON values in a fixed order."""
    plain = [[_plain(value) for value in row] for row in rows]
    return sorted(plain, key=lambda row: json.dumps(row, sort_keys=True))


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
        case date() | timedelta() | Decimal():
            return str(value)
        case bytes() | bytearray():
            return bytes(value).hex()
        case float() if value != value or value in (float("inf"), float("-inf")):
            return str(value)
        case dict():
            pairs = [[_plain(key), _plain(item)] for key, item in value.items()]
            strings = all(isinstance(key, str) for key, _ in pairs)
            return dict(sorted(pairs)) if strings else sorted(pairs)
        case tuple() if hasattr(value, "asDict"):
            return _plain(value.asDict())
        case list() | tuple():
            return [_plain(item) for item in value]
    return value


def batch(batch_id: int, rows: list[list[Any]], progress: Mapping[str, Any]) -> dict[str, Any]:
    """One batch of a run."""
    told: dict[str, Any] = {
        "batch": batch_id,
        "rows": rows,
        "input_rows": progress.get("numInputRows"),
        "event_time": dict(progress.get("eventTime") or {}),
        "operators": [_operator(one) for one in progress.get("stateOperators", [])],
    }
    observed = progress.get("observedMetrics")
    return {**told, "observed": _observed(observed)} if observed else told


def _operator(told: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {key: value for key, value in told.get("customMetrics", {}).items() if _TELLING.fullmatch(key)}
    counters = {
        "name": told["operatorName"],
        "total": told["numRowsTotal"],
        "updated": told["numRowsUpdated"],
        "removed": told["numRowsRemoved"],
        "dropped": told["numRowsDroppedByWatermark"],
    }
    return {**counters, "metrics": metrics} if metrics else counters


def _observed(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(row) for name, row in sorted(metrics.items())}


_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)*)\]")
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NUMBERS = re.compile(r"#\d+L?")


def failure(when: str, error: Exception) -> dict[str, Any]:
    """What a refused query says: `start` or `run`, condition, SQLSTATE, first line, and the cause's condition."""
    text = str(error)
    condition = error.getCondition() if hasattr(error, "getCondition") else None  # type: ignore[attr-defined]
    state = error.getSqlState() if hasattr(error, "getSqlState") else None  # type: ignore[attr-defined]
    named = [one for one in _CONDITION.findall(text) if one != condition]
    told = {"when": when, "condition": condition or type(error).__name__, "state": state}
    if condition == "STREAM_FAILED":
        told["cause"] = named[0] if named else None
    first = next((line for line in text.splitlines() if line.strip()), "")
    return {**told, "message": _NUMBERS.sub("", _IDS.sub("<id>", first))[:400]}


# ── comparison ──────────────────────────────────────────────────────────────────────────────────────────────


@cache
def recording(file: str) -> dict[str, dict[str, Run]]:
    """The recorded runs of a file: by scenario, by variant."""
    path = RECORDED / f"{file}.json"
    return json.loads(path.read_text("utf-8"))["scenarios"] if path.exists() else {}


def variants(one: Scenario) -> list[str]:
    """The recorded variants: `straight`, and `restarted` where Spark was asked."""
    return list(recording(one.file).get(one.name, ()))


def expected(one: Scenario, variant: str) -> Run:
    """The recorded run; `restarted` is spelled out only where it differs."""
    runs = recording(one.file)[one.name]
    return runs["straight"] if runs[variant] == "same" else runs[variant]


def differences(wanted: Run, found: Run) -> list[str]:
    """What a run does otherwise than recorded, a line each; empty if nothing."""
    lines = _errors(wanted["error"], found["error"])
    if wanted["columns"] != found["columns"]:
        lines.append(_line("columns", wanted["columns"], found["columns"]))
    theirs = {one["batch"]: one for one in wanted["batches"]}
    ours = {one["batch"]: one for one in found["batches"]}
    for number in sorted(theirs | ours):
        if number in ours and number in theirs:
            lines += _batch(f"batch {number}", theirs[number], ours[number])
        else:
            lines.append(_line(f"batch {number}", theirs.get(number), ours.get(number)))
    return lines


def _batch(where: str, wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    lines = []
    for key in dict.fromkeys([*wanted, *found]):
        one, other = wanted.get(key), found.get(key)
        if one != other and key == "operators" and len(one) == len(other):
            lines += [
                line for n, pair in enumerate(zip(one, other, strict=True)) for line in _counters(where, n, *pair)
            ]
        elif one != other and key == "event_time":
            lines += _times(where, one, other)
        elif one != other:
            lines.append(_line(f"{where} {key}", one, other))
    return lines


def _times(where: str, wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """The watermark, and apart from it what progress tells of event times."""
    one, other = wanted.get("watermark"), found.get("watermark")
    lines = [] if one == other else [_line(f"{where} watermark", one, other)]
    rest = [{key: value for key, value in told.items() if key != "watermark"} for told in (wanted, found)]
    return lines if rest[0] == rest[1] else [*lines, _line(f"{where} {TIMES}", *rest)]


def _counters(where: str, number: int, wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    one, other = ({**told, **told.get("metrics", {})} for told in (wanted, found))
    keys = [key for key in dict.fromkeys([*one, *other]) if key != "metrics" and one.get(key) != other.get(key)]
    name = f"{where} operator {number} ({wanted['name']})"
    return [_line(f"{name} {key}", one.get(key), other.get(key)) for key in keys]


def _line(what: str, wanted: Any, found: Any) -> str:
    return f"{what}: {json.dumps(wanted)} expected, {json.dumps(found)} found"


def _errors(wanted: dict[str, Any] | None, found: dict[str, Any] | None) -> list[str]:
    if wanted is None and found is None:
        return []
    if wanted is None or found is None:
        return [_line("error", wanted, found)]
    same = all(wanted.get(key) in (None, found.get(key)) for key in ("when", "condition", "state", "cause"))
    unnamed = wanted["condition"].startswith("_LEGACY") or wanted.get("cause", "") is None
    same = same and (not unnamed or _said(wanted) == _said(found))
    return [] if same else [_line("error", wanted, found)]


def _said(error: dict[str, Any]) -> str:
    """The text of an error that has no condition of its own, without what stands around it."""
    text = error["message"].split("terminated with exception: ")[-1]
    return re.sub(r"^\[\w+\] |;$| SQLSTATE: \w+", "", text).rstrip(";. ")[:200]

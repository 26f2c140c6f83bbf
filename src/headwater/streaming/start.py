"""From `df.writeStream…start()` to a running query: find the streams, check, compile, open, start.

Invariants: everything that can be refused is refused here, before a checkpoint entry or a row is written, but for what
Spark refuses in a batch (`operators.refused`); a query whose checkpoint is in use by this server ends the other run
first (or is refused, as the setting says).
"""

from __future__ import annotations

import shutil
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any, cast

from pyspark.sql.types import StructType

from headwater.duck import DuckError
from headwater.errors import AnalysisError, unsupported
from headwater.io.formats.base import FormatOptions
from headwater.plan.commands import StartStream
from headwater.plan.relations import Relation
from headwater.sinks.base import SinkContext, SinkProvider, SinkRequest
from headwater.sinks.dead_letters import DeadLetterOptions, DeadLetters
from headwater.sources.base import SourceProvider, SourceRequest, StreamSource
from headwater.streaming.analysis import checked
from headwater.streaming.checkpoint import Checkpoint, Location, locate
from headwater.streaming.cutting import CutPlan, cut_plan
from headwater.streaming.dataflow import Dataflow
from headwater.streaming.engine import Parts
from headwater.streaming.leaves import Leaf, Leaves, StreamSession, source_context
from headwater.streaming.logs import PINNED
from headwater.streaming.modes import Mode
from headwater.streaming.progress import ProgressLog
from headwater.streaming.query import Identity, StreamingQuery
from headwater.streaming.restart import RestartPolicy
from headwater.streaming.trigger import TriggerClock

_DEFAULT_FORMAT = "spark.sql.sources.default"
_FORCE_DELETE = "spark.sql.streaming.forceDeleteTempCheckpointLocation"
_RECURSION = 20_000
"""Frames for plans of a thousand relations, as in `compile`."""
_running_lock = threading.Lock()


def start_query(command: StartStream, session: StreamSession) -> StreamingQuery:
    """Start a streaming query. Raises Spark's errors for what is not allowed."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    sink_name = _sink_name(command, session)

    @cache
    def location() -> Location:
        return locate(command, sink_name, session.settings, session.runtime.mounts)

    try:
        return _start(command, session, sink_name, location)
    except BaseException:
        if location.cache_info().currsize and location().temporary:
            shutil.rmtree(location().path, ignore_errors=True)
        raise


def _start(
    command: StartStream, session: StreamSession, sink_name: str, location: Callable[[], Location]
) -> StreamingQuery:
    def schema(provider: SourceProvider, request: SourceRequest) -> StructType:
        return provider.schema(request, replace(source_context(session), checkpoint=location().path))

    def opened(*, first: bool = False) -> Parts:
        leaves = Leaves(session, schema)
        plan = leaves.expand(command.input)
        if not leaves.found:
            raise AnalysisError("WRITE_STREAM_NOT_ALLOWED")
        plan = checked(plan, leaves.found, session, command.output_mode)
        mode = Mode(command, plan, leaves.found, sink_name, session.settings)
        mode.check()
        provider = _sink_provider(sink_name, command, session)
        compiled = _compiled(plan, leaves.found, session, command)
        async_ms = mode.async_ms()
        checkpoint = Checkpoint(session.runtime.storage, location().path)
        if first:
            _one_run_only(checkpoint.query_id, session)
        return replace(_parts(mode, session, compiled, checkpoint, provider), async_ms=async_ms)

    session.streams.check_name(command.query_name)
    query = _query(command, session, opened, location)
    query.prepare()
    _enter(query, session)
    query.start()
    return query


def _compiled(plan: Relation, leaves: list[Leaf], session: StreamSession, command: StartStream) -> CutPlan:
    try:
        return cut_plan(plan, leaves, session, command.output_mode)
    except DuckError as error:
        raise session.translate(error) from error


# ── open ────────────────────────────────────────────────────────────────────────────────────────────────────


def _sink_name(command: StartStream, session: StreamSession) -> str:
    if command.foreach_batch is not None:
        return "foreachBatch"
    if command.foreach is not None:
        return "foreach"
    return command.format or session.settings[_DEFAULT_FORMAT]


def _sink_provider(name: str, command: StartStream, session: StreamSession) -> SinkProvider:
    provider: SinkProvider | None = session.data_sources.sink(name)
    if provider is None:
        raise AnalysisError("DATA_SOURCE_NOT_FOUND", provider=name)
    if command.output_mode not in provider.output_modes:
        raise AnalysisError(
            "STREAMING_OUTPUT_MODE.UNSUPPORTED_DATASOURCE", outputMode=command.output_mode, className=name
        )
    return provider


def _parts(
    mode: Mode, session: StreamSession, compiled: CutPlan, checkpoint: Checkpoint, provider: SinkProvider
) -> Parts:
    """Raises what cannot be opened; what was opened before that is freed."""
    runtime, settings, command = session.runtime, session.settings, mode.command
    with ExitStack() as so_far:
        stream = compiled.opened(checkpoint)
        so_far.callback(stream.close)
        sources: list[StreamSource] = []
        for index, leaf in enumerate(mode.leaves):
            log_path = checkpoint.source_path(index)
            context = replace(source_context(session), log_path=log_path, checkpoint=checkpoint.path)
            sources.append(leaf.provider.open(leaf.request, context))
            so_far.callback(sources[-1].stop)
        if command.path:
            checkpoint.check_identity({f"{mode.sink} path": runtime.mounts.uri(command.path)})
        around = _sink_context(command, session, checkpoint)
        letters = _letters(mode, around)
        sink = provider.open(_sink_request(command, stream, mode.sink), around)
        so_far.pop_all()
    return Parts(
        stream,
        tuple(sources),
        sink,
        checkpoint,
        runtime.database,
        runtime.database.connect(session.time_zone),
        runtime.clock,
        command.output_mode,
        command.trigger,
        settings.number("spark.sql.streaming.minBatchesToRetain"),
        {key: settings.lookup(key) or value for key, value in PINNED.items()},
        settings.flag("spark.sql.streaming.noDataMicroBatches.enabled"),
        letters=letters,
        translate=session.translate,
    )


def _letters(mode: Mode, context: SinkContext) -> DeadLetters | None:
    """Raises for a place that cannot be one, and for asynchronous progress, which does not know its batches again."""
    options = DeadLetterOptions.of(FormatOptions(mode.command.options))
    if options is None:
        return None
    if mode.async_ms() is not None:
        raise unsupported(f"{options.place[0]} with asyncProgressTrackingEnabled", "Turn one of the two off.")
    return DeadLetters(options, context)


def _sink_request(command: StartStream, stream: Dataflow, name: str) -> SinkRequest:
    options = FormatOptions(command.options)
    if command.cluster_by and name not in ("delta", "csv", "json", "parquet", "text"):  # Spark lays files out as ever
        raise unsupported(f"clusterBy of a stream into `{name}`", "Write to a Delta table.")
    return SinkRequest(
        name,
        options,
        command.output_mode,
        stream.schema,
        command.path or options.get("path"),
        command.table,
        command.partition_by,
        command.foreach_batch or command.foreach,
        command.cluster_by,
    )


def _sink_context(command: StartStream, session: StreamSession, checkpoint: Checkpoint) -> SinkContext:
    runtime = session.runtime
    return SinkContext(
        checkpoint.query_id,
        command.query_name,
        runtime.storage,
        runtime.clock,
        runtime.mounts,
        session.catalog,
        session,
    )


# ── start ───────────────────────────────────────────────────────────────────────────────────────────────────


def _query(
    command: StartStream, session: StreamSession, opened: Callable[..., Parts], place: Callable[[], Location]
) -> StreamingQuery:
    settings, runtime = session.settings, session.runtime
    parts, location = opened(first=True), place()
    polling = settings.duration_ms("spark.sql.streaming.pollingDelay")
    running = runtime.streams

    def cleanup(failed: bool) -> None:
        if location.temporary and (not failed or settings.flag(_FORCE_DELETE)):
            shutil.rmtree(location.path, ignore_errors=True)

    return StreamingQuery(
        Identity(parts.checkpoint.query_id, str(uuid.uuid4()), command.query_name or None),
        parts,
        opened,
        TriggerClock(command.trigger, runtime.clock, polling),
        ProgressLog(settings.number("spark.sql.streaming.numRecentProgressUpdates")),
        lambda query, event: _published(running, session, query, event),
        idle_ms=settings.duration_ms("spark.sql.streaming.noDataProgressEventInterval"),
        stop_timeout_ms=settings.duration_ms("spark.sql.streaming.stopTimeout"),
        translate=session.translate,
        cleanup=cleanup,
        restart=RestartPolicy.of(settings),
    )


def _published(running: dict[str, Any], session: StreamSession, query: StreamingQuery, event: Any) -> None:
    if event.kind == "terminated":
        with _running_lock:
            if running.get(query.id) is query:
                del running[query.id]
    session.streams.publish(query, event)


def _enter(query: StreamingQuery, session: StreamSession) -> None:
    with _running_lock:
        session.runtime.streams[query.id] = query
    session.streams.add(query)


def _one_run_only(query_id: str, session: StreamSession) -> None:
    """End another run of the same query in this server. Raises STREAMING_QUERY_RUNNING if the setting forbids it."""
    with _running_lock:
        other = cast("StreamingQuery | None", session.runtime.streams.get(query_id))
    if other is None or not other.is_active:
        return
    if not session.settings.flag("spark.sql.streaming.stopActiveRunOnRestart"):
        raise AnalysisError("STREAMING_QUERY_RUNNING", id=query_id)
    other.stop()

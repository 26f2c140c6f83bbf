"""The batch source `statestore`: the state of a streaming query's operator as a table, from its checkpoint.

Options, columns and errors are Spark's. A state is kept in one partition, 0; an aggregation's values are the values of
its aggregates; the stores of a join are `left` and `right`, with a row's number as the key.

Invariants: nothing in the checkpoint is changed; only what is committed is shown.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from urllib.parse import quote

import pyarrow as pa
from pyspark.sql.types import StructField, StructType

from headwater.errors import RuntimeSparkError, unsupported
from headwater.io.storage import Storage
from headwater.sources.base import BatchInput, SourceContext, SourceRequest, StreamSource, arrow_query, sources
from headwater.sources.statestore.options import StateOptions, refused
from headwater.sources.statestore.variables import gathered, parts_of_variable
from headwater.state.metadata import OperatorMetadata, read_operators, state_folder
from headwater.state.reading import Part, StateView, version_id
from headwater.state.schema import StateSchema, read_schema
from headwater.state.store import StateStore

_TIMERS = "timers"
_MATCHED = "matched"


class StateStoreProvider:
    """The source `statestore`."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:
        """The columns. Raises Spark's STDS_ errors."""
        return _Reading.of(request, context).schema

    def open(self, request: SourceRequest, context: SourceContext) -> StreamSource:  # noqa: ARG002
        """It is no stream."""
        raise unsupported("reading `statestore` as a stream", "Read it with spark.read.")

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """The rows. Raises Spark's STDS_ errors, STATE_STORE_DAMAGED."""
        reading = _Reading.of(request, context)
        rows = reading.rows(context)
        name = f"statestore_{uuid.uuid4().hex}"
        return BatchInput(arrow_query(name, reading.schema), {name: rows}, rows.num_rows), reading.schema


sources.register("statestore")(StateStoreProvider())


@dataclass(frozen=True)
class _Reading:
    """What is read: options that are checked, the store's folder, and how its rows are shown."""

    storage: Storage
    options: StateOptions
    folder: str
    view: StateView

    @classmethod
    def of(cls, request: SourceRequest, context: SourceContext) -> _Reading:
        options = StateOptions.of(request, context)
        operator = _operator(context.storage, options)
        store = _store_name(options, operator)
        folder = state_folder(options.checkpoint, options.operator, store)
        schema = _schema(context.storage, folder, options)
        return cls(context.storage, options, folder, StateView(schema, _parts(schema, options)))

    @property
    def schema(self) -> StructType:
        if self.options.changes is not None:
            return self.view.changes_type
        return self.view.rows_type if self.options.flatten else gathered(self.view).type

    def rows(self, context: SourceContext) -> pa.Table:
        connection = context.database.connect(context.time_zone)
        store = StateStore(self.storage, self.folder)
        try:
            if self.options.changes is not None:
                ids = [self._id(store, batch) for batch in self.options.changes]
                return self.view.changes(connection, store, self.options.changes, ids)
            written = self._id(store, self.options.batch)
            rows = self.view.rows(connection, store, self.options.batch + 1, written)
            if self.options.flatten:
                return rows
            return gathered(self.view).rows(connection, rows)
        finally:
            store.close()
            connection.close()

    def _id(self, store: StateStore, batch: int) -> str:
        written = version_id(self.storage, self.options.checkpoint, batch, self.options.operator, store)
        if written is None:
            raise RuntimeSparkError("STDS_COMMITTED_BATCH_UNAVAILABLE", checkpointLocation=self.options.uri)
        return written


def _operator(storage: Storage, options: StateOptions) -> OperatorMetadata:
    try:
        found = read_operators(storage, options.checkpoint).get(options.operator)
    except (ValueError, KeyError) as cause:
        raise RuntimeSparkError(
            "STDS_FAILED_TO_READ_OPERATOR_METADATA", checkpointLocation=options.uri, batchId=options.batch
        ) from cause
    if found is None:
        raise RuntimeSparkError("STDS_FAILED_TO_READ_STATE_SCHEMA", sourceOptions=options.shown())
    return found


def _store_name(options: StateOptions, operator: OperatorMetadata) -> str:
    """The store that the options name. Raises where they do not fit the operator."""
    variables = operator.name.startswith("transformWithState")
    for option, given in (("stateVarName", options.variable), ("readRegisteredTimers", options.timers)):
        if given and not variables:
            what = "state variable names" if option == "stateVarName" else "readRegisteredTimers=true"
            raise refused(
                option,
                f"Providing {what} is only supported with the transformWithState operator. Found "
                f"operator={operator.name}. Please remove this option and re-run the query.",
            )
    if options.timers:
        return _TIMERS
    if options.variable is not None:
        return f"variable-{quote(options.variable, safe='')}"
    if variables:
        raise RuntimeSparkError("STDS_REQUIRED_OPTION_UNSPECIFIED", optionName="stateVarName")
    return options.side or options.store


def _schema(storage: Storage, folder: str, options: StateOptions) -> StateSchema:
    try:
        found = read_schema(storage, folder)
    except (ValueError, KeyError, RuntimeSparkError) as cause:
        raise RuntimeSparkError("STDS_FAILED_TO_READ_STATE_SCHEMA", sourceOptions=options.shown()) from cause
    if found is not None:
        return found
    if options.variable is not None:
        known = f"State variable {options.variable} is not defined for the transformWithState operator."
        raise refused("stateVarName", known)
    raise RuntimeSparkError("STDS_FAILED_TO_READ_STATE_SCHEMA", sourceOptions=options.shown())


def _parts(schema: StateSchema, options: StateOptions) -> tuple[Part, ...]:
    if options.timers:
        *group, expires = schema.keys
        shown = replace(expires, field=StructField("expiration_timestamp_ms", expires.field.dataType))
        return Part("key", tuple(group)), Part("expiration_timestamp_ms", (shown,), bare=True)
    if options.variable is not None:
        return parts_of_variable(schema)
    values = schema.values
    if options.side:
        values = tuple(column for column in values if column.name != _MATCHED)
    return Part("key", schema.keys), Part("value", values)

"""Writing rows as the Parquet files of a Delta table: DuckDB writes them under their final names.

Files for S3 are written to a local folder first and uploaded (`io.staging`). A table with column mapping has other
names in its files than users see, and an id on each column of a file.

Invariants: a file is on disk for good (fsync, if asked), or in S3, before it is returned, so a commit never names a
file that a power cut can take back; no rows, no file; nothing is read or changed in the log.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pyspark.sql.types import BinaryType, DataType, StringType, StructField, StructType, TimestampType
from sqlglot import exp

from headwater.duck import Connection, DuckError, Printed, sql_text
from headwater.errors import SparkError
from headwater.io.paths import is_remote
from headwater.io.staging import Stage, staged
from headwater.lake.actions import AddFile, Metadata, encode_path
from headwater.lake.file_sizes import Sizes
from headwater.lake.mapping import as_stored, field_ids, mode_of, physical_name, physical_partitions, physical_type
from headwater.lake.rules import NO_RULES, Rules, row_column
from headwater.lake.stats import file_stats
from headwater.types.duck import to_duck

_ANY_SIZE = Sizes()
_INDEXED_COLUMNS = "delta.dataSkippingNumIndexedCols"
_CHECKED = "checked_rows"


class FileWriter:
    """Writes rows for one table. The last query's text is kept, as a stream brings the same query for every batch.

    Args:
        folder: the table's folder.
        metadata: the table's schema and partitioning.
        durable: flush files and folders to the disk.
        rules: what the rows must meet and what they compute.
        prefix: begins the files' names.
    """

    def __init__(
        self, folder: str, metadata: Metadata, durable: bool = True, rules: Rules = NO_RULES, prefix: str = "part"
    ) -> None:
        self.folder = folder
        self.metadata = metadata
        self.durable = durable and not is_remote(folder)
        self.prefix = prefix
        self.rules = rules
        self._printed: tuple[exp.Query, StructType, Printed] | None = None
        self._mode = mode_of(metadata)
        stored = [field for field in metadata.schema.fields if field.name not in metadata.partition_columns]
        self._ids = None if self._mode == "none" else field_ids(stored)
        # The columns as files have them, for statistics.
        self._in_files = cast(StructType, physical_type(metadata.schema, self._mode))

    def write(
        self, connection: Connection, query: exp.Query, data: StructType, sizes: Sizes = _ANY_SIZE
    ) -> list[AddFile]:
        """Write the rows of `query` (columns as `data`, by position) and return the files, not yet committed.

        There is one file per partition unless `sizes` ends it earlier. Raises DELTA_NOT_NULL_CONSTRAINT_VIOLATED,
        and TASK_WRITE_FAILED naming the folder if the disk refuses.
        """
        try:
            with staged(self.folder) as stage:
                return self._written(connection, self._rows(query, data), sizes, stage)
        except OSError as cause:
            raise SparkError("TASK_WRITE_FAILED", path=self.folder, reason=str(cause)) from cause

    def _written(self, connection: Connection, rows: Printed, sizes: Sizes, stage: Stage) -> list[AddFile]:
        partitions, folder = physical_partitions(self.metadata), stage.folder
        # A name that no other write has: the folders of file numbers are taken away as soon as they are empty.
        number = None if sizes.records is None else f"headwater_file_{uuid.uuid4().hex}"
        several = bool(partitions or number or sizes.bytes)
        name = _file_name(self.prefix, "{uuid}" if several else str(uuid.uuid4()))
        target = folder if several else os.path.join(folder, name + ".parquet")
        if number is not None:
            rows = _numbered(rows, number, sizes, partitions)
        try:
            copy = _copy(rows, target, (*partitions, number) if number else partitions, (name, sizes.bytes))
            if self._ids is not None:
                copy.append("params", exp.CopyParameter(this=exp.var("FIELD_IDS"), expression=self._ids.copy()))
            reports = connection.execute(sql_text(copy)).fetchall()
            if number is not None:
                reports = _moved_up(reports)
        except DuckError as cause:
            raise self._failure(cause, target) from cause
        written = [(os.path.relpath(report[0], folder), report) for report in reports if report[1]]
        files = [self._added(name, *report[:6]) for name, report in written]
        if self.durable:
            _flush(report[0] for report in reports)
        stage.publish([name for name, _ in written])
        return files

    def check(self, connection: Connection, query: exp.Query, data: StructType) -> None:
        """Compute the rows as `write` does and drop them. Raises as `write`."""
        properties = exp.Properties(expressions=[exp.TemporaryProperty()])
        rows = self._rows(query, data)
        made = exp.Create(
            this=exp.to_table(_CHECKED), kind="TABLE", replace=True, properties=properties, expression=rows
        )
        try:
            connection.execute(sql_text(made))
        except DuckError as cause:
            raise self._failure(cause, self.folder) from cause
        connection.execute(sql_text(exp.Drop(tables=[exp.to_table(_CHECKED)], kind="TABLE")))

    def _rows(self, query: exp.Query, data: StructType) -> Printed:
        kept = self._printed
        if kept is not None and kept[0] == query and kept[1] == data:
            return kept[2]
        rows = fitted(query, data, self.metadata.schema, self.metadata.partition_columns, self.rules)
        printed = Printed(this=sql_text(rows if self._mode == "none" else self._named_as_stored(rows)))
        self._printed = (query, data, printed)
        return printed

    def _named_as_stored(self, rows: exp.Select) -> exp.Select:
        """The fitted rows under the names that files have for them."""
        columns = []
        for field in self.metadata.schema.fields:
            value: exp.Expr = exp.column(field.name, table="fitted_", quoted=True)
            if field.name not in self.metadata.partition_columns:
                value = as_stored(value, field.dataType, self._mode)
            name = exp.to_identifier(physical_name(field, self._mode), quoted=True)
            columns.append(exp.Alias(this=value, alias=name))
        source = exp.Subquery(this=rows, alias=exp.TableAlias(this=exp.to_identifier("fitted_")))
        return exp.Select(expressions=columns, from_=exp.From(this=source))

    def _added(self, name: str, *report: Any) -> AddFile:
        path, rows, size, _footer, columns, keys = report
        values = {name: (keys or {}).get(name) for name in physical_partitions(self.metadata)}
        indexed = int(self.metadata.configuration.get(_INDEXED_COLUMNS, "32"))
        return AddFile(
            encode_path(name),
            values,
            size,
            os.stat(path).st_mtime_ns // 1_000_000,
            stats=file_stats(rows, columns, self._in_files, indexed),
        )

    def _failure(self, cause: DuckError, target: str) -> Exception:
        text = str(cause)
        violation = self.rules.violation(text)
        if violation is not None:
            return violation
        if _NOT_NULL in text:
            column = text.split(_NOT_NULL, 1)[1].split("\n")[0]
            return SparkError("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", columnName=column)
        if any(word in text for word in ("No space left", "Could not write", "Disk quota", "Read-only file system")):
            return SparkError("TASK_WRITE_FAILED", path=target, reason=text.split("\n")[0])
        return cause


_NOT_NULL = "NOT NULL constraint violated for column: "


def fitted(
    query: exp.Query, data: StructType, table: StructType, partitions: Sequence[str] = (), rules: Rules = NO_RULES
) -> exp.Select:
    """`query` with the table's columns in the table's order and types, under its rules; partition columns as text."""
    positions = {field.name.lower(): index for index, field in enumerate(data.fields)}
    given = {index: positions.get(field.name.lower()) for index, field in enumerate(table.fields)}
    names = [exp.to_identifier(f"c{index}") for index in range(len(data.fields))]
    rows = exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("rows_"), columns=names))
    values = {index: _cast(given[index], field, rules.defaults.get(index)) for index, field in enumerate(table.fields)}
    if rules:
        rows = _computed(
            rows, {i: v for i, v in values.items() if i not in rules.computed or given[i] is not None}, rules
        )
        values = {index: exp.column(row_column(index)) for index in values}
    columns = []
    for index, field in enumerate(table.fields):
        value = _strict(values[index], field)
        if index == 0 and rules:
            value = rules.guarded(value)
        if field.name in partitions:
            value = partition_text(value, field.dataType)
        columns.append(exp.Alias(this=value, alias=exp.to_identifier(field.name, quoted=True)))
    # Built without sqlglot's copying helpers: this runs for every batch.
    return exp.Select(expressions=columns, from_=exp.From(this=rows))


def _computed(rows: exp.Subquery, values: Mapping[int, exp.Expr], rules: Rules) -> exp.Subquery:
    """The rows under the names that rules use, with the generated and identity columns that are not given."""
    inner = [exp.Alias(this=value, alias=exp.to_identifier(row_column(index))) for index, value in values.items()]
    made = [
        exp.Alias(this=value, alias=exp.to_identifier(row_column(index)))
        for index, value in rules.computed.items()
        if index not in values
    ]
    given = exp.Subquery(
        this=exp.Select(expressions=inner, from_=exp.From(this=rows)),
        alias=exp.TableAlias(this=exp.to_identifier("given_")),
    )
    outer = exp.Select(expressions=[exp.Star(), *made], from_=exp.From(this=given))
    return exp.Subquery(this=outer, alias=exp.TableAlias(this=exp.to_identifier("ruled_")))


def _cast(index: int | None, target: StructField, default: exp.Expr | None = None) -> exp.Expr:
    missing = exp.Null() if default is None else default.copy()
    column: exp.Expr = missing if index is None else exp.column(f"c{index}", table="rows_")
    # Cast even if the types agree on paper: a file of another type than the table's could not be read back.
    return exp.Cast(this=column, to=to_duck(target.dataType))


def _strict(value: exp.Expr, target: StructField) -> exp.Expr:
    """The value, or an error if the column takes no null and it is one."""
    if target.nullable:
        return value
    failure = exp.Anonymous(this="error", expressions=[exp.Literal.string(_NOT_NULL + target.name)])
    return exp.Case().when(exp.Is(this=value, expression=exp.Null()), failure).else_(value.copy())


def partition_text(value: exp.Expr, kind: DataType) -> exp.Expr:
    """A partition value as the log writes it: text; instants in UTC; the empty string is null, as in Delta."""
    if isinstance(kind, TimestampType):
        utc = exp.Anonymous(this="timezone", expressions=[exp.Literal.string("UTC"), value])
        return exp.Anonymous(this="strftime", expressions=[utc, exp.Literal.string("%Y-%m-%dT%H:%M:%S.%fZ")])
    if isinstance(kind, BinaryType):
        value = exp.Anonymous(this="decode", expressions=[value])
    text = exp.Cast(this=value, to=exp.DataType.build("text"))
    return exp.Nullif(this=text, expression=exp.Literal.string("")) if isinstance(kind, StringType) else text


def _numbered(rows: Printed, number: str, sizes: Sizes, partitions: Sequence[str]) -> Printed:
    """The rows with a column `number`: which file of its partition a row goes to."""
    over = exp.Window(this=exp.Anonymous(this="row_number"))
    if partitions and not sizes.in_order:
        over.set("partition_by", [exp.column(name, quoted=True) for name in partitions])
    before = exp.paren(exp.Sub(this=over, expression=exp.Literal.number(1)))
    file = exp.IntDiv(this=before, expression=exp.Literal.number(sizes.records or 1))
    alias = exp.Alias(this=file, alias=exp.to_identifier(number, quoted=True))
    source = exp.Subquery(this=rows, alias=exp.TableAlias(this=exp.to_identifier("fitted_")))
    return Printed(this=sql_text(exp.Select(expressions=[exp.Star(), alias], from_=exp.From(this=source))))


def _moved_up(reports: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The files out of the folders of their numbers, which go."""
    moved = []
    for path, *rest in reports:
        folder = os.path.dirname(path)
        target = os.path.join(os.path.dirname(folder), os.path.basename(path))
        os.rename(path, target)
        with contextlib.suppress(OSError):
            os.rmdir(folder)
        moved.append((target, *rest))
    return moved


def _copy(rows: Printed, target: str, partitions: Sequence[str], file: tuple[str, int | None]) -> exp.Copy:
    """`file`: what files are named after where there may be several, and the bytes at which one is ended."""
    name, size = file
    options: dict[str, exp.Expression | None] = {
        "FORMAT": exp.var("parquet"),
        "COMPRESSION": exp.var("snappy"),
        "RETURN_STATS": None,
    }
    if partitions:
        columns = [exp.column(name, quoted=True) for name in partitions]
        options["PARTITION_BY"] = exp.Tuple(expressions=columns)
    if partitions or size:
        options["FILENAME_PATTERN"] = exp.Literal.string(name)
        options["APPEND"] = exp.true()
    if not partitions:
        options["WRITE_EMPTY_FILE"] = exp.false()
    if size:
        options["FILE_SIZE_BYTES"] = exp.Literal.number(size)
    params = [exp.CopyParameter(this=exp.var(name), expression=value) for name, value in options.items()]
    return exp.Copy(this=exp.Subquery(this=rows.copy()), kind=False, files=[exp.Literal.string(target)], params=params)


def _file_name(prefix: str, unique: str) -> str:
    return f"{prefix}-00000-{unique}-c000.snappy"


def _flush(paths: Iterable[str]) -> None:
    folders = set()
    for path in paths:
        if os.path.exists(path):
            flush(path)
            folders.add(os.path.dirname(path))
    for folder in folders:
        flush(folder)


def flush(path: str) -> None:
    """Put a file or folder on the disk for good."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The contract of a file format: options in, a DuckDB query over files out.

Invariants: a scan's columns are exactly the schema's fields, in order, with the DuckDB types of
`types.duck`; rows never pass through Python; a bad record never removes a good one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import IllegalArgumentError
from headwater.io.storage import FileStatus
from headwater.registry import Registry


class FormatOptions(dict[str, str]):
    """Reader or writer options; names are compared without case, as in Spark.

    Attributes:
        spelling: names as they were given, by their lower-case form.
    """

    def __init__(self, options: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> None:
        given = dict(options)
        super().__init__({key.lower(): value for key, value in given.items()})
        self.spelling: Mapping[str, str] = {
            **{key.lower(): key for key in given},
            **(options.spelling if isinstance(options, FormatOptions) else {}),
        }

    def text(self, name: str, default: str = "") -> str:
        """The option as text."""
        return self.get(name.lower(), default)

    def flag(self, name: str, default: bool = False) -> bool:
        """The option as true/false. Raises INVALID_SOURCE_OPTION for anything else."""
        value = self.get(name.lower())
        if value is None:
            return default
        if value.lower() not in {"true", "false"}:
            raise IllegalArgumentError("INVALID_SOURCE_OPTION", option=name, value=value, reason="use true or false")
        return value.lower() == "true"

    def number(self, name: str, default: int | None = None) -> int | None:
        """The option as an integer. Raises INVALID_SOURCE_OPTION for anything else."""
        value = self.get(name.lower())
        if value is None:
            return default
        try:
            return int(value)
        except ValueError as cause:
            raise IllegalArgumentError(
                "INVALID_SOURCE_OPTION", option=name, value=value, reason="it must be an integer"
            ) from cause


@dataclass(frozen=True)
class ScanRequest:
    """What to read.

    Attributes:
        files: the files, in reading order (never empty).
        schema: the fields wanted, in order; partition fields are not among them.
        options: the reader's options.
        rescue: name of the rescued-data column to add at the end, or None.
        metadata: add a struct column `_metadata` (Spark's hidden file columns) at the end.
        time_zone: the session's.
        partition_schema: columns that the folders give, added after the rescued-data column.
        partition_values: file path to their texts, in the order of `partition_schema`; None is null.
        variable: a DuckDB variable that will hold the files' names (`scan.file_names`) whenever the query runs. A
            format may name it instead of the files and give the same query object for the next files.
        table: what the names of the Arrow data of `ReadsArrow` begin with.
    """

    files: tuple[FileStatus, ...]
    schema: StructType
    options: FormatOptions = field(default_factory=FormatOptions)
    rescue: str | None = None
    metadata: bool = False
    time_zone: str = "UTC"
    partition_schema: StructType = field(default_factory=StructType)
    partition_values: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    variable: str | None = None
    table: str = "rows"


class Format(Protocol):
    """One file format."""

    extensions: tuple[str, ...]

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
        """The schema Spark would infer from `files`."""
        ...

    def scan(self, request: ScanRequest) -> exp.Query:
        """A query with the columns of `request.schema`, then rescue, partition columns, `_metadata`."""
        ...

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """DuckDB's COPY … TO options for writing."""
        ...


@runtime_checkable
class ReadsArrow(Protocol):
    """A format whose scan needs Arrow data on its connection."""

    def inputs(self, request: ScanRequest) -> Mapping[str, Any]:
        """By name: streams that can be opened again and again."""
        ...


formats: Registry[Format] = Registry("headwater.io.formats")
"""File formats by Spark's short name: `csv`, `json`, `parquet`, … Instances, not classes."""

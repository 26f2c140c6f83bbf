"""What happens to bad records: the reader option `mode` and the corrupt-record column.

Invariant: in PERMISSIVE mode no record is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from pyspark.sql.types import StructField, StructType
from sqlglot import exp

from headwater.io.formats.base import FormatOptions
from headwater.io.formats.raising import fail_malformed
from headwater.io.formats.scan import FILE, LINE, name

Mode = Literal["PERMISSIVE", "DROPMALFORMED", "FAILFAST"]
RECORD_OPTION = "headwater.recordcolumn"
"""The house's own reader option: the field of the schema that takes the text of every record."""


@dataclass(frozen=True)
class ReadMode:
    """How bad records are read.

    Attributes:
        mode: Spark's name; an unknown one is PERMISSIVE, as in Spark.
        corrupt: the field of the schema that takes the text of bad records, or None.
        record: the field that takes the text of every record, or None.
    """

    mode: Mode
    corrupt: str | None
    record: str | None = None

    @classmethod
    def of(cls, options: FormatOptions, schema: StructType) -> ReadMode:
        """From reader options."""
        mode = options.text("mode", "PERMISSIVE").upper()
        column = options.text("columnNameOfCorruptRecord", "_corrupt_record")
        known = mode if mode in {"DROPMALFORMED", "FAILFAST"} else "PERMISSIVE"
        record = options.get(RECORD_OPTION)
        return cls(cast(Mode, known), column if column in schema.names else None, record)

    @property
    def careful(self) -> bool:
        """Whether bad records must be told from good ones, or the text of records is asked for."""
        return self.mode != "PERMISSIVE" or self.corrupt is not None or self.record is not None

    def data(self, schema: StructType) -> list[StructField]:
        """The fields that take what is in a record."""
        return [field for field in schema.fields if field.name not in (self.corrupt, self.record)]

    def text(self, field: str, bad: exp.Expr) -> exp.Expr | None:
        """The value of a field that takes the record's text; None for those that take what is in it."""
        if field == self.record:
            return name(LINE)
        return exp.Case(ifs=[exp.If(this=bad, true=name(LINE))]) if field == self.corrupt else None

    def apply(self, rows: exp.Select, bad: exp.Expr) -> exp.Select:
        """Leave out bad records, or fail on one."""
        if self.mode == "DROPMALFORMED":
            return rows.where(exp.Not(this=exp.Paren(this=bad)))
        if self.mode == "FAILFAST":
            stop = exp.Case(
                ifs=[exp.If(this=bad, true=exp.cast(fail_malformed(name(LINE), name(FILE)), "BOOLEAN"))],
                default=exp.true(),
            )
            return rows.where(stop)
        return rows

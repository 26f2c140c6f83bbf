"""What happens to bad records: the reader option `mode` and the corrupt-record column.

Invariant: in PERMISSIVE mode no record is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.io.formats.base import FormatOptions
from headwater.io.formats.raising import fail_malformed
from headwater.io.formats.scan import FILE, LINE, name

Mode = Literal["PERMISSIVE", "DROPMALFORMED", "FAILFAST"]


@dataclass(frozen=True)
class ReadMode:
    """How bad records are read.

    Attributes:
        mode: Spark's name; an unknown one is PERMISSIVE, as in Spark.
        corrupt: the field of the schema that takes the text of bad records, or None.
    """

    mode: Mode
    corrupt: str | None

    @classmethod
    def of(cls, options: FormatOptions, schema: StructType) -> ReadMode:
        """From reader options."""
        mode = options.text("mode", "PERMISSIVE").upper()
        column = options.text("columnNameOfCorruptRecord", "_corrupt_record")
        known = mode if mode in {"DROPMALFORMED", "FAILFAST"} else "PERMISSIVE"
        return cls(cast(Mode, known), column if column in schema.names else None)

    @property
    def careful(self) -> bool:
        """Whether bad records must be told from good ones."""
        return self.mode != "PERMISSIVE" or self.corrupt is not None

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

    def corrupt_text(self, bad: exp.Expr) -> exp.Expr:
        """The value of the corrupt-record column."""
        return exp.Case(ifs=[exp.If(this=bad, true=name(LINE))])

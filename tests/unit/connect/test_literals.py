"""Values on their way to the client as literals."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.connect.expressions import LiteralExpression

from headwater.connect.literals import literal_to_proto


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, pa.int32()),
        (True, pa.bool_()),
        (1, pa.int8()),
        (1, pa.int16()),
        (1, pa.int32()),
        (1, pa.int64()),
        (1.5, pa.float64()),
        (Decimal("1.50"), pa.decimal128(10, 2)),
        ("ä", pa.string()),
        (b"\x00", pa.binary()),
        (date(2020, 1, 2), pa.date32()),
        (datetime(2020, 1, 2, 3), pa.timestamp("us")),
        (timedelta(seconds=3), pa.duration("us")),
        ([1, None], pa.list_(pa.int32())),
        ({"a": 1, "b": "x"}, pa.struct([("a", pa.int32()), ("b", pa.string())])),
    ],
    ids=str,
)
def test_the_client_reads_what_was_written(value: Any, kind: pa.DataType) -> None:
    read = LiteralExpression._to_value(literal_to_proto(value, kind))
    assert (read.asDict() if isinstance(value, dict) else read) == value


def test_a_map_is_read_as_a_map() -> None:
    message = literal_to_proto([("a", 1)], pa.map_(pa.string(), pa.int32()))
    assert LiteralExpression._to_value(message) == {"a": 1}

"""GENERATE, REORG, FSCK and REPAIR."""

from __future__ import annotations

import pytest

from headwater.errors import ParseError, UnsupportedError
from headwater.plan.commands import Command, Optimize
from headwater.plan.upkeep import FsckRepair, GenerateManifest, RepairTable
from headwater.sql import parse_statement


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("GENERATE symlink_format_manifest FOR TABLE a.t", GenerateManifest(("a", "t"), "symlink_format_manifest")),
        ("REORG TABLE delta.`/x` APPLY (PURGE)", Optimize(("delta", "/x"), purge=True)),
        ("FSCK REPAIR TABLE t DRY RUN", FsckRepair(("t",), True)),
        ("FSCK REPAIR TABLE '/x'", FsckRepair(("delta", "/x"))),
        ("MSCK REPAIR TABLE t", RepairTable(("t",))),
        ("MSCK REPAIR TABLE t SYNC PARTITIONS", RepairTable(("t",))),
        ("REPAIR TABLE t SYNC METADATA", RepairTable(("t",), "metadata")),
    ],
)
def test_statements(text: str, made: Command) -> None:
    assert parse_statement(text) == made


def test_what_is_refused_and_what_is_broken() -> None:
    with pytest.raises(UnsupportedError, match="UPGRADE"):
        parse_statement("REORG TABLE t APPLY (UPGRADE UNIFORM (ICEBERG_COMPAT_VERSION = 2))")
    for text in ("GENERATE x TABLE t", "FSCK TABLE t", "REPAIR TABLE t ADD", "REORG TABLE t"):
        with pytest.raises(ParseError):
            parse_statement(text)

"""GENERATE, REORG, FSCK REPAIR, [MSCK] REPAIR: upkeep of a table beyond OPTIMIZE and VACUUM.

Invariant: clauses stand in Delta's order, each once.
"""

from __future__ import annotations

from headwater.errors import unsupported
from headwater.plan.commands import Command, Optimize
from headwater.plan.upkeep import FsckRepair, GenerateManifest, RepairTable
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement


@statement("GENERATE")
def generate(reader: Reader) -> Command:
    """GENERATE symlink_format_manifest FOR TABLE table."""
    mode = reader.name()
    reader.expect("FOR", "TABLE")
    return GenerateManifest(_table(reader), mode)


@statement("REORG")
def reorg(reader: Reader) -> Command:
    """REORG TABLE table [WHERE condition] APPLY (PURGE)."""
    reader.expect("TABLE")
    table = _table(reader)
    condition = reader.expression() if reader.accept("WHERE") else None
    reader.expect("APPLY", "(")
    if not reader.accept("PURGE"):
        raise unsupported(f"REORG TABLE … APPLY ({reader.peek()})", "APPLY (PURGE) is here.")
    reader.expect(")")
    return Optimize(table, condition, purge=True)


@statement("FSCK")
def fsck(reader: Reader) -> Command:
    """FSCK REPAIR TABLE table [DRY RUN]."""
    reader.expect("REPAIR", "TABLE")
    return FsckRepair(_table(reader), reader.accept("DRY", "RUN"))


@statement("MSCK REPAIR")
def msck(reader: Reader) -> Command:
    """MSCK REPAIR TABLE table …"""
    return _repair(reader)


@statement("REPAIR")
def repair(reader: Reader) -> Command:
    """REPAIR TABLE table [ADD | DROP | SYNC PARTITIONS | SYNC METADATA]."""
    return _repair(reader)


def _repair(reader: Reader) -> RepairTable:
    reader.expect("TABLE")
    table = _table(reader)
    if reader.accept("SYNC", "METADATA"):
        return RepairTable(table, "metadata")
    if reader.accept_any("ADD", "DROP", "SYNC"):
        reader.expect("PARTITIONS")
    return RepairTable(table)


def _table(reader: Reader) -> tuple[str, ...]:
    return ("delta", reader.string()) if reader.at_string() else reader.names()

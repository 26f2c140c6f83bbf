"""Upkeep of tables beyond `OPTIMIZE` and `VACUUM`: manifests, and what a table's log and the catalog still know.

Invariants: as for commands.
"""

from __future__ import annotations

from typing import Literal as OneOf

from headwater.plan.commands import Command
from headwater.plan.node import node


@node
class GenerateManifest(Command):
    """GENERATE mode FOR TABLE table; the only mode is `symlink_format_manifest`."""

    table: tuple[str, ...]
    mode: str


@node
class FsckRepair(Command):
    """FSCK REPAIR TABLE table [DRY RUN]: files that are gone leave the log; result: their paths."""

    table: tuple[str, ...]
    dry_run: bool = False


@node
class RepairTable(Command):
    """[MSCK] REPAIR TABLE table [ADD | DROP | SYNC PARTITIONS | SYNC METADATA]."""

    table: tuple[str, ...]
    what: OneOf["partitions", "metadata"] = "partitions"

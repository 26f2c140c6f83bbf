"""The operations whose pairs meet on one Delta table, as statements that Apache Spark and Headwater both take.

A pair is a winner, which commits first, and a loser, which has read the same version and commits second. Which pairs
are asked depends on nothing but the lists here.

Invariant: `{t}` in a statement is the table; settings that a statement changes are put back by its last ones.
"""

from __future__ import annotations

DEFINITION = "CREATE TABLE {t} (id BIGINT, p STRING, v STRING) USING delta PARTITIONED BY (p)"
ROWS = (
    "INSERT INTO {t} VALUES (1, 'a', 'one')",
    "INSERT INTO {t} VALUES (3, 'b', 'three')",
    "INSERT INTO {t} VALUES (2, 'a', 'two'), (4, 'b', 'four')",
)
"""The table that a pair meets on: two files in each of the partitions `a` and `b`, at version 3."""
VERSION = len(ROWS)

_TXN = ("SET spark.databricks.delta.write.txnAppId = {app}", "SET spark.databricks.delta.write.txnVersion = {version}")
_NO_TXN = ("RESET spark.databricks.delta.write.txnAppId", "RESET spark.databricks.delta.write.txnVersion")
_MODE = "spark.sql.sources.partitionOverwriteMode"
_SOURCE = "(SELECT * FROM VALUES (1L, 'a', 'merged'), (50L, 'a', 'new') AS s(id, p, v)) s"
_BOTH = "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT *"


def _batch(app: str, version: int, row: str) -> tuple[str, ...]:
    settings = [each.format(app=app, version=version) for each in _TXN]
    return (*settings, f"INSERT INTO {{t}} VALUES {row}", *_NO_TXN)


OPERATIONS: dict[str, tuple[str, ...]] = {
    "append a": ("INSERT INTO {t} VALUES (10, 'a', 'appended')",),
    "append from itself": ("INSERT INTO {t} SELECT id + 100, p, v FROM {t} WHERE p = 'a'",),
    "stream q": _batch("q", 1, "(12, 'a', 'batch of q')"),
    "update a": ("UPDATE {t} SET v = 'updated' WHERE p = 'a' AND id = 1",),
    "update b": ("UPDATE {t} SET v = 'updated' WHERE p = 'b' AND id = 3",),
    "update by id": ("UPDATE {t} SET v = 'updated' WHERE id = 2",),
    "delete partition b": ("DELETE FROM {t} WHERE p = 'b'",),
    "merge a": (f"MERGE INTO {{t}} t USING {_SOURCE} ON t.p = 'a' AND t.id = s.id {_BOTH}",),
    "merge": (f"MERGE INTO {{t}} t USING {_SOURCE} ON t.id = s.id {_BOTH}",),
    "merge inserts": (f"MERGE INTO {{t}} t USING {_SOURCE} ON t.id = s.id WHEN NOT MATCHED THEN INSERT *",),
    "overwrite": ("INSERT OVERWRITE {t} VALUES (20, 'a', 'whole')",),
    "overwrite dynamic b": (
        f"SET {_MODE} = dynamic",
        "INSERT OVERWRITE {t} VALUES (21, 'b', 'partition')",
        f"RESET {_MODE}",
    ),
    "replace where b": ("INSERT INTO {t} REPLACE WHERE p = 'b' VALUES (22, 'b', 'replaced')",),
    "replace where id": ("INSERT INTO {t} REPLACE WHERE id = 3 VALUES (3, 'b', 'replaced')",),
    "optimize": ("OPTIMIZE {t}",),
    "optimize b": ("OPTIMIZE {t} WHERE p = 'b'",),
    "vacuum": ("VACUUM {t}",),
    "set property": ("ALTER TABLE {t} SET TBLPROPERTIES ('purpose' = 'test')",),
    "add column": ("ALTER TABLE {t} ADD COLUMNS (extra INT)",),
    "add constraint": ("ALTER TABLE {t} ADD CONSTRAINT positive CHECK (id > 0)",),
    "add feature": ("ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",),
    "restore": ("RESTORE TABLE {t} TO VERSION AS OF 2",),
}
"""Each is one transaction, but for `vacuum`, which commits its start and its end."""

SERIALIZABLE = (
    "append from itself",
    "update a",
    "update b",
    "merge a",
    "merge inserts",
    "overwrite",
    "overwrite dynamic b",
    "replace where b",
    "optimize",
    "set property",
    "add constraint",
)
"""The losers on which it has a bearing that the table is `Serializable`, where others append."""

MEETINGS = {
    "update a": tuple(OPERATIONS),
    "append a": ("append a", "update a", "merge", "overwrite", "optimize", "set property", "add constraint", "restore"),
    "delete partition b": ("append a", "update b", "delete partition b", "merge", "optimize"),
    "optimize b": ("append a", "update b", "delete partition b", "merge a", "optimize", "overwrite", "replace where b"),
    "set property": ("append a", "update a", "optimize b", "vacuum", "set property", "restore"),
    "add feature": ("append a", "set property"),
    "stream q": ("stream q",),
    "overwrite": ("append a", "merge a", "overwrite"),
    "restore": ("append a", "update a"),
    "vacuum": ("append a", "restore"),
}
"""The losers of each winner."""

LEVELS = {
    "Serializable": tuple(("append a", loser) for loser in SERIALIZABLE),
    "WriteSerializable": tuple((winner, loser) for winner, losers in MEETINGS.items() for loser in losers),
}
"""The pairs (winner, loser) of each isolation level."""

"""What all sessions of a server share: the database, storage, clock, mounts, and the warehouse with its metastore.

Invariants: a runtime is opened once per server and closed last; sessions hold it, it holds no session.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.catalog import Metastore, Views
from headwater.clock import Clock, SystemClock
from headwater.duck import Database
from headwater.errors import IllegalArgumentError, unsupported
from headwater.functions import kernels
from headwater.io.mounts import Mounts
from headwater.io.paths import is_remote
from headwater.io.routing import RoutedStorage
from headwater.io.storage import Storage
from headwater.settings import SETTINGS

_DURABILITY = ("full", "spark", "none")
_MOUNT_PREFIX = "spark.headwater.mounts."


@dataclass(frozen=True)
class Runtime:
    """The shared parts.

    Attributes:
        database: the one DuckDB.
        storage: where checkpoints, sinks and saved files go.
        mounts: how URIs become folders.
        warehouse: absolute path of the folder of managed tables.
        static_settings: the server's settings, under every session's own.
        metastore: durable databases and tables of the warehouse.
        global_views: global temporary views.
        streams: what the streaming room keeps across sessions, by its own key.
        services: what an upper room does for a lower one, by name (`foreach_batch`: calls users' functions).
    """

    database: Database
    storage: Storage
    clock: Clock
    mounts: Mounts
    warehouse: str
    static_settings: Mapping[str, str] = field(default_factory=dict)
    metastore: Metastore = field(init=False)
    global_views: Views = field(default_factory=Views, init=False)
    streams: dict[str, Any] = field(default_factory=dict, init=False)
    services: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        kernels.install(self.database.connect())
        object.__setattr__(self, "metastore", Metastore(self.warehouse))

    @classmethod
    def local(
        cls,
        settings: Mapping[str, str] | None = None,
        *,
        warehouse: str | None = None,
        mounts: Mounts | None = None,
        database: Database | None = None,
        clock: Clock | None = None,
    ) -> Runtime:
        """A runtime on this machine's disk.

        Args:
            settings: the server's settings; `spark.sql.warehouse.dir` and `headwater.durability` are read here.
            warehouse: folder of managed tables, instead of the setting's.
            mounts: default: those of the settings `spark.headwater.mounts.<prefix>`.
            database: default: a fresh in-memory DuckDB.
            clock: default: the machine's.
        """
        settings = dict(settings or {})
        rows = {key[len(_MOUNT_PREFIX) :]: at for key, at in settings.items() if key.startswith(_MOUNT_PREFIX)}
        mounts = mounts or Mounts(rows)
        if warehouse is not None:
            settings["spark.sql.warehouse.dir"] = warehouse
        folder = mounts.local(_setting(settings, "spark.sql.warehouse.dir"))
        if is_remote(folder):
            raise unsupported(
                f"a warehouse in S3 (`{folder}`): its catalog is a local database",
                "Keep the warehouse in a folder and give databases and tables a LOCATION 's3://…'.",
            )
        folder = os.path.abspath(folder)
        durability = _setting(settings, "headwater.durability")
        if durability not in _DURABILITY:
            raise IllegalArgumentError(
                "INVALID_CONF_VALUE.TYPE_MISMATCH",
                confName="headwater.durability",
                confValue=durability,
                confType=" or ".join(_DURABILITY),
            )
        storage = RoutedStorage(durability)  # type: ignore[arg-type]
        return cls(database or Database(), storage, clock or SystemClock(), mounts, folder, settings)

    def close(self) -> None:
        """Close the database. Close the sessions first."""
        self.database.close()


def _setting(settings: Mapping[str, str], key: str) -> str:
    return settings.get(key) or SETTINGS[key].default or ""

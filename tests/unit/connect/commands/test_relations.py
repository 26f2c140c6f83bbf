"""Relations that the server keeps."""

from __future__ import annotations

import gc

from pyspark.sql import functions as F

from headwater.connect.server import Server
from support.server import connected


def test_a_checkpoint_holds_the_rows_of_its_moment(server: Server) -> None:
    with connected(server) as spark:
        kept = spark.range(3).select(F.rand().alias("r")).localCheckpoint()
        assert kept.collect() == kept.collect()


def test_it_is_let_go_with_the_dataframe(server: Server) -> None:
    with connected(server) as spark:
        kept = spark.range(3).localCheckpoint()
        (holder,) = server.sessions
        assert len(holder.session._kept) == 1
        del kept
        gc.collect()
        for _ in range(200):
            if not holder.session._kept:
                break
            spark.conf.get("spark.app.name")
        assert not holder.session._kept


def test_there_are_no_resources_to_list(server: Server) -> None:
    with connected(server) as spark:
        assert spark.client._resources() == {}

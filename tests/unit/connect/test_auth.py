"""The token is asked for on every call, at once."""

from __future__ import annotations

import time

import pytest
from pyspark.errors.exceptions.connect import SparkConnectGrpcException
from pyspark.sql.connect.session import SparkSession

from headwater.connect.server import Server


@pytest.mark.parametrize("end", ["/", "/;token=wrong"])
def test_without_the_right_token_a_call_fails_fast(server: Server, end: str) -> None:
    spark = SparkSession(f"sc://localhost:{server.port}{end}")
    started = time.monotonic()
    with pytest.raises(SparkConnectGrpcException, match="token"):
        _ = spark.version
    assert time.monotonic() - started < 2
    spark.release_session_on_close = False
    spark.stop()


def test_streams_of_answers_are_refused_too(server: Server) -> None:
    spark = SparkSession(f"sc://localhost:{server.port}/;token=wrong")
    with pytest.raises(SparkConnectGrpcException, match="token"):
        spark.range(3).collect()
    spark.release_session_on_close = False
    spark.stop()


def test_a_server_does_not_listen_beyond_this_machine() -> None:
    with pytest.raises(ValueError, match="loopback"):
        Server(host="0.0.0.0")

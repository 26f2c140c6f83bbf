"""Sessions on the server: one per client, cloned, released, told apart from an earlier incarnation."""

from __future__ import annotations

import uuid

import pytest
from pyspark.errors.exceptions.connect import SparkConnectException

from headwater.connect.server import Server
from support.server import connected


def test_sessions_do_not_see_each_others_settings(server: Server) -> None:
    with connected(server) as one, connected(server) as other:
        one.conf.set("my.key", "one")
        assert other.conf.get("my.key", "none") == "none"


def test_a_clone_starts_equal_and_goes_its_own_way(server: Server) -> None:
    with connected(server) as spark:
        spark.conf.set("my.key", "one")
        clone = spark.cloneSession()
        assert clone.conf.get("my.key") == "one"
        clone.conf.set("my.key", "two")
        assert spark.conf.get("my.key") == "one"
        clone.client.close()


def test_a_clone_needs_a_new_and_well_formed_id(server: Server) -> None:
    with connected(server) as spark:
        assert spark.version
        clone = spark.cloneSession(new_session_id=str(uuid.uuid4()))
        for taken in (clone.session_id, "no-uuid"):
            with pytest.raises(Exception, match="INVALID_CLONE_SESSION_REQUEST"):
                spark.cloneSession(new_session_id=taken)
        clone.client.close()


def test_a_released_session_does_not_come_back(server: Server) -> None:
    session_id = str(uuid.uuid4())
    with connected(server, f";session_id={session_id}") as spark:
        assert spark.version
    with (
        connected(server, f";session_id={session_id}") as again,
        pytest.raises(SparkConnectException) as caught,
    ):
        _ = again.version
    assert caught.value.getCondition() == "INVALID_HANDLE.SESSION_CLOSED"


def test_a_client_of_an_earlier_incarnation_is_told(server: Server) -> None:
    with connected(server) as spark:
        assert spark.version
        spark.client._server_session_id = str(uuid.uuid4())
        with pytest.raises(SparkConnectException) as caught:
            spark.conf.get("spark.app.name")
        assert caught.value.getCondition() == "INVALID_HANDLE.SESSION_CHANGED"


def test_idle_sessions_are_released(server: Server) -> None:
    with connected(server) as spark:
        assert spark.version
        server.sessions.release_idle(0)
        assert spark.session_id not in {holder.session_id for holder in server.sessions}

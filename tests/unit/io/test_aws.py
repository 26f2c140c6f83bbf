"""How AWS is reached, and what is said where it cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.errors import SparkError
from headwater.io import s3
from headwater.io.aws import access
from headwater.io.s3 import S3Storage
from support.s3_server import SECRET, Emulator, emulated


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("box") as one:
        yield one


def test_without_credentials_the_error_says_what_to_do(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SparkError, match="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE") as caught:
        S3Storage().exists("s3://box/a")
    assert caught.value.condition == "AWS_NOT_CONFIGURED"
    assert "--mount s3://bucket=./folder" in str(caught.value)


def test_without_a_region_the_error_says_what_to_do(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    assert S3Storage().list("s3://box/none") == []  # an endpoint of one's own needs none
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(SparkError, match=r"no region is set\. Set AWS_REGION"):
        S3Storage().exists("s3://box/a")


def test_a_profile_gives_credentials(server: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"[me]\naws_access_key_id = testing\naws_secret_access_key = {SECRET}\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_PROFILE", "me")
    storage = S3Storage()
    storage.replace("s3://box/profile", b"1")
    assert storage.read("s3://box/profile") == b"1"
    options = s3.delta_options("s3://box/profile")
    assert options is not None
    assert options["aws_secret_access_key"] == SECRET
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SparkError, match="nobody"):
        storage.read("s3://box/profile")


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    s3._obstore.cache_clear()
    try:
        with pytest.raises(SparkError, match=r'obstore is not installed. Run: pip install "headwater\[aws\]"'):
            S3Storage().read("s3://box/a")
    finally:
        s3._obstore.cache_clear()


def test_a_service_may_have_an_endpoint_of_its_own(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://localhost:1")
    assert access("glue").endpoint == "http://localhost:1"
    assert access("s3").endpoint == server.url
    assert SECRET not in repr(access("s3"))

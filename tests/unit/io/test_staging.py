"""Files for S3 are written in a local folder and uploaded; files for a local folder are written there at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.io.s3 import S3Error, S3Storage, s3_storage
from headwater.io.staging import staged
from support.s3_server import Emulator, emulated


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("box") as one:
        yield one


def write(folder: str, *names: str) -> None:
    for name in names:
        path = Path(folder, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)


def test_a_local_target_is_its_own_stage(tmp_path: Path) -> None:
    target = str(tmp_path / "a" / "b")
    with staged(target) as stage:
        assert stage.folder == target
        write(stage.folder, "x")
        stage.publish(["x"])
    assert os.listdir(target) == ["x"]


def test_what_is_published_lies_in_s3_and_nothing_is_left_here(server: Emulator) -> None:
    with staged("s3://box/in") as stage:
        write(stage.folder, "x", "d=1/y", "z")
        stage.publish(["x", "d=1/y"])
    assert server.keys("box", "in/") == ["in/d=1/y", "in/x"]
    assert not os.path.exists(stage.folder)


def test_a_failed_upload_takes_the_others_back(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = S3Storage.upload

    def failing(storage: S3Storage, source: str, path: str) -> None:
        if path.endswith("bad"):
            raise S3Error("S3_REQUEST_FAILED", path=path, reason="test")
        upload(storage, source, path)

    monkeypatch.setattr(S3Storage, "upload", failing)
    with staged("s3://box/failed") as stage:
        write(stage.folder, "x", "bad")
        with pytest.raises(S3Error):
            stage.publish(["x", "bad"])
    assert s3_storage().list("s3://box/failed") == []
    assert not os.path.exists(stage.folder)

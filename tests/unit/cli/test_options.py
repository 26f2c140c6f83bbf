"""Mount options and where the configuration is found."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from headwater.cli.options import find_config, parse_mounts


def test_a_mount_is_prefix_and_folder() -> None:
    assert parse_mounts(("s3://raw=./raw", "/mnt=/data/m")) == {"s3://raw": "./raw", "/mnt": "/data/m"}


@pytest.mark.parametrize("text", ["s3://raw", "=./raw", "/mnt="])
def test_half_a_mount_is_refused_by_name(text: str) -> None:
    with pytest.raises(click.BadParameter, match="PREFIX=DIR"):
        parse_mounts((text,))


def test_the_current_folder_comes_before_the_script_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (there / "headwater.toml").touch()
    monkeypatch.chdir(here)

    assert find_config() is None
    assert find_config(there / "job.py") == there / "headwater.toml"
    (here / "headwater.toml").touch()
    assert find_config(there / "job.py") == here / "headwater.toml"

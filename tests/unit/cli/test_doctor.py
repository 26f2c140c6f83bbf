"""The doctor names what is in the way and what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from headwater.cli import doctor


def test_versions_are_reported() -> None:
    values = {finding.name: finding.value for finding in doctor.findings()}

    assert values["duckdb"][0].isdigit()
    assert values["pyspark-client"][0].isdigit()


def test_a_taken_port_is_named_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        finding = doctor._port(taken.getsockname()[1])

    assert finding.value == "in use"
    assert "--port" in finding.advice


def test_a_readable_token_file_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".headwater").mkdir()
    token = tmp_path / ".headwater" / "token"
    token.touch()
    os.chmod(token, 0o644)
    monkeypatch.chdir(tmp_path)

    report = CliRunner().invoke(doctor.command)

    assert report.exit_code == 1
    assert "chmod 600" in report.output

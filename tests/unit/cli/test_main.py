"""The command finds its subcommands by file and loads nothing heavy for help."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from headwater.cli.main import main


def test_every_command_is_listed_and_has_help() -> None:
    listed = CliRunner().invoke(main, ["--help"]).output

    for name in ("demo", "doctor", "run", "serve", "sql"):
        assert name in listed
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_help_loads_neither_duckdb_nor_pyspark() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from headwater.cli.main import main;"
        "CliRunner().invoke(main, ['--help']); print(sorted({'duckdb', 'pyspark', 'grpc'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["nope"]).exit_code == 2

"""`headwater doctor`: what is installed, what is in the way, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

PACKAGES = ("headwater", "pyspark-client", "duckdb", "deltalake", "sqlglot", "pyarrow", "grpcio", "protobuf", "pandas")
MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` is empty when all is well."""

    name: str
    value: str
    advice: str = ""


def findings() -> Iterator[Finding]:
    """All that the doctor looks at, cheapest first."""
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _packages()
    yield _full_pyspark()
    yield _port(15002)
    yield _disk(Path.cwd())
    yield _token(Path(".headwater/token"))
    yield _clock()


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "missing", f"pip install {name}")
            continue
        too_new = name == "pandas" and int(version.split(".")[0]) >= 3
        yield Finding(name, version, "PySpark does not support pandas 3 yet: pip install 'pandas<3'" if too_new else "")


def _full_pyspark() -> Finding:
    try:
        version = importlib.metadata.version("pyspark")
    except importlib.metadata.PackageNotFoundError:
        return Finding("full pyspark", "not installed")
    return Finding(
        "full pyspark", version, "It shadows pyspark-client: keep Apache Spark in an environment of its own."
    )


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    advice = "Another server listens there; start ours with `headwater serve --port N`." if taken else ""
    return Finding(f"port {port}", "in use" if taken else "free", advice)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    advice = "Less than 1 GiB free: streams will fail when they cannot write." if free < MIN_FREE_BYTES else ""
    return Finding("free disk", f"{free / (1 << 30):.1f} GiB at {folder}", advice)


def _token(path: Path) -> Finding:
    if not path.exists():
        return Finding("token file", "none (made by `headwater serve`)")
    mode = path.stat().st_mode & 0o777
    advice = f"Others can read it: chmod 600 {path}" if mode & 0o077 else ""
    return Finding("token file", f"{path} (mode {mode:o})", advice)


def _clock() -> Finding:
    year = time.gmtime().tm_year
    return Finding("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"), "The clock is wrong." if year < 2025 else "")


@click.command()
def command() -> None:
    """Check this machine: versions, port, disk, token file, clock. Exit code 1 if something needs attention."""
    bad = 0
    for finding in findings():
        mark = "!" if finding.advice else " "
        bad += bool(finding.advice)
        click.echo(f"{mark} {finding.name:<16} {finding.value}")
        if finding.advice:
            click.echo(f"{'':>19}→ {finding.advice}")
    sys.exit(1 if bad else 0)

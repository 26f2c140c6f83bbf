"""`headwater.session()`: in a fresh process, as a user meets it."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import headwater
first = headwater.session(**{"spark.sql.session.timeZone": "Asia/Tokyo"})
assert first.range(3).count() == 3
assert headwater.session() is first
assert first.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
first.stop()
second = headwater.session()
assert second is not first
stream = second.readStream.format("rate").load().writeStream.format("noop").start()
assert isinstance(headwater.Server, type)
print("done")
"""


def test_sessions_come_from_one_server_and_a_program_ends_cleanly(tmp_path: object) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=str(tmp_path), capture_output=True, text=True, timeout=100, check=False
    )
    assert run.stdout.strip() == "done", run.stderr
    assert run.returncode == 0
    assert run.stderr == ""


def test_importing_the_package_is_light() -> None:
    code = "import sys, headwater; print([m for m in ('grpc', 'duckdb', 'pandas', 'pyspark') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"

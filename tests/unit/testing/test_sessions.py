"""Sessions for tests: they open in any kind of program."""

from __future__ import annotations

import subprocess
import sys


def test_a_session_opens_in_a_process_without_a_main_file() -> None:
    code = "from headwater.testing import session\nwith session() as spark:\n    print(spark.range(3).count())"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert run.stdout.startswith("3\n"), run.stderr

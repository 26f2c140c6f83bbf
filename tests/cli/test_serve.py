"""`headwater serve`: a server other processes can use, guarded by a token."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from support.command import start_headwater


def test_another_process_connects_with_the_printed_url(tmp_path: Path) -> None:
    server = start_headwater("serve", "--port", "0", "--token-file", "token", cwd=tmp_path)
    try:
        assert server.stdout is not None
        url = next(found[0] for line in server.stdout if (found := re.search(r"sc://localhost:\d+/;token=\w+", line)))
        client = tmp_path / "client.py"
        client.write_text(
            "import sys\nfrom pyspark.sql import SparkSession\n"
            "print(SparkSession.builder.remote(sys.argv[1]).getOrCreate().range(4).count())\n"
        )

        def ask(address: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, str(client), address], capture_output=True, text=True, timeout=60, check=False
            )

        assert ask(url).stdout == "4\n"
        refused = ask(url[:-4] + "0000")
        assert refused.returncode != 0
        assert "UNAUTHENTICATED" in refused.stderr
        assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    assert server.returncode == 0

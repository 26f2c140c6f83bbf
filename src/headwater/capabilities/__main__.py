"""`python -m headwater.capabilities` prints the compatibility page; `--update` brings `ledger.json` up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from headwater.capabilities.ledger import gaps, updated
from headwater.capabilities.page import page


def main(arguments: list[str]) -> None:
    """Print the page, or rewrite the ledger beside this file."""
    if arguments == ["--update"]:
        Path(__file__).with_name("ledger.json").write_text(updated(gaps()), "utf-8")
        return
    sys.stdout.write(page(gaps()))


if __name__ == "__main__":
    main(sys.argv[1:])

"""What commands do, one file per family; each registers by decorator."""

from headwater.sessions.commands.base import command, run_command

__all__ = ["command", "run_command"]

"""The headwater command, one file per command."""

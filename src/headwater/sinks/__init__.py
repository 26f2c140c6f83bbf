"""Sinks of streams, one file each, found by format name."""

"""Execution of plan commands, one file per family."""

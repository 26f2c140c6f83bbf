"""Stateful operators, one file each."""

"""Rewrites of compiled trees, one rule per file."""

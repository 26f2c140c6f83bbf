"""Benchmarks: each budget of the project beside a hand-written floor that does the same work with no engine."""

"""What all sessions of one server share: the database, storage, clock, mounts, and the streams that run.

Invariant: everything that touches the world (time, files, DuckDB) is reached through a `Runtime`.
"""

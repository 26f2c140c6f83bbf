"""The capability ledger: what of Spark and Databricks Headwater has, and for the rest its state and the reason.

What is supported is derived from the registries (decoders, functions, statements, sources, sinks), never written
down. `ledger.json` holds a row for each thing that is not: `todo` (planned), `upstream` (waits for a library below
us) or `never`, each with a reason. `python -m headwater.capabilities` prints the compatibility page; `--update` drops
rows of what has been built since and adds a `todo` row for each new gap.

Invariants: each thing is supported or listed, never both and never neither (a test holds it); the package itself
imports nothing, as PySpark's Connect modules refuse to load before `__main__` is there.
"""

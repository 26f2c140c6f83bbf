"""The plan: immutable nodes in Spark's own terms, built by `connect.decode` and `sql`, read by `compile`."""

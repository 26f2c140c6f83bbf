"""Plan nodes to one DuckDB statement."""

"""Headwater: the Databricks streaming stack as one pip install, served to the genuine PySpark client."""

__version__ = "0.1.0"

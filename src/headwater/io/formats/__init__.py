"""Data formats, one file each, found by name: how DuckDB reads and writes them with Spark's options."""

from headwater.io.formats.base import Format, FormatOptions, formats

__all__ = ["Format", "FormatOptions", "formats"]

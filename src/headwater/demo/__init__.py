"""The demonstration: an event feed, a bronze → silver → gold medallion in plain PySpark, and a live view of it."""

"""Delta tables: the only room that imports deltalake."""

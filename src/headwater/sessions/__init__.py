"""The server side of a Spark session: settings, catalog, execution of plans and commands."""

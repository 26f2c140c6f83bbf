"""`headwater sql "…"`: run one or more SQL statements and print what they return."""

from __future__ import annotations

import json
from pathlib import Path

import click

from headwater.cli.options import Where, find_config, where_options
from headwater.cli.process import embedded_server, exit_code_of


@click.command()
@click.argument("statement")
@click.option("--rows", default=100, show_default=True, help="Print at most this many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row instead of a table.")
@where_options
def command(
    statement: str, rows: int, as_json: bool, mounts: tuple[str, ...], config: Path | None, warehouse: Path
) -> None:
    """Run the SQL STATEMENT and print its result.

    \b
    Example:
        headwater sql "SELECT count(*) FROM delta.`/delta/stream_output`"
    """
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    with embedded_server(Where(mounts, config or find_config(), warehouse)):
        spark = SparkSession.builder.getOrCreate()
        try:
            result = spark.sql(statement)
            if as_json:
                for row in result.limit(rows).toLocalIterator():
                    click.echo(json.dumps(row.asDict(recursive=True), default=str))
            elif result.columns:
                result.show(rows, truncate=False)
        except PySparkException as error:
            click.echo(str(error), err=True)
            raise SystemExit(exit_code_of(error)) from error

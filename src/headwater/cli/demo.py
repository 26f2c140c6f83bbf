"""`headwater demo`: a continuous bronze → silver → gold medallion on Delta, watched live.

Without `--input` a built-in feed drops a file of e-commerce events every second; with it, the user's own JSON or
CSV files are the input.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from headwater.cli.options import Where
from headwater.cli.process import FAILED, embedded_server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headwater.demo.medallion import Layout, Medallion

LOOK_EVERY_SECONDS = 0.25


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="How long to run.")
@click.option(
    "--input",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Your own JSON or CSV files instead of the built-in feed.",
)
@click.option("--dir", "base", type=click.Path(path_type=Path), help="Where to keep the tables; default: a new folder.")
def command(seconds: float, folder: Path | None, base: Path | None) -> None:
    """Watch a bronze → silver → gold medallion run on live data.

    \b
    Example:
        headwater demo
        headwater demo --seconds 60 --input ./my-json-files
    """
    from pyspark.errors import PySparkException

    from headwater.demo.medallion import Layout

    base = (base or Path(tempfile.mkdtemp(prefix="headwater-demo-"))).absolute()
    layout = Layout(base, folder.absolute() if folder else base / "landing", file_format(folder))
    with embedded_server(Where((), None, base / "warehouse")):
        try:
            play(layout, seconds, own=folder is not None)
        except PySparkException as error:
            click.echo(f"\nThe demonstration stopped: {error}", err=True)
            raise SystemExit(FAILED) from error


def file_format(folder: Path | None) -> str:
    """csv if the user's folder holds CSV files, json otherwise. Raises a usage error if it holds neither."""
    if folder is None:
        return "json"
    for name in ("json", "csv"):
        if any(folder.rglob(f"*.{name}*")):
            return name
    msg = f"{folder} holds no .json or .csv files; put at least one there, or leave --input out"
    raise click.BadParameter(msg, param_hint="--input")


def play(layout: Layout, seconds: float, *, own: bool) -> None:
    """Run the medallion for `seconds` (or until Ctrl-C), then print what it made."""
    from pyspark.sql import SparkSession

    from headwater.demo.supervisor import Supervisor
    from headwater.demo.view import View

    spark = SparkSession.builder.getOrCreate()
    stop_feed = start_feed(layout) if not own else lambda: None
    supervisor = Supervisor(spark, layout, choose_pipeline(spark, layout, own=own))
    end = time.monotonic() + seconds
    with View(supervisor, seconds).open() as view:
        with first_interrupt() as interrupted:
            while time.monotonic() < end and not interrupted():
                supervisor.look()
                view.draw()
                time.sleep(LOOK_EVERY_SECONDS)
            if interrupted():
                view.console.print("Stopping …")
        stop_feed()
        supervisor.drain()
        view.draw()
    supervisor.stop()
    report(spark, layout)


@contextmanager
def first_interrupt() -> Iterator[Callable[[], bool]]:
    """Within, whether Ctrl-C was pressed; pressed again it ends the program.

    Raised wherever the program is, as Python does, it may end a gRPC call with its locks held, and the next one waits
    for ever.
    """
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (signal's signature)
        seen.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


def start_feed(layout: Layout) -> Callable[[], None]:
    """Start the built-in feed; the first file is there on return. The result ends it: no file comes after that."""
    from headwater.demo.feed import Feed

    feed, stop = Feed(layout.landing), threading.Event()
    feed.drop()
    thread = threading.Thread(target=feed.run, args=(stop,), daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join()

    return end


def choose_pipeline(spark: SparkSession, layout: Layout, *, own: bool) -> Medallion:
    """The shop's pipeline, or for the user's files a count per value of their least varied text column."""
    from pyspark.sql import functions as F

    from headwater.demo.medallion import Own, Shop

    if not own:
        return Shop()
    reader = spark.read.format(layout.format).option("header", "true")
    sample = reader.load(str(layout.landing)).limit(10_000)
    names = [field.name for field in sample.schema.fields if field.dataType.simpleString() == "string"]
    names = names or sample.columns
    distinct = sample.agg(*[F.count_distinct(F.col(f"`{name}`")).alias(name) for name in names]).collect()[0]
    return Own(min(names, key=lambda name: (distinct[name] < 2, distinct[name])))


def report(spark: SparkSession, layout: Layout) -> None:
    """Print the gold table and where everything lies."""
    query = f"SELECT * FROM delta.`{layout.table('gold')}` ORDER BY 2 DESC LIMIT 20"
    click.echo(f"\n{query}")
    spark.sql(query).show(truncate=False)
    click.echo("The tables, readable by anything that reads Delta:")
    for name in ("bronze", "silver", "gold"):
        count = spark.sql(f"SELECT count(*) AS n FROM delta.`{layout.table(name)}`").collect()[0].n
        click.echo(f"  {name:<7} {count:>10,} rows   {layout.table(name)}")
    click.echo(f'\nAsk them yourself:\n  headwater sql "SELECT * FROM delta.`{layout.table("gold")}`"')

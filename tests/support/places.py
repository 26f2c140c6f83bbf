"""A place to do something with Delta tables, on a disk or in a bucket: what comes out can be compared.

    with both_places() as tells:
        disk, s3 = tells(case, folder)

Invariant: `plain` leaves nothing in a value that says which place it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import Row

from support.lake import by_deltalake
from support.s3_server import Emulator, emulated
from support.server import connected, running_server

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass
class Place:
    """A session, and a folder or a bucket to work in.

    Attributes:
        uri: of the place. name: of its table in the catalog.
    """

    spark: SparkSession
    uri: str
    name: str
    server: Emulator

    def path(self, name: str) -> str:
        """Where something of this name lies."""
        return f"{self.uri}/{name}"

    def sql(self, text: str) -> list[Any]:
        """The rows of a statement in which `{t}` is the place's table and `{at}` its folder, sorted."""
        return self.frame(self.spark.sql(text.format(t=self.name, at=self.uri)))

    def refused(self, text: str) -> str:
        """The error class that a statement fails with."""
        try:
            self.sql(text)
        except Exception as error:
            return str(error).partition("]")[0]
        raise AssertionError(f"{text} was carried out")

    def frame(self, frame: DataFrame) -> list[Any]:
        """The rows of a frame, sorted."""
        return sorted((self.plain(row) for row in frame.collect()), key=repr)

    def table(self, name: str = "t") -> list[Any]:
        """The rows of the table in a folder of this place, which Headwater and delta-rs must agree on."""
        found = self.frame(self.spark.read.format("delta").load(self.path(name)))
        other = [tuple(map(_without_names, row)) for row in by_deltalake(self.path(name))]
        assert sorted(found, key=repr) == sorted(other, key=repr), "another reader sees something else"
        return found

    def history(self, name: str = "t") -> list[Any]:
        """Version, operation, parameters and counts of each commit."""
        rows = self.spark.sql(f"DESCRIBE HISTORY delta.`{self.path(name)}`").collect()
        return [
            (
                row.version,
                row.operation,
                self.plain(row.operationParameters),
                {key: value for key, value in sorted(row.operationMetrics.items()) if not _measured(key)},
            )
            for row in rows
        ]

    def detail(self, name: str = "t") -> list[Any]:
        """What DESCRIBE DETAIL says, without times, sizes and ids."""
        (row,) = self.spark.sql(f"DESCRIBE DETAIL delta.`{self.path(name)}`").collect()
        unlike = ("id", "createdAt", "lastModified", "sizeInBytes")
        return [(key, self.plain(value)) for key, value in row.asDict().items() if key not in unlike]

    def plain(self, value: Any) -> Any:
        """A value without the place's own names."""
        if isinstance(value, Row):
            return tuple(self.plain(one) for one in value)
        if isinstance(value, list | tuple):
            return [self.plain(one) for one in value]
        if isinstance(value, dict):
            return {key: self.plain(one) for key, one in sorted(value.items())}
        if isinstance(value, str):
            return value.replace(f"file:{self.uri}", "<place>").replace(self.uri, "<place>").replace(self.name, "<t>")
        return value

    def files(self, name: str) -> list[str]:
        """Paths of files below a folder of this place."""
        if self.uri.startswith("s3://"):
            bucket, key = self._object(name)
            return [one.removeprefix(key + "/") for one in self.server.keys(bucket, key + "/")]
        root = Path(self.path(name))
        return sorted(str(one.relative_to(root)) for one in root.rglob("*") if one.is_file())

    def data(self, name: str = "t") -> list[str]:
        """Paths of the data files in a table's folder, whatever names them."""
        return [one for one in self.files(name) if one.endswith(".parquet") and not one.startswith("_")]

    def text(self, path: str) -> str:
        """What a file holds."""
        if self.uri.startswith("s3://"):
            bucket, key = self._object(path)
            return self.server.read(bucket, key).decode()
        return Path(self.path(path)).read_text()

    def remove(self, path: str) -> None:
        """Delete a file behind everybody's back."""
        if self.uri.startswith("s3://"):
            bucket, key = self._object(path)
            self.server.client("s3").delete_object(Bucket=bucket, Key=key)
        else:
            Path(self.path(path)).unlink()

    def put(self, folder: Path, name: str) -> None:
        """Copy the files of a folder into one of this place."""
        for file in sorted(one for one in folder.rglob("*") if one.is_file()):
            target = f"{name}/{file.relative_to(folder)}"
            if self.uri.startswith("s3://"):
                bucket, key = self._object(target)
                self.server.client("s3").put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
            else:
                Path(self.path(target)).parent.mkdir(parents=True, exist_ok=True)
                Path(self.path(target)).write_bytes(file.read_bytes())

    def run(self, frame: DataFrame, target: str, **options: object) -> str:
        """A stream to its end, into a table of this place; the error it ended with, or nothing."""
        writer = frame.writeStream.format("delta").trigger(availableNow=True).outputMode("append")
        writer = writer.option("checkpointLocation", self.path(f"checkpoints/{target}")).options(**options)
        try:
            writer.start(self.path(target)).awaitTermination()
        except Exception as error:
            return str(error).partition("]")[0]
        return ""

    def _object(self, path: str) -> tuple[str, str]:
        bucket, _, key = self.path(path).removeprefix("s3://").partition("/")
        return bucket, key


Case = Callable[[Place], list[Any]]
"""What is done in a place, and what came out of it."""
Tells = Callable[[Case, Path], tuple[list[Any], list[Any]]]
"""What came out of a case in a folder, and what in a bucket."""


@contextmanager
def both_places() -> Iterator[Tells]:
    """A server and an emulator of S3 that cases run on, each in a session of its own."""
    with emulated("lake") as emulator, running_server() as server:

        def tells(case: Case, folder: Path) -> tuple[list[Any], list[Any]]:
            name, found = case.__name__, []
            for kind, uri in (("disk", str(folder)), ("s3", f"s3://lake/{name}")):
                with connected(server) as spark:
                    found.append(case(Place(spark, uri, f"{name}_{kind}", emulator)))
            return found[0], found[1]

        yield tells


def _measured(metric: str) -> bool:
    return any(word in metric for word in ("Time", "Ms", "Bytes", "Size", "sizeOf"))


def _without_names(value: Any) -> Any:
    return tuple(map(_without_names, value.values())) if isinstance(value, dict) else value

"""Auto Loader by notifications under SIGKILL: each file arrives once, and the queue is empty in the end.

Messages come again a second after a killed child has received them.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support.kill import KILLED, Feed, Job, Nursery
from support.s3_server import Emulator, emulated

POINTS = (
    "cloud_files.received:1", "cloud_files.received:2", "step2:1", "storage.created:1", "storage.created:2", "step3:1",
    "step6:1", "step7:1", "cloud_files.settling:1", "cloud_files.settled:1", "step8:1",
)  # fmt: skip
SEED = 20_261_201


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("box") as one:
        yield one


@pytest.fixture(scope="module")
def nursery(server: Emulator) -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


@dataclass
class Objects(Feed):
    """A feed of objects below `s3://box/<key>/`."""

    server: Any = None
    key: str = ""

    def _file(self, rows: list[tuple[int, str]]) -> None:
        body = "".join(json.dumps({"id": i, "k": k}) + "\n" for i, k in rows).encode()
        self.server.client("s3").put_object(Bucket="box", Key=f"{self.key}/{self.chunks:05}.json", Body=body)


def queue(server: Emulator, name: str) -> str:
    """A queue whose messages come again after a second, and that gets the events of `s3://box/<name>/`."""
    sqs, s3 = server.client("sqs"), server.client("s3")
    url: str = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    known = s3.get_bucket_notification_configuration(Bucket="box").get("QueueConfigurations", [])
    rules = {"Key": {"FilterRules": [{"Name": "prefix", "Value": f"{name}/"}]}}
    new = {"Id": name, "QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": rules}
    s3.put_bucket_notification_configuration(
        Bucket="box", NotificationConfiguration={"QueueConfigurations": [*known, new]}
    )
    return url


def job(folder: Path, name: str, *options: tuple[str, str]) -> Job:
    chosen = (("cloudFiles.useNotifications", "true"), *options)
    return Job(str(folder), "cloudFiles", options=chosen, reads=f"s3://box/{name}")


def left(server: Emulator, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = server.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in found.values())


def finish(nursery: Nursery, one: Job) -> None:
    (outcome,) = nursery.run(one)
    assert outcome.status == 0, outcome.error


def test_killed_after_each_step_nothing_is_lost_or_doubled(nursery: Nursery, server: Emulator, tmp_path: Path) -> None:
    url = queue(server, "steps")
    feed = Objects(tmp_path, "cloudFiles", server=server, key="steps")
    one = job(tmp_path, "steps", ("cloudFiles.queueUrl", url))
    feed.add()
    finish(nursery, one)  # what lies there is listed and done with: from here on only messages tell of files
    assert left(server, url) == 0
    kills = 0
    for point in POINTS:
        feed.add()
        feed.add()
        (outcome,) = nursery.run(replace(one, crash=point))
        assert outcome.status in (0, KILLED), (point, outcome.error)
        kills += outcome.status == KILLED
    assert kills >= len(POINTS) - 1
    feed.add()
    finish(nursery, one)
    feed.check()
    assert left(server, url) == 0


def test_killed_at_random_moments_while_messages_come_again(nursery: Nursery, server: Emulator, tmp_path: Path) -> None:
    url, chance, kills = queue(server, "random"), random.Random(SEED), 0
    feed = Objects(tmp_path, "cloudFiles", server=server, key="random")
    one = job(tmp_path, "random", ("cloudFiles.queueUrl", url))
    feed.add()
    finish(nursery, one)
    sqs = server.client("sqs")
    for _ in range(8):
        for _ in range(3):
            feed.add()
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3, VisibilityTimeout=0).get(
            "Messages", ()
        ):
            sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
        (outcome,) = nursery.run(replace(one, kill_after_ms=chance.randint(200, 1500)))
        assert outcome.status in (0, KILLED), outcome.error
        kills += outcome.status == KILLED
    assert kills >= 3
    finish(nursery, one)
    feed.check()
    assert left(server, url) == 0


def test_killed_while_the_queue_is_set_up(nursery: Nursery, server: Emulator, tmp_path: Path) -> None:
    feed = Objects(tmp_path, "cloudFiles", server=server, key="made")
    one = job(tmp_path, "made")
    for point in ("cloud_files.queue_named:1", "cloud_files.queue_made:1", "step2:1"):
        feed.add()
        (outcome,) = nursery.run(replace(one, crash=point))
        assert outcome.status == KILLED, (point, outcome.error)
    feed.add()
    finish(nursery, one)
    feed.check()
    body = json.loads((tmp_path / "checkpoint/sources/0/notifications").read_text().split("\n")[1])
    mine = [url for url in server.client("sqs").list_queues()["QueueUrls"] if body["streamId"] in url]
    assert mine == [body["queueUrl"]]
    assert len([url for url in server.client("sqs").list_queues()["QueueUrls"] if "databricks-auto-ingest" in url]) == 1


def test_a_run_that_another_overtook_deletes_no_message_of_a_file_it_did_not_keep(
    nursery: Nursery, server: Emulator, tmp_path: Path
) -> None:
    url = queue(server, "twice")
    feed = Objects(tmp_path, "cloudFiles", server=server, key="twice")
    one = job(tmp_path, "twice", ("cloudFiles.queueUrl", url))
    for _ in range(3):
        for _ in range(4):
            feed.add()
        outcomes = nursery.run(one, one)
        failed = [outcome.error for outcome in outcomes if outcome.status != 0]
        assert len(failed) <= 1, failed
        assert all("CONCURRENT_STREAM_LOG_UPDATE" in error for error in failed), failed
    time.sleep(1.2)
    finish(nursery, one)
    feed.check()
    assert left(server, url) == 0

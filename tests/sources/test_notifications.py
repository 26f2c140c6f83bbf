"""Auto Loader by notifications: events of S3 through SNS and SQS, each file once, listings only where they are due."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from headwater.errors import IllegalArgumentError, SparkError, UnsupportedError
from headwater.io.aws import Login
from headwater.io.file_queue import FileQueue
from headwater.io.mounts import Mounts
from headwater.sources.base import ReadLimit, RecordsOffsets
from headwater.sources.cloud_files.queue import Queue
from headwater.sources.cloud_files.services import PREFIX, Services
from sources.test_cloud_files import CloudBench
from support.files import SourceBench
from support.s3_server import SECRET, Emulator, emulated

HOUR = 3_600_000


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("box", "other") as one:
        yield one


class Bench(SourceBench):
    """A stream of `s3://box/<folder>` with notifications."""

    def __init__(self, server: Emulator, root: Path, *, reader: dict[str, str] | None = None, **options: str) -> None:
        self.server, self.folder = server, root.name
        given = {"format": "json", "useNotifications": "true", **options}
        named = {f"cloudFiles.{name}": value for name, value in given.items()}
        super().__init__("cloudFiles", root, "id int", f"s3://box/{self.folder}", **named, **(reader or {}))

    def put(self, name: str, *ids: int, bucket: str = "box") -> None:
        body = "".join(f'{{"id":{number}}}\n' for number in ids).encode()
        self.server.client("s3").put_object(Bucket=bucket, Key=f"{self.folder}/{name}", Body=body)

    def ids(self) -> list[int]:
        """What the next batch reads."""
        self.clock.advance(1000)
        return sorted(row[0] for row in self.step() or [])

    def restart(self) -> None:
        assert self.source is not None
        self.source.stop()
        self.source = None
        self.open()

    @property
    def record(self) -> dict[str, Any]:
        text = (self.root / "checkpoint" / "sources" / "0" / "notifications").read_text()
        found: dict[str, Any] = json.loads(text.split("\n")[1])
        return found

    @property
    def waiting(self) -> tuple[int, int]:
        """Messages in the queue, and in somebody's hands."""
        facts = Queue(self.record["queueUrl"], Login()).facts()
        return facts.waiting, facts.in_hands

    def send(self, body: str) -> None:
        self.server.client("sqs").send_message(QueueUrl=self.record["queueUrl"], MessageBody=body)


@pytest.fixture
def bench(server: Emulator, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(root: str = "", **options: Any) -> Bench:
        folder = tmp_path / root if root else tmp_path
        folder.mkdir(exist_ok=True)
        made.append(Bench(server, folder, **options))
        return made[-1]

    yield make
    for one in made:
        if one.source is not None:
            one.source.stop()
        if (one.root / "checkpoint" / "sources" / "0" / "notifications").exists() and one.record["own"]:
            Services(Login()).tear_down(one.record["streamId"])


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for each listing."""
    made: list[str] = []
    real = FileQueue.refresh

    def refresh(self: FileQueue) -> None:
        made.append("listed")
        real(self)

    monkeypatch.setattr(FileQueue, "refresh", refresh)
    return made


def test_after_one_listing_files_are_found_by_events(bench: Callable[..., Bench], listings: list[str]) -> None:
    stream = bench()
    stream.put("a.json", 1)
    stream.open()
    assert stream.ids() == [1]
    for number in range(2, 5):
        stream.put(f"sub/{number}.json", number)
        assert stream.ids() == [number]
    assert stream.ids() == []
    assert listings == ["listed"]
    stream.restart()
    stream.put("later.json", 9)
    assert stream.ids() == [9]
    assert listings == ["listed"]
    assert stream.waiting == (0, 0)
    offset = json.loads(stream.offset or "")
    assert 0 < offset["lastBackfillStartTimeMs"] <= offset["lastBackfillFinishTimeMs"]
    assert stream.source is not None
    assert stream.source.metrics() == {
        "numFilesOutstanding": "0",
        "numBytesOutstanding": "0",
        "approximateQueueSize": "0",
        "numMessagesSkipped": "0",
    }


def test_names_decide_as_in_a_listing(bench: Callable[..., Bench], server: Emulator) -> None:
    stream = bench(reader={"pathGlobFilter": "*.json"})
    stream.path += "/day=*/{x,y}"
    names = ["day=1/x/a b+c é.json", "day=2/y/deep/ö=1/%41.json", "day=1/z/no.json", "day=1/x/_no.json", "x/no.json"]
    stream.put(names[0], 0)
    stream.open()
    assert stream.ids() == [0]
    for number, name in enumerate([*names, "day=1/x/no.csv", "day=1/x/.tmp/no.json", "_day=1/x/no.json"]):
        stream.put(name, number)
    stream.put("day=1/x/other.json", 99, bucket="other")
    server.client("s3").delete_object(Bucket="box", Key=f"{stream.folder}/{names[0]}")
    assert stream.ids() == [1]
    assert stream.waiting == (0, 0)
    listed = bench("again", useNotifications="false", reader={"pathGlobFilter": "*.json"})
    listed.path = stream.path
    assert listed.ids() == [1]


def test_what_comes_again_changes_nothing(bench: Callable[..., Bench], server: Emulator) -> None:
    stream = bench()
    stream.open()
    assert stream.ids() == []
    stream.put("a.json", 1)
    queue = server.client("sqs")
    (message,) = queue.receive_message(QueueUrl=stream.record["queueUrl"], VisibilityTimeout=0)["Messages"]
    for _ in range(3):
        stream.send(message["Body"])
    assert stream.ids() == [1]
    stream.send(message["Body"])
    assert stream.ids() == []
    stream.restart()
    stream.send(message["Body"])
    assert stream.ids() == []
    assert stream.waiting == (0, 0)


def test_a_message_stays_until_its_files_are_durable(bench: Callable[..., Bench]) -> None:
    stream = bench(maxFilesPerTrigger="1")
    source = stream.open()
    assert stream.ids() == []
    for number in range(3):
        stream.put(f"{number}.json", number)
    left = []
    while True:
        stream.clock.advance(1000)
        end = source.latest_offset(stream.offset, ReadLimit())
        if end is None or end == stream.offset:
            break
        assert isinstance(source, RecordsOffsets)
        before = sum(stream.waiting)
        source.record(end)
        assert len(stream.rows(stream.offset, end)) == 1
        source.commit(end)
        left.append((before, sum(stream.waiting)))
        stream.offset = end
    assert left == [(3, 2), (2, 1), (1, 0)]


def test_more_messages_than_are_held_at_once_that_name_nothing_to_read(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headwater.sources.cloud_files.notified._MANY", 20)
    stream = bench(fetchParallelism="4")
    stream.open()
    assert stream.ids() == []
    for number in range(70):
        stream.put(f"_hidden{number}.json", number)
    stream.put("a.json", 1)
    assert stream.ids() == [1]
    assert stream.waiting == (0, 0)


def test_a_message_that_is_no_event_is_told_counted_and_deleted(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    stream = bench()
    source = stream.open()
    with caplog.at_level(logging.WARNING, "headwater.sources"):
        for body in ("no json", "[1]", '{"Records":[{"eventName":"ObjectCreated:Put"}]}', '{"a":1}', '{"Records":3}'):
            stream.send(body)
        stream.put("a.json", 1)
        assert stream.ids() == [1]
    told = [record.getMessage() for record in caplog.records if "CF_CANNOT_PARSE_QUEUE_MESSAGE" in record.getMessage()]
    assert len(told) == 5
    assert source.metrics()["numMessagesSkipped"] == "5"
    assert stream.waiting == (0, 0)


def test_lost_events_are_found_by_the_next_listing(bench: Callable[..., Bench], server: Emulator) -> None:
    stream = bench(backfillInterval="1 hour")
    stream.open()
    assert stream.ids() == []
    stream.put("lost.json", 1)
    server.client("sqs").purge_queue(QueueUrl=stream.record["queueUrl"])
    stream.put("told.json", 2)
    assert stream.ids() == [2]
    assert stream.ids() == []
    stream.clock.advance(HOUR)
    assert stream.ids() == [1]


def test_a_listing_that_was_not_read_to_its_end_is_made_again(bench: Callable[..., Bench], listings: list[str]) -> None:
    stream = bench(maxFilesPerTrigger="1")
    for number in range(3):
        stream.put(f"{number}.json", number)
    stream.open()
    assert stream.ids() == [0]
    stream.restart()
    assert [stream.ids(), stream.ids(), stream.ids()] == [[1], [2], []]
    stream.restart()
    assert stream.ids() == []
    assert len(listings) == 2


def test_without_existing_files_only_what_comes_later_is_read(bench: Callable[..., Bench], listings: list[str]) -> None:
    stream = bench(includeExistingFiles="false")
    stream.put("before.json", 1)
    stream.open()
    stream.put("after.json", 2)
    assert stream.ids() == [2]
    stream.restart()
    assert stream.ids() == []
    assert len(listings) == 1


def test_notifications_and_listings_may_take_turns(bench: Callable[..., Bench]) -> None:
    stream = bench(useNotifications="false")
    stream.put("a.json", 1)
    assert stream.ids() == [1]
    for number, mode in enumerate(("true", "false", "true"), 2):
        stream.put(f"{number}.json", number)
        stream.options["cloudFiles.useNotifications"] = mode
        stream.restart()
        stream.put(f"{number}-later.json", number * 10)
        found = stream.ids() + stream.ids()
        assert sorted(found) == [number, number * 10]


def test_an_object_written_anew_is_read_anew_with_allow_overwrites(bench: Callable[..., Bench]) -> None:
    stream = bench(allowOverwrites="true", backfillInterval="1 hour")
    stream.put("a.json", 1)
    stream.open()
    assert stream.ids() == [1]
    time.sleep(2.1)  # S3 tells times by the second, and what is known of an object is believed for two
    stream.put("a.json", 2)
    assert stream.ids() == [2]
    assert stream.ids() == []
    stream.clock.advance(HOUR)
    assert stream.ids() == []
    plain = bench("plain")
    plain.put("a.json", 1)
    plain.open()
    assert plain.ids() == [1]
    plain.put("a.json", 2)
    assert plain.ids() == []
    assert plain.waiting == (0, 0)


def test_an_object_that_has_gone_before_it_was_read_is_passed_over(
    bench: Callable[..., Bench], server: Emulator
) -> None:
    stream = bench()
    stream.open()
    assert stream.ids() == []
    stream.put("gone.json", 1)
    stream.put("there.json", 2)
    server.client("s3").delete_object(Bucket="box", Key=f"{stream.folder}/gone.json")
    assert stream.ids() == [2]
    assert stream.waiting == (0, 0)


def test_available_now_ends_at_what_was_there_and_waits_for_what_a_killed_run_holds(
    bench: Callable[..., Bench], server: Emulator
) -> None:
    stream = bench(maxFilesPerTrigger="2")
    stream.open()
    assert stream.ids() == []
    queue = server.client("sqs")
    queue.set_queue_attributes(QueueUrl=stream.record["queueUrl"], Attributes={"VisibilityTimeout": "2"})
    for number in range(5):
        stream.put(f"{number}.json", number)
    held = queue.receive_message(QueueUrl=stream.record["queueUrl"], MaxNumberOfMessages=3)["Messages"]
    assert len(held) == 3
    stream.restart()
    assert stream.source is not None
    stream.source.prepare_available_now()
    assert sorted(stream.ids() + stream.ids() + stream.ids()) == [0, 1, 2, 3, 4]
    stream.put("later.json", 9)
    assert stream.ids() == []


def test_a_queue_of_ones_own_is_set_up_once_with_tags_and_kept(
    bench: Callable[..., Bench], server: Emulator, listings: list[str]
) -> None:
    s3, sqs = server.client("s3"), server.client("sqs")
    other = sqs.create_queue(QueueName="somebody-elses")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=other, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    theirs = {"Id": "theirs", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(Bucket="box", NotificationConfiguration={"QueueConfigurations": [theirs]})
    stream = bench(**{"resourceTag.CostCenter": "42"})
    stream.open()
    first = stream.record
    name = f"{PREFIX}{first['streamId']}"
    assert first["queueUrl"].endswith(name)
    assert sqs.list_queue_tags(QueueUrl=first["queueUrl"])["Tags"] == {"CostCenter": "42"}
    stream.restart()
    assert stream.record == first
    found = s3.get_bucket_notification_configuration(Bucket="box")
    assert [one["Id"] for one in found["QueueConfigurations"]] == ["theirs"]
    mine = [one for one in found["TopicConfigurations"] if stream.folder in str(one["Filter"])]
    assert [one["Events"] for one in mine] == [["s3:ObjectCreated:*"]]
    assert SECRET not in json.dumps(stream.record)


def test_streams_of_one_folder_share_its_topic_and_are_torn_down_apart(
    bench: Callable[..., Bench], server: Emulator
) -> None:
    one, two = bench("one"), bench("two")
    two.path = one.path
    one.open()
    two.open()
    services = Services(Login())
    mine = {found.stream_id: found for found in services.find()}
    topics = [mine[stream.record["streamId"]].topics for stream in (one, two)]
    assert topics[0] == topics[1]
    assert list(topics[0]) == ["s3://box/one/"]
    one.put("a.json", 1)
    assert (one.ids(), two.ids()) == ([1], [1])
    assert services.tear_down(one.record["streamId"])
    assert not services.tear_down(one.record["streamId"])
    one.put("b.json", 2)
    assert two.ids() == [2]
    assert services.tear_down(two.record["streamId"])
    left = server.client("s3").get_bucket_notification_configuration(Bucket="box").get("TopicConfigurations", [])
    assert [found for found in left if "one/" in str(found)] == []
    assert not [arn for arn in topics[0].values() if arn in str(server.client("sns").list_topics())]


def test_a_queue_that_was_torn_down_is_set_up_anew_and_nothing_is_missed(bench: Callable[..., Bench]) -> None:
    stream = bench()
    stream.open()
    assert stream.ids() == []
    before = stream.record
    Services(Login()).tear_down(before["streamId"])
    stream.put("meanwhile.json", 1)
    stream.clock.advance(1000)
    with pytest.raises(SparkError, match=r"CF_QUEUE_REQUEST_FAILED.*NonExistentQueue.*Start the query again"):
        stream.step()
    stream.restart()
    assert stream.record["streamId"] != before["streamId"]
    assert stream.ids() == [1]


def test_a_queue_of_the_users(bench: Callable[..., Bench], server: Emulator) -> None:
    sqs = server.client("sqs")
    url = sqs.create_queue(QueueName="mine")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    stream = bench(queueUrl=url)
    everything = {"Id": "all", "QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    server.client("s3").put_bucket_notification_configuration(
        Bucket="box", NotificationConfiguration={"QueueConfigurations": [everything]}
    )
    stream.put("a.json", 1)
    stream.open()
    assert stream.ids() == [1]
    stream.put("b.json", 2)
    server.client("s3").put_object(Bucket="box", Key="elsewhere.json", Body=b'{"id":3}')
    assert stream.ids() == [2]
    assert (stream.record["own"], stream.record["queueUrl"]) == (False, url)
    assert stream.waiting == (0, 0)
    stream.options["cloudFiles.queueUrl"] = url.replace("mine", "nobodys")
    with pytest.raises(SparkError, match=r"CF_QUEUE_REQUEST_FAILED.*must be made first"):
        stream.restart()
    server.client("s3").put_bucket_notification_configuration(Bucket="box", NotificationConfiguration={})


@pytest.mark.parametrize(
    ("code", "message", "passes"),
    [
        ("AccessDenied", "Allow sqs:ReceiveMessage", False),
        ("InvalidClientTokenId", "Allow sqs:ReceiveMessage", False),
        ("ServiceUnavailable", "start the query again", True),
    ],
)
def test_what_the_queue_answers_is_said_with_what_to_do(
    server: Emulator, code: str, message: str, passes: bool
) -> None:
    from headwater.streaming.restart import passes as may_pass

    queue = Queue("http://localhost/queue", Login())
    with Stubber(queue._client) as stub:
        for _ in range(1 if not passes else 5):
            stub.add_client_error("receive_message", code, "the account 123 may not")
        with pytest.raises(SparkError, match=f"CF_QUEUE_REQUEST_FAILED.*{code}.*{message}") as caught:
            queue.receive()
    assert may_pass(caught.value) is passes
    assert "123" not in str(caught.value)
    queue.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"useManagedFileEvents": "true"}, UnsupportedError, "service of Databricks.*useNotifications"),
        ({"backfillInterval": "soon"}, IllegalArgumentError, "backfillInterval"),
        ({"fetchParallelism": "0"}, IllegalArgumentError, "between 1 and 100"),
        ({"awsAccessKey": "a"}, IllegalArgumentError, "belong together"),
        ({"roleArn": "me"}, IllegalArgumentError, "ARN of a role"),
        ({"connectionString": "a"}, UnsupportedError, "connectionstring"),
        ({"useNotifications": "true"}, IllegalArgumentError, "CF_SOURCE_UNSUPPORTED"),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, options: dict[str, str], error: type[Exception], message: str
) -> None:
    stream = CloudBench(tmp_path, **options)
    stream.put("a.json", '{"id":1}')
    with pytest.raises(error, match=message):
        stream.open()


def test_a_mounted_folder_is_listed(tmp_path: Path) -> None:
    stream = CloudBench(tmp_path, useNotifications="true", backfillInterval="1 week", region="eu-central-1")
    stream.mounts = Mounts({"s3://box": str(tmp_path)})
    stream.path = "s3://box/in"
    stream.put("a.json", '{"id":1}')
    assert stream.step() == [("1", None)]


def test_a_role_is_taken_on_with_the_users_keys(bench: Callable[..., Bench]) -> None:
    keys = {"awsAccessKey": "testing", "awsSecretKey": SECRET, "region": "eu-central-1"}
    role = {"roleArn": "arn:aws:iam::123456789012:role/loader", "roleExternalId": "xyz", "roleSessionName": "me"}
    stream = bench(**keys, **role)
    stream.put("a.json", 1)
    stream.open()
    assert stream.ids() == [1]
    written = "".join(path.read_text("utf-8", "replace") for path in stream.root.rglob("*") if path.is_file())
    assert SECRET not in written
    assert SECRET not in repr(stream.source) + repr(Login(keys=("testing", SECRET)))

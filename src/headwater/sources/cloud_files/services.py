"""What file notifications need in AWS: a queue of the stream's own, a topic for each folder, the bucket's events to it.

    S3 bucket ── ObjectCreated below a prefix ──► topic (SNS) ──► queue of stream A (SQS)
                                                        └──────► queue of stream B

All names begin with `databricks-auto-ingest-`, as Databricks' own do, so that the same policies allow them. Streams of
one folder share its topic, for S3 takes no two notifications of one prefix.

Invariants: setting up again changes nothing that is there; the bucket's other notifications are kept; tearing one
stream down leaves what another stream uses.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from headwater.io.aws import Login, client
from headwater.io.aws_errors import answer_code, aws_error, is_denied, is_missing

PREFIX = "databricks-auto-ingest-"
_KEPT_SECONDS, _HIDDEN_SECONDS = 14 * 86_400, 60
_TRIES = 5
_ACTIONS = (
    "Allow s3:GetBucketNotification, s3:PutBucketNotification, sns:CreateTopic, sns:SetTopicAttributes, "
    "sns:GetTopicAttributes, sns:TagResource, sns:Subscribe, sns:ListSubscriptions, sns:ListSubscriptionsByTopic, "
    "sqs:CreateQueue, sqs:TagQueue, sqs:GetQueueUrl, sqs:GetQueueAttributes and sqs:SetQueueAttributes, "
    "or give a queue by cloudFiles.queueUrl."
)


@dataclass(frozen=True)
class Place:
    """A folder of a bucket: its prefix is empty or ends with a slash."""

    bucket: str
    prefix: str

    @property
    def topic(self) -> str:
        """The name of its topic."""
        key = hashlib.sha256(f"{self.bucket}/{self.prefix}".encode()).hexdigest()[:20]
        return f"{PREFIX}{key}"

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class Service:
    """The services of one stream.

    Attributes:
        stream_id: what names its queue.
        topics: ARNs by the folders whose events the queue gets.
    """

    stream_id: str
    queue_url: str
    topics: Mapping[str, str]


class Services:
    """The services of one account and region."""

    def __init__(self, login: Login, tags: Mapping[str, str] | None = None) -> None:
        self._tags = dict(tags or {})
        with _errors("logging in"):
            self._sqs, self._sns, self._s3 = (client(name, login) for name in ("sqs", "sns", "s3"))

    def set_up(self, stream_id: str, places: Sequence[Place]) -> str:
        """The URL of a queue that gets the events of `places`. Raises CF_EVENT_NOTIFICATION_SETUP_FAILED."""
        url = self._queue(PREFIX + stream_id)
        with _errors("looking at the queue"):
            queue = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        topics = [self._topic(place) for place in places]
        with _errors("connecting topic and queue"):
            policy = _policy("sns.amazonaws.com", "sqs:SendMessage", queue, topics)
            self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
            for topic in topics:
                self._sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, ReturnSubscriptionArn=True)
        for place, topic in zip(places, topics, strict=True):
            self._announce(place, topic)
        return url

    def find(self) -> list[Service]:
        """The services of all streams whose queues have our names, sorted."""
        with _errors("listing queues"):
            pages = self._sqs.get_paginator("list_queues").paginate(QueueNamePrefix=PREFIX)
            urls = sorted(url for page in pages for url in page.get("QueueUrls", ()))
        return [self._service(url) for url in urls]

    def tear_down(self, stream_id: str) -> bool:
        """Delete the queue of a stream, and topics and the bucket's events that no other stream uses.

        Whether there was one.
        """
        url = self._url(PREFIX + stream_id)
        if url is None:
            return False
        with _errors("deleting"):
            for subscription in self._subscriptions(url):
                self._sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
                self._drop_unused(subscription["TopicArn"])
            self._sqs.delete_queue(QueueUrl=url)
        return True

    # ── queue and topic ─────────────────────────────────────────────────────────────────────────────────────

    def _url(self, name: str) -> str | None:
        try:
            with _errors("looking for the queue"):
                url: str = self._sqs.get_queue_url(QueueName=name)["QueueUrl"]
        except FileNotFoundError:
            return None
        return url

    def _queue(self, name: str) -> str:
        known = self._url(name)
        if known is not None:
            return known
        attributes = {"MessageRetentionPeriod": str(_KEPT_SECONDS), "VisibilityTimeout": str(_HIDDEN_SECONDS)}
        with _errors("making the queue", tags=self._tags):
            url: str = self._sqs.create_queue(QueueName=name, Attributes=attributes, tags=self._tags)["QueueUrl"]
        return url

    def _topic(self, place: Place) -> str:
        with _errors("making the topic", tags=self._tags):
            arn: str = self._sns.create_topic(Name=place.topic)["TopicArn"]
            if self._tags:
                tags = [{"Key": key, "Value": value} for key, value in self._tags.items()]
                self._sns.tag_resource(ResourceArn=arn, Tags=tags)
            bucket = f"arn:{arn.split(':')[1]}:s3:::{place.bucket}"
            policy = _policy("s3.amazonaws.com", "sns:Publish", arn, [bucket])
            self._sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
        return arn

    def _subscriptions(self, url: str) -> list[Mapping[str, str]]:
        queue = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pages = self._sns.get_paginator("list_subscriptions").paginate()
        return [one for page in pages for one in page["Subscriptions"] if one["Endpoint"] == queue]

    def _service(self, url: str) -> Service:
        with _errors("looking at topics"):
            topics = [one["TopicArn"] for one in self._subscriptions(url)]
            folders = {str(place): topic for topic in topics for place in self._places(topic)}
        return Service(url.rpartition("/")[2].removeprefix(PREFIX), url, folders)

    def _places(self, topic: str) -> list[Place]:
        bucket = self._bucket(topic)
        if bucket is None:
            return []
        return [
            Place(bucket, _prefix(one)) for one in self._events(bucket).get(_TOPICS, ()) if one["TopicArn"] == topic
        ]

    def _bucket(self, topic: str) -> str | None:
        """The bucket that may publish to a topic of ours."""
        try:
            policy = json.loads(self._sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"])
            arn: str = policy["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"][0]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
        return arn.rpartition(":")[2]

    def _drop_unused(self, topic: str) -> None:
        pages = self._sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        if not topic.rpartition(":")[2].startswith(PREFIX) or any(page["Subscriptions"] for page in pages):
            return
        bucket = self._bucket(topic)
        if bucket is not None:
            events = self._events(bucket)
            kept = [one for one in events.get(_TOPICS, ()) if one["TopicArn"] != topic]
            self._s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={**events, _TOPICS: kept}
            )
        self._sns.delete_topic(TopicArn=topic)

    # ── the bucket's events ─────────────────────────────────────────────────────────────────────────────────

    def _events(self, bucket: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._s3.get_bucket_notification_configuration(Bucket=bucket)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def _announce(self, place: Place, topic: str) -> None:
        """Let the bucket tell the topic. S3 knows no condition for it, so whether it stayed is looked at afterwards."""
        for _ in range(_TRIES):
            with _errors(f"configuring the events of the bucket {place.bucket}", place=place):
                events = self._events(place.bucket)
                known = events.get(_TOPICS, [])
                if any(one["TopicArn"] == topic and _prefix(one) == place.prefix for one in known):
                    return
                rules = [{"Name": "prefix", "Value": place.prefix}] if place.prefix else []
                new: dict[str, Any] = {"Id": place.topic, "TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
                if rules:
                    new["Filter"] = {"Key": {"FilterRules": rules}}
                self._s3.put_bucket_notification_configuration(
                    Bucket=place.bucket, NotificationConfiguration={**events, _TOPICS: [*known, new]}
                )
            time.sleep(random.uniform(0, 0.05))
        reason = f"the events of the bucket {place.bucket} are changed by others all the time"
        raise aws_error(f"{_FAILED}.OTHER", RuntimeError(), reason=reason, remedy="Start the query again.")


_TOPICS = "TopicConfigurations"
_FAILED = "CF_EVENT_NOTIFICATION_SETUP_FAILED"


def _prefix(configuration: Mapping[str, Any]) -> str:
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    return next((str(rule["Value"]) for rule in rules if rule["Name"].lower() == "prefix"), "")


def _policy(service: str, action: str, resource: str, sources: Sequence[str]) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        "Condition": {"ArnEquals": {"aws:SourceArn": list(sources)}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def _errors(doing: str, *, tags: Mapping[str, str] | None = None, place: Place | None = None) -> Iterator[None]:
    """boto3's errors as ours; FileNotFoundError where a queue is asked for that is not there."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as cause:
        code = answer_code(cause)
        if is_missing(code) and doing == "looking for the queue":
            raise FileNotFoundError(doing) from None
        kind, remedy = _kind(code, tags, place)
        raise aws_error(f"{_FAILED}.{kind}", cause, reason=f"{doing} was answered {code}", remedy=remedy) from None


def _kind(code: str, tags: Mapping[str, str] | None, place: Place | None) -> tuple[str, str]:
    if is_denied(code):
        return "PERMISSION_DENIED", _ACTIONS
    if tags and "Tag" in code:
        return "INVALID_RESOURCE_TAGS", "AWS says what tags may be like."
    if code == "NoSuchBucket":
        return "INVALID_CONFIGURATION", "Make the bucket first."
    if place is not None and code in ("InvalidArgument", "InvalidParameterValue"):
        return "INVALID_CONFIGURATION", (
            f"Either cloudFiles.region is not the bucket's, or the bucket tells others already of files below {place} "
            "or a folder around it: S3 takes one notification for a prefix. Let that one feed a queue and give it by "
            "cloudFiles.queueUrl."
        )
    if code in ("InvalidParameter", "InvalidParameterValue", "InvalidAttributeValue", "ParamValidationError"):
        return "INVALID_CONFIGURATION", "Look at the options cloudFiles.region, roleArn and resourceTag."
    return "OTHER", "Check the endpoint (AWS_ENDPOINT_URL) and cloudFiles.region, and start the query again."

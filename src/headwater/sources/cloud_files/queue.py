"""A queue of SQS: messages received, deleted and counted.

Invariants: a message that was received and not deleted comes again; a request that fails raises CF_QUEUE_REQUEST_FAILED
with what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from headwater.io.aws import Login, client
from headwater.io.aws_errors import answer_code, aws_error, is_denied, is_missing
from headwater.log import logger

_log = logger("sources")
_AT_ONCE = 10
"""SQS gives and takes no more messages with one request."""
_DELETING = 8


@dataclass(frozen=True)
class Message:
    """A received message.

    Attributes:
        key: the same at each delivery.
        handle: what deletes this delivery.
        sent_ms: when it was sent, by the service's clock.
    """

    key: str
    handle: str
    body: str
    sent_ms: int = 0


@dataclass(frozen=True)
class Facts:
    """What a queue tells of itself: messages waiting and in somebody's hands (about), for how long those are hidden."""

    waiting: int
    in_hands: int
    hidden_ms: int


class Queue:
    """One queue; `close` it.

    Args:
        url: its URL.
        parallelism: how many requests ask for messages side by side.
    """

    def __init__(self, url: str, login: Login, parallelism: int = 1) -> None:
        self.url = url
        self._parallelism = parallelism
        with self._errors("reached"):
            self._client: Any = client("sqs", login)
        self._pool = ThreadPoolExecutor(max(parallelism, _DELETING), thread_name_prefix="headwater-queue")

    def receive(self, wait_seconds: int = 0) -> tuple[list[Message], int]:
        """Some messages (none: there were none just now), and the service's time in milliseconds."""
        futures = [self._pool.submit(self._receive, wait_seconds) for _ in range(self._parallelism)]
        answers = [future.result() for future in futures]
        return [message for messages, _ in answers for message in messages], max(now for _, now in answers)

    def _receive(self, wait_seconds: int) -> tuple[list[Message], int]:
        asked = {"MaxNumberOfMessages": _AT_ONCE, "WaitTimeSeconds": wait_seconds, "AttributeNames": ["SentTimestamp"]}
        with self._errors("read"):
            try:
                answer = self._client.receive_message(QueueUrl=self.url, **asked)
            except self._client.exceptions.OverLimit:  # SQS lends no more than 120,000 messages at a time
                return [], 0
        found = [
            Message(
                one["MessageId"],
                one["ReceiptHandle"],
                one["Body"],
                int(one.get("Attributes", {}).get("SentTimestamp", 0)),
            )
            for one in answer.get("Messages", ())
        ]
        return found, _time_of(answer)

    def delete(self, handles: Sequence[str]) -> None:
        """Delete deliveries. One that SQS keeps comes again."""
        parts = [handles[at : at + _AT_ONCE] for at in range(0, len(handles), _AT_ONCE)]
        for future in [self._pool.submit(self._delete, part) for part in parts]:
            future.result()

    def _delete(self, handles: Sequence[str]) -> None:
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        with self._errors("emptied"):
            answer = self._client.delete_message_batch(QueueUrl=self.url, Entries=entries)
        for failed in answer.get("Failed", ()):
            _log.warning("a message stays in the queue %s: %s", self.url, failed.get("Code"))

    def facts(self) -> Facts:
        """See `Facts`."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "VisibilityTimeout"]
        with self._errors("looked at"):
            found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return Facts(int(found[names[0]]), int(found[names[1]]), int(found[names[2]]) * 1000)

    def exists(self) -> bool:
        """Whether it is there. Raises CF_QUEUE_REQUEST_FAILED if that cannot be told."""
        from botocore.exceptions import ClientError

        with self._errors("looked at"):
            try:
                self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
            except ClientError as cause:
                if not is_missing(answer_code(cause)):
                    raise
                return False
        return True

    def close(self) -> None:
        """Free the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as cause:
            code = answer_code(cause)
            reason = f"it cannot be {what}, AWS answered {code}"
            raise aws_error(
                "CF_QUEUE_REQUEST_FAILED", cause, queue=self.url, reason=reason, remedy=_remedy(code)
            ) from None


def _remedy(code: str) -> str:
    if is_missing(code):
        return (
            "Start the query again: a queue that Auto Loader set up is set up anew and the files are listed once. "
            "A queue of cloudFiles.queueUrl must be made first."
        )
    if is_denied(code):
        return (
            "Allow sqs:ReceiveMessage, sqs:DeleteMessage and sqs:GetQueueAttributes to the credentials that are used."
        )
    return "Check the endpoint (AWS_ENDPOINT_URL_SQS) and cloudFiles.region, and start the query again."


def _time_of(answer: Any) -> int:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return int(parsedate_to_datetime(headers["date"]).timestamp() * 1000) if "date" in headers else 0

"""An emulator of S3, Glue, SQS and SNS on loopback in a process of its own: moto's server, whose answers can be lost.

    with emulated("lake") as s3:
        s3.lose_answers("PUT", r"_delta_log/", times=1)

moto looks whether an object is there and then puts it; requests that change something take turns here, so that its
conditional PUT is as atomic as S3's.

Invariants: it listens on 127.0.0.1 alone; a request whose answer is lost has been carried out.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SECRET = "canary-a2V5LXRoYXQtbXVzdC1ub3QtbGVhaw"
"""The secret key that tests sign with: it must be found nowhere."""

_CONTROL = "/__control__"


class Emulator:
    """The running emulator; use as a context manager.

    Attributes:
        url: what `AWS_ENDPOINT_URL` is set to.
    """

    def __enter__(self) -> Emulator:
        here = Path(__file__).resolve().parent.parent
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.s3_server"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=here,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead every AWS client here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @cache  # noqa: B019 (an emulator lives as long as its tests)
    def client(self, service: str) -> Any:
        """A boto3 client of it."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key=SECRET,
        )

    def bucket(self, name: str) -> str:
        """Make a bucket; its URI."""
        place = {"LocationConstraint": "eu-central-1"}
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
        return f"s3://{name}"

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys below a prefix, sorted."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(one["Key"] for page in pages for one in page.get("Contents", ()))

    def read(self, bucket: str, key: str) -> bytes:
        """An object's bytes."""
        data: bytes = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def lose_answers(self, method: str, path: str, times: int = 1, *, carried_out: bool = True) -> None:
        """The next `times` requests whose path matches get no answer; those before count no more.

        Not `carried_out`: the request is lost, too.
        """
        self._tell({"method": method, "path": path, "times": times, "carried_out": carried_out})

    def lost(self) -> int:
        """How many answers were lost since `lose_answers`."""
        return int(self._tell(None)["lost"])

    def _tell(self, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + _CONTROL, data, timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
            return told


@contextmanager
def emulated(*buckets: str) -> Iterator[Emulator]:
    """An emulator with these buckets that this process's `AWS_*` variables lead to."""
    with Emulator() as one, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in one.environment.items():
            patch.setenv(name, value)
        for bucket in buckets:
            one.bucket(bucket)
        yield one


# ── in the emulator's process ───────────────────────────────────────────────────────────────────────────────────


class _Faulty:
    """moto as WSGI, behind what may go wrong between it and its clients."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._changing = threading.Lock()
        self._rule: dict[str, Any] = {"times": 0}
        self._lost = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == _CONTROL:
            return self._control(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET") == "AmazonSQS.ReceiveMessage":  # it may wait for messages that others send
            return self._run(environ, start_response)
        with self._changing:
            loses = self._loses(environ)
            answer = [] if loses and not self._rule["carried_out"] else list(self._run(environ, start_response))
        if loses:
            connection: socket.socket = environ["werkzeug.socket"]
            connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        return answer

    def _run(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._application(environ, start_response)

    def _loses(self, environ: dict[str, Any]) -> bool:
        rule = self._rule
        if rule["times"] < 1 or environ["REQUEST_METHOD"] != rule["method"]:
            return False
        if not re.search(rule["path"], environ["PATH_INFO"]):
            return False
        rule["times"] -= 1
        self._lost += 1
        return True

    def _control(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            self._rule = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self._lost = 0
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"lost": self._lost}).encode()]


def main() -> None:
    """Serve until the parent closes our standard input; the port is the first line printed."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = _Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()

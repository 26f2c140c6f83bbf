"""What messages say of files, in the three shapes they come in, and what is no message of S3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.io.listing import matches
from headwater.sources.cloud_files.events import MalformedMessageError, created


def record(key: str, name: str = "ObjectCreated:Put", bucket: str = "box") -> dict[str, Any]:
    return {"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 3}}}


def test_several_records_and_only_those_of_written_objects() -> None:
    kinds = ("ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Copy")
    others = ("ObjectRemoved:Delete", "ObjectTagging:Put", "ObjectRestore:Completed", "LifecycleExpiration:Delete")
    records = [record(f"k{number}", kind) for number, kind in enumerate((*kinds, *others))]
    assert created(json.dumps({"Records": records})) == ["s3://box/k0", "s3://box/k1", "s3://box/k2"]


def test_keys_are_decoded() -> None:
    body = json.dumps({"Records": [record("in/a+b%2Bc/d%C3%A9%25.json")]})
    assert created(body) == ["s3://box/in/a b+c/dé%.json"]


def test_an_envelope_of_sns_is_opened() -> None:
    inner = json.dumps({"Records": [record("a")]})
    assert created(json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": inner})) == ["s3://box/a"]


def test_eventbridge_does_not_encode_keys() -> None:
    detail = {"bucket": {"name": "box"}, "object": {"key": "a+b%20.json"}}
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    assert created(json.dumps(event)) == ["s3://box/a+b%20.json"]
    assert created(json.dumps({**event, "detail-type": "Object Deleted"})) == []


def test_the_test_event_names_nothing() -> None:
    assert created(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "box"})) == []


@pytest.mark.parametrize(
    "body",
    [
        "", "null", "3", '"text"', "[]", "{}", "{", '{"Records":3}', '{"Records":[3]}', '{"Records":[{}]}',
        '{"Message":"no json"}', '{"Message":"[]"}', '{"detail-type":"Object Created"}', "[" * 100_000,
        '{"Records":[{"eventName":"ObjectCreated:Put","s3":{}}]}',
        json.dumps({"Records": [record("")]}),
        json.dumps({"Records": [record("a", bucket="")]}),
        '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":3}}}]}',
    ],
)  # fmt: skip
def test_what_is_no_event_of_s3_is_malformed(body: str) -> None:
    with pytest.raises(MalformedMessageError):
        created(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["Records", "Message", "s3", "eventName", "x"]), inner)
    ),
)


@given(_JSON)
def test_any_other_json_is_malformed_or_names_nothing(value: Any) -> None:
    try:
        assert created(json.dumps(value)) == []
    except MalformedMessageError:
        return


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("s3://b/in", "s3://b/in/a.json", True),
        ("s3://b/in", "s3://b/in2/a.json", False),
        ("s3://b/in", "s3://b/in/x/y/a.json", True),
        ("s3://b/in", "s3://b/in/_x/a.json", False),
        ("s3://b/in", "s3://b/in/_x=1/a.json", True),
        ("s3://b/in/a.json", "s3://b/in/a.json", True),
        ("s3://b", "s3://b/a.json", True),
        ("s3://b", "s3://c/a.json", False),
        ("s3://b/in/*", "s3://b/in/a.json", True),
        ("s3://b/in/*", "s3://b/in/x/a.json", True),
        ("s3://b/in/*", "s3://b/in/.a.json", False),
        ("s3://b/in/*/a*", "s3://b/in/a.json", False),
        ("s3://b/in/{x,y/z}/*.json", "s3://b/in/y/z/a.json", True),
        ("s3://b/in/{x,y/z}/*.json", "s3://b/in/y/a.json", False),
        ("s3://b/in/d[0-9]", "s3://b/in/d7/a.json", True),
        ("s3://b/in/d[0-9]", "s3://b/in/dx/a.json", False),
    ],
)
def test_a_name_is_matched_as_a_listing_finds_it(pattern: str, path: str, found: bool) -> None:
    assert matches(pattern, path) is found

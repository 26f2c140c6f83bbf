"""How AWS is reached: endpoint, region and credentials, as `AWS_*` variables, profiles and machine roles say.

The variables are those of every AWS tool: `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, `AWS_REGION` or
`AWS_DEFAULT_REGION`, `AWS_ACCESS_KEY_ID` with `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, `AWS_PROFILE`;
`AWS_SKIP_SIGNATURE=true` asks without credentials (public buckets).

Invariants: nothing is asked for before a path in S3 is used; a secret is in no `repr`, message or log; what is missing
is named together with what to do.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from headwater.errors import IllegalArgumentError, SparkError

INSTALL = 'pip install "headwater[aws]"'
_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_SKIP_SIGNATURE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
)  # fmt: skip
_REGION_OF_EMULATORS = "us-east-1"


@dataclass(frozen=True)
class Access:
    """What a client of one AWS service needs.

    Attributes:
        region: never empty. endpoint: a URL, or None for AWS itself.
        keys: access key, secret and session token (or None); None: they come from `session`, or are not used.
        session: the boto3 session whose credentials are asked for anew when they expire.
        anonymous: requests are not signed.
    """

    region: str
    endpoint: str | None
    keys: tuple[str, str, str | None] | None = field(default=None, repr=False)
    session: Any = field(default=None, repr=False, compare=False)
    anonymous: bool = False

    def current_keys(self) -> tuple[str, str, str | None] | None:
        """The keys of this moment; None if requests are not signed."""
        if self.session is None:
            return self.keys
        frozen = self.session.get_credentials().get_frozen_credentials()
        return frozen.access_key, frozen.secret_key, frozen.token


def access(service: str = "s3") -> Access:
    """As the environment has it now. Raises AWS_NOT_CONFIGURED saying what is missing and what to do."""
    specific = f"AWS_ENDPOINT_URL_{service.upper()}"
    endpoint = os.environ.get(specific) or os.environ.get("AWS_ENDPOINT_URL") or None
    return _access(endpoint, tuple(os.environ.get(name, "") for name in _VARIABLES))


@lru_cache(maxsize=8)
def _access(endpoint: str | None, values: tuple[str, ...]) -> Access:
    given = dict(zip(_VARIABLES, values, strict=True))
    anonymous = given["AWS_SKIP_SIGNATURE"].lower() in ("1", "true")
    keys = session = None
    if given["AWS_ACCESS_KEY_ID"] and given["AWS_SECRET_ACCESS_KEY"]:
        keys = given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"], given["AWS_SESSION_TOKEN"] or None
    elif not anonymous:
        session = _session()
    return Access(_region(given, endpoint, session), endpoint, keys, session, anonymous)


def _region(given: Mapping[str, str], endpoint: str | None, session: Any) -> str:
    region = given["AWS_REGION"] or given["AWS_DEFAULT_REGION"] or (session.region_name if session else None)
    if region:
        return str(region)
    if endpoint is None:
        raise not_configured("no region is set", "Set AWS_REGION (such as eu-central-1).")
    return _REGION_OF_EMULATORS


def _session() -> Any:
    try:
        session = _boto3().Session()
        credentials = session.get_credentials()
    except SparkError:
        raise
    except Exception as cause:  # botocore has many: a profile that is not there, a file that is not one
        raise not_configured(f"the credentials cannot be read ({cause})", _KEYS) from None
    if credentials is None:
        raise not_configured("there are no credentials", _KEYS)
    return session


_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public bucket AWS_SKIP_SIGNATURE=true."


@dataclass(frozen=True)
class Login:
    """What a user says of an account beside the environment.

    Attributes:
        region: another region than the environment's.
        keys: access key and secret.
        role: a role to take on: its ARN, the external id (or None) and the session's name.
        sts: the URL of the service that gives roles.
    """

    region: str | None = None
    keys: tuple[str, str] | None = field(default=None, repr=False)
    role: tuple[str, str | None, str] | None = None
    sts: str | None = None


_making = threading.Lock()


def client(service: str, login: Login = Login()) -> Any:
    """A boto3 client, whose credentials are asked for anew when they expire. Raises AWS_NOT_CONFIGURED."""
    found = access(service)
    with _making:  # sessions may not be used side by side
        return _session_of(found, login).client(
            service, region_name=login.region or found.region, endpoint_url=found.endpoint, config=_config()
        )


def _session_of(found: Access, login: Login) -> Any:
    if login.role is not None:
        return _with_role(login, _plain(found, login))
    return _plain(found, login)


def _plain(found: Access, login: Login) -> Any:
    keys = (*login.keys, None) if login.keys else found.keys
    if keys is None:
        return found.session or _boto3().Session()
    return _with_keys(keys)


@lru_cache(maxsize=8)
def _with_keys(keys: tuple[str, str, str | None]) -> Any:
    """A session reads the services' descriptions once."""
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return _boto3().Session(**dict(zip(names, keys, strict=True)))


def _with_role(login: Login, session: Any) -> Any:
    from botocore.credentials import RefreshableCredentials
    from botocore.session import get_session

    found = access("sts")
    region, endpoint = login.region or found.region, login.sts or found.endpoint
    sts = session.client("sts", region_name=region, endpoint_url=endpoint, config=_config())
    arn, external, name = login.role or ("", None, "")
    asked = {"RoleArn": arn, "RoleSessionName": name, **({"ExternalId": external} if external else {})}

    def fresh() -> dict[str, str]:
        keys = sts.assume_role(**asked)["Credentials"]
        names = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey", "token": "SessionToken"}
        return {**{ours: keys[theirs] for ours, theirs in names.items()}, "expiry_time": keys["Expiration"].isoformat()}

    base = get_session()
    base._credentials = RefreshableCredentials.create_from_metadata(fresh(), fresh, "sts-assume-role")
    return _boto3().Session(botocore_session=base)


def _config() -> Any:
    from botocore.config import Config

    retries = {"max_attempts": 5, "mode": "standard"}
    return Config(connect_timeout=10, read_timeout=60, retries=retries, max_pool_connections=32)


def _boto3() -> Any:
    try:
        import boto3
    except ImportError as cause:
        raise missing_package("boto3") from cause
    return boto3


def missing_package(name: str) -> SparkError:
    """The error for an optional package that is not installed."""
    return not_configured(f"the package {name} is not installed", f"Run: {INSTALL}")


def not_configured(missing: str, remedy: str) -> SparkError:
    """The error for AWS that cannot be reached as things are set."""
    return IllegalArgumentError("AWS_NOT_CONFIGURED", missing=missing, remedy=remedy)

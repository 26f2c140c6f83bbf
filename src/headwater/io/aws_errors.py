"""Refusals of AWS services in Spark's terms.

Invariant: no message holds more of a service's answer than its code.
"""

from __future__ import annotations

import errno

from headwater.errors import SparkError


class AwsError(SparkError, OSError):
    """A request that a service refused or did not answer; whether asking again may help is its `errno`."""


def answer_code(cause: Exception) -> str:
    """The code of a service's refusal, or what kept it from answering."""
    response = getattr(cause, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", "an error"))
    return type(cause).__name__


def is_denied(code: str) -> bool:
    """Whether a service's code says that the credentials are wrong or allow too little."""
    return code in _DENIED or code.startswith("AccessDenied")


def is_missing(code: str) -> bool:
    """Whether a service's code says that what was asked for is not there."""
    return code in _MISSING or code.endswith(".NonExistentQueue")


_DENIED = frozenset({
    "403", "401", "AuthorizationError", "AuthFailure", "AuthorizationErrorException", "InvalidClientTokenId",
    "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "InvalidSecurity", "NoCredentialsError", "KMSAccessDeniedException", "KmsAccessDenied", "AllAccessDisabled",
})  # fmt: skip
_MISSING = frozenset({"QueueDoesNotExist", "NotFound", "NotFoundException", "NoSuchBucket", "404"})
_REFUSALS = frozenset({"InvalidAddress", "InvalidParameter", "InvalidParameterValue", "InvalidArgument", "InvalidTag"})


def aws_error(condition: str, cause: Exception, /, **parameters: object) -> AwsError:
    """An error of a condition, from boto3's; `errno` says whether it passes."""
    code = answer_code(cause)
    error = AwsError(condition, **parameters)
    final = is_denied(code) or is_missing(code) or code in _REFUSALS
    error.errno = errno.EACCES if final else errno.EIO
    return error

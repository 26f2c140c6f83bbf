"""Where a path of the user's program lies: URI and path prefixes mapped to folders, or to places in S3.

`s3://bucket/x`, `dbfs:/x`, `/mnt/x`, `/Volumes/x` and plain paths all end as one absolute local path, or as
`s3://bucket/x` where no row of the table says otherwise; the user's own spelling is kept by `uri`, so logs and
checkpoints say the same on a laptop and on a cluster.

Invariants: `file:` paths are never mapped; the longest prefix wins and prefixes match whole path segments, a mount
wins over a bucket of that name; `local(uri(path)) == local(path)`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from headwater.errors import IllegalArgumentError, unsupported
from headwater.io.paths import REMOTE, as_uri, is_remote

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+):(.*)$", re.DOTALL)
_URI_SAFE = "/_-!.~'()*,;:$&+=@"


class Mounts:
    """The mount table.

    Args:
        rows: prefix (`s3://bucket`, `/FileStore`, `dbfs:/mnt/raw`) to folder or `s3://bucket/prefix`; relative
            folders count from the working directory.
    """

    def __init__(self, rows: Mapping[str, str] | None = None) -> None:
        pairs = [(_canonical(prefix).rstrip("/"), _place(folder)) for prefix, folder in (rows or {}).items()]
        self._rows = sorted(pairs, key=lambda row: len(row[0]), reverse=True)

    @classmethod
    def load(cls, toml_path: str | None = None, extra: Mapping[str, str] | None = None) -> Mounts:
        """The `[mounts]` table of `headwater.toml` (folders relative to the file), overridden by `extra`."""
        rows: dict[str, str] = {}
        if toml_path is not None:
            base = os.path.dirname(os.path.abspath(toml_path))
            rows = {prefix: _place(folder, base) for prefix, folder in _table(toml_path).items()}
        return cls({**rows, **(extra or {})})

    @property
    def rows(self) -> dict[str, str]:
        """Prefix to folder, as given to `Mounts`."""
        return dict(self._rows)

    def local(self, path: str) -> str:
        """The absolute local path, or `s3://bucket/key`. Raises UNSUPPORTED_FEATURE for other URIs without a mount."""
        canonical = _canonical(path)
        if canonical.startswith("file:"):
            return os.path.abspath(canonical[len("file:") :])
        row = self._row(canonical)
        if row is not None:
            prefix, folder = row
            below = canonical[len(prefix) :].strip("/")
            return f"{folder}/{below}".rstrip("/") if is_remote(folder) else os.path.normpath(f"{folder}/{below}")
        if is_remote(canonical):
            return canonical.rstrip("/")
        scheme = _SCHEME.match(canonical)
        if scheme is not None:
            raise unsupported(
                f"reading or writing `{path}` over the network",
                f"Map it to a folder: --mount {_root(canonical)}=./folder, or a row of [mounts] in headwater.toml.",
            )
        return os.path.abspath(canonical)

    def uri(self, path: str) -> str:
        """The path as Spark prints it, not percent-encoded: `file:/data/in`, `s3://bucket/x`, `dbfs:/mnt/x`."""
        canonical = _canonical(path)
        if self._row(canonical) is None or canonical.startswith("file:"):
            return as_uri(self.local(path))
        return canonical if _SCHEME.match(canonical) else "dbfs:" + canonical

    def _row(self, canonical: str) -> tuple[str, str] | None:
        for prefix, folder in self._rows:
            if canonical == prefix or canonical.startswith(prefix + "/"):
                return prefix, folder
        return None


def quote_uri(uri: str) -> str:
    """Percent-encode the path of `uri` as Java does."""
    scheme, _, path = uri.partition(":")
    return f"{scheme}:" + "".join(char if ord(char) > 127 else quote(char, safe=_URI_SAFE) for char in path)


def encode_uri(uri: str) -> str:
    """`quote_uri`, with `file:/x` written as `file:///x`: the form of Spark's logs."""
    quoted = quote_uri(uri)
    return "file://" + quoted[len("file:") :] if quoted.startswith("file:/") and quoted[6:7] != "/" else quoted


def decode_uri(text: str) -> str:
    """The inverse of `encode_uri`."""
    plain = unquote(text)
    return "file:" + plain[len("file://") :] if plain.startswith("file:///") else plain


def _canonical(path: str) -> str:
    """`file:/x`, `scheme://…`, or a path; `dbfs:/x` and `/dbfs/x` are `/x`, `s3a`/`s3n` are `s3`."""
    match = _SCHEME.match(path)
    if match is None:
        return path[len("/dbfs") :] if path.startswith("/dbfs/") else path
    scheme, rest = match[1].lower(), match[2]
    if scheme == "file":
        return "file:/" + rest.lstrip("/")
    if scheme == "dbfs":
        return "/" + rest.lstrip("/")
    return f"{'s3' if scheme in {'s3a', 's3n'} else scheme}:{rest}"


def _place(folder: str, base: str = "") -> str:
    """Where a row leads: a place in S3, or an absolute folder."""
    canonical = _canonical(folder)
    if is_remote(canonical):
        return REMOTE + canonical[len(REMOTE) :].strip("/")
    return os.path.abspath(os.path.join(base, folder))


def _root(uri: str) -> str:
    return "/".join(uri.split("/")[:3])


def _table(toml_path: str) -> dict[str, str]:
    mounts = read_toml(toml_path).get("mounts", {})
    if not isinstance(mounts, dict) or not all(isinstance(value, str) for value in mounts.values()):
        raise IllegalArgumentError(
            "INVALID_CONF_VALUE.TYPE_MISMATCH", confName="mounts", confValue=mounts, confType=f"table in {toml_path}"
        )
    return mounts


def read_toml(path: str) -> dict[str, Any]:
    """A TOML file as a dict."""
    with open(path, "rb") as file:
        return tomllib.load(file)

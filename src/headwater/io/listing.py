"""Which files a path means: Hadoop globs, Spark's hidden-file rule, the listing options of its readers.

Invariants: one `scandir` per folder and no `stat` beyond the files returned, in S3 one request for a thousand objects;
a file that vanishes while it is listed is left out; results are sorted by path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.io.formats.base import FormatOptions
from headwater.io.local import status
from headwater.io.mounts import Mounts
from headwater.io.paths import REMOTE, bucket_and_key, is_remote
from headwater.io.routing import exists, names_in
from headwater.io.s3 import s3_storage
from headwater.io.storage import FileStatus

_GLOB = re.compile(r"[*?\[{]")


@dataclass(frozen=True)
class Listing:
    """Files and the folders they were found under.

    Attributes:
        files: sorted by path.
        roots: for partition discovery: the folder each root path of the user resolved to.
    """

    files: tuple[FileStatus, ...]
    roots: tuple[str, ...]


@dataclass(frozen=True)
class ListingOptions:
    """The reader options that decide which files count.

    Attributes:
        name_glob: `pathGlobFilter`, compared with the file's name.
        recursive: `recursiveFileLookup`: take all folders and discover no partitions.
        before_ms, after_ms: `modifiedBefore`/`modifiedAfter`, exclusive, milliseconds since the epoch.
    """

    name_glob: str | None = None
    recursive: bool = False
    before_ms: int | None = None
    after_ms: int | None = None

    @classmethod
    def of(cls, options: FormatOptions, time_zone: str = "UTC") -> ListingOptions:
        """From reader options. Raises IllegalArgumentError for a time that is not one."""
        return cls(
            options.get("pathglobfilter"),
            options.flag("recursiveFileLookup"),
            _moment(options, "modifiedBefore", time_zone),
            _moment(options, "modifiedAfter", time_zone),
        )


def list_files(
    mounts: Mounts, paths: Sequence[str], options: ListingOptions = ListingOptions(), *, missing_ok: bool = False
) -> Listing:
    """All visible files under `paths` (files, folders or globs).

    Raises PATH_NOT_FOUND for a path that matches nothing, unless `missing_ok`.
    """
    found: dict[str, FileStatus] = {}
    roots: list[str] = []
    for path in paths:
        matches = expand(mounts.local(path))
        if not matches and not missing_ok:
            raise AnalysisError("PATH_NOT_FOUND", path=mounts.uri(path))
        local, uri = spelled(mounts, path)
        for match in matches:
            roots.append(match)
            for file in visible(match):
                if _wanted(file, options):
                    found[file.path] = replace(file, uri=uri + file.path[len(local) :])
    return Listing(tuple(found[path] for path in sorted(found)), tuple(dict.fromkeys(roots)))


def expand(pattern: str) -> list[str]:
    """The existing paths that a Hadoop glob matches, sorted; a plain path matches itself if it exists."""
    if not _GLOB.search(pattern) or exists(pattern):
        return [pattern] if exists(pattern) else []
    found = {path for alternative in _braces(pattern) for path in _expand_segments(alternative)}
    return sorted(found)


@lru_cache(maxsize=512)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """A Hadoop glob of one path segment as a regular expression: `*`, `?`, `[a-z]`, `[^a]`, `{a,b}`, `\\x`."""
    return re.compile("".join(_translate(glob)), re.DOTALL)


def hidden(name: str) -> bool:
    """Whether Spark's readers pass over a file or folder of this name."""
    partition_like = name.startswith("_") and "=" in name
    return (name[:1] in {"_", "."} and not partition_like) or name.endswith("._COPYING_")


def _braces(pattern: str) -> Iterator[str]:
    """`{a/b,c}` may span segments, so alternatives are spread first."""
    match = re.search(r"(?<!\\)\{([^{}]*)\}", pattern)
    if match is None:
        yield pattern
        return
    for choice in match[1].split(","):
        yield from _braces(pattern[: match.start()] + choice + pattern[match.end() :])


def _expand_segments(pattern: str) -> Iterator[str]:
    level = ["/"]
    if is_remote(pattern):
        bucket, pattern = bucket_and_key(pattern)
        level = [REMOTE + bucket]
    for segment in pattern.strip("/").split("/"):
        if _GLOB.search(segment):
            level = [os.path.join(folder, name) for folder in level for name in _matching(folder, segment)]
        else:
            level = [os.path.join(folder, segment) for folder in level]
    yield from (path for path in level if exists(path))


def _matching(folder: str, segment: str) -> list[str]:
    pattern = glob_pattern(segment)
    names = names_in(folder)
    return sorted(name for name in names if not hidden(name) and pattern.fullmatch(name))


def _translate(glob: str) -> Iterator[str]:
    index, depth = 0, 0
    while index < len(glob):
        char = glob[index]
        index += 1
        if char == "\\" and index < len(glob):
            yield re.escape(glob[index])
            index += 1
        elif char == "[" and "]" in glob[index + 1 :]:
            end = glob.index("]", index + 1)
            body = glob[index:end].replace("\\", r"\\").replace("[", r"\[")
            yield f"[{'^' + body[1:] if body[0] in '!^' else body}]"
            index = end + 1
        elif char == "{":
            depth += 1
            yield "(?:"
        elif char == "}" and depth:
            depth -= 1
            yield ")"
        elif char == "," and depth:
            yield "|"
        else:
            yield {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))


def visible(path: str) -> Iterator[FileStatus]:
    """Files at or below `path`; hidden folders and files below it are passed over."""
    if not is_remote(path):
        return _walk(path)
    return (file for file in objects(path) if not any(map(hidden, file.path[len(path) + 1 :].split("/"))))


def objects(path: str, after: str | None = None) -> Iterator[FileStatus]:
    """Objects at or below `path`, hidden ones too; with `after` those below it whose paths are greater."""
    storage = s3_storage()
    single = storage.status(path) if after is None else None
    if single is not None:
        yield single
    yield from storage.walk(path, after)


def one_each(mounts: Mounts, paths: Sequence[str], options: ListingOptions = ListingOptions()) -> list[FileStatus]:
    """A visible file of each folder under `paths`, sorted by path, for what the folders' names say.

    Of local files neither size nor time is looked at, unless `options` ask for times.
    """
    found: dict[str, FileStatus] = {}
    timed = options.before_ms is not None or options.after_ms is not None
    for path in paths:
        for match in expand(mounts.local(path)):
            names_only = not is_remote(match) and not timed
            for file in _names(match) if names_only else visible(match):
                place = os.path.dirname(file.path)
                if place not in found and _wanted(file, options):
                    found[place] = file
    return sorted(found.values())


def _names(root: str) -> Iterator[FileStatus]:
    """Files at or below a local path with nothing but their names."""
    todo = [root]
    while todo:
        path = todo.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if hidden(entry.name):
                        continue
                    if entry.is_dir():
                        todo.append(entry.path)
                    elif entry.is_file():
                        yield FileStatus(entry.path, -1, 0)
        except NotADirectoryError:
            yield FileStatus(path, -1, 0)
        except FileNotFoundError:
            continue


def _walk(path: str) -> Iterator[FileStatus]:
    try:
        entries = list(os.scandir(path))
    except NotADirectoryError:
        yield status(path, os.stat(path))
        return
    except FileNotFoundError:
        return
    for entry in entries:
        if hidden(entry.name):
            continue
        try:
            if entry.is_dir():
                yield from _walk(entry.path)
            elif entry.is_file():
                yield status(entry.path, entry.stat())
        except FileNotFoundError:
            continue


def _wanted(file: FileStatus, options: ListingOptions) -> bool:
    if options.name_glob is not None and not glob_pattern(options.name_glob).fullmatch(os.path.basename(file.path)):
        return False
    return timely(file.modified_ms, options)


def timely(modified_ms: int, options: ListingOptions) -> bool:
    """Whether a modification time lies between `modifiedAfter` and `modifiedBefore`."""
    if options.before_ms is not None and modified_ms >= options.before_ms:
        return False
    return options.after_ms is None or modified_ms > options.after_ms


def matches(pattern: str, path: str) -> bool:
    """Whether a listing of `pattern` finds the file `path`; nothing is looked up."""
    alternatives = _braces(pattern) if is_glob(pattern) else (pattern,)
    return any(_finds(one.rstrip("/").split("/"), path.split("/")) for one in alternatives)


def _finds(wanted: Sequence[str], parts: Sequence[str]) -> bool:
    if len(parts) < len(wanted):
        return False
    for segment, name in zip(wanted, parts, strict=False):
        found = not hidden(name) and glob_pattern(segment).fullmatch(name) if _GLOB.search(segment) else name == segment
        if not found:
            return False
    return not any(map(hidden, parts[len(wanted) :]))


def is_glob(path: str) -> bool:
    """Whether the path has wildcards."""
    return _GLOB.search(path) is not None


def spelled(mounts: Mounts, path: str) -> tuple[str, str]:
    """The fixed part of a user's path, local and as the user's URI: swap one for the other in a file's path."""
    match = _GLOB.search(path)
    fixed = path if match is None or exists(mounts.local(path)) else path[: match.start()].rpartition("/")[0]
    return mounts.local(fixed or "/").rstrip("/"), mounts.uri(fixed or "/").rstrip("/")


def _moment(options: FormatOptions, name: str, time_zone: str) -> int | None:
    text = options.get(name.lower())
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as cause:
        raise IllegalArgumentError(
            "INVALID_CONF_VALUE.TYPE_MISMATCH", confName=name, confValue=text, confType="timestamp"
        ) from cause
    zone = UTC if time_zone == "UTC" else ZoneInfo(time_zone)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)

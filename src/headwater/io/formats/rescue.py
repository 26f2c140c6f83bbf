"""Pieces of a rescued-data column: `{"field": value, …, "_file_path": "…"}`, null for a clean record.

Invariant: the text is JSON; values keep their JSON form.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from headwater.io.formats.scan import FILE, call, name, subquery
from headwater.io.storage import FileStatus


def pair(column: str, when: exp.Expr, value: exp.Expr) -> exp.Expr:
    """`"column":value` if `when`, else null."""
    return exp.Case(ifs=[exp.If(this=when, true=pair_text(exp.Literal.string(column), value))])


def pair_text(column: exp.Expr, value: exp.Expr) -> exp.Expr:
    """`"column":value`."""
    return call("concat", json_text(column), ":", json_text(value))


def json_text(value: exp.Expr) -> exp.Expr:
    """A value as JSON text."""
    return exp.cast(call("to_json", value.copy()), "VARCHAR")


def misfit(given: exp.Expr, value: exp.Expr) -> exp.Expr:
    """Whether something was given and `value` came out null."""
    there = exp.Not(this=exp.Is(this=exp.Paren(this=given.copy()), expression=exp.null()))
    return exp.and_(there, exp.Is(this=exp.Paren(this=value.copy()), expression=exp.null()))


def rescued_object(
    files: Sequence[FileStatus],
    pairs: Sequence[exp.Expr],
    extra: exp.Expr | None = None,
    dirty: exp.Expr | None = None,
) -> exp.Expr:
    """The object of all `pairs` that are not null and the text `extra`; null if there are none and not `dirty`."""
    tests: list[exp.Expr] = [
        exp.Not(this=exp.Is(this=exp.Paren(this=item.copy()), expression=exp.null())) for item in pairs
    ]
    tests += [dirty] if dirty is not None else []
    if not tests:
        return exp.cast(exp.null(), "VARCHAR")
    texts = [item.copy() for item in pairs] + ([extra] if extra is not None else [])
    joined = call("trim", call("concat_ws", ",", *texts), ",")
    body = call("concat", "{", joined, ',"_file_path":', file_path(files), "}")
    return exp.Case(ifs=[exp.If(this=exp.or_(*tests), true=body)])


def file_path(files: Sequence[FileStatus]) -> exp.Expr:
    """The path of the record's file as the user writes it, as JSON text."""
    return json_text(file_uri(files, name(FILE)))


def file_uri(files: Sequence[FileStatus], path: exp.Expr) -> exp.Expr:
    """A local path, or one in a bucket, as the user writes it."""
    plain = call("concat", "file:", path.copy())
    whens = [
        exp.If(
            this=call("starts_with", path.copy(), local + "/"),
            true=call("concat", uri, call("substring", path.copy(), len(local) + 1)),
        )
        for local, uri in sorted({_folders(file) for file in files}, reverse=True)
        if uri != "file:" + local
    ]
    return exp.Case(ifs=whens, default=plain) if whens else plain


def _folders(file: FileStatus) -> tuple[str, str]:
    """The folders, local and as the user writes it, below which a file has the same path in both."""
    if file.uri in ("", "file:" + file.path):
        return "", "file:"
    local, uri = file.path, file.uri
    while local.rpartition("/")[2] == uri.rpartition("/")[2] and "/" in local.rstrip("/"):
        local, uri = local.rpartition("/")[0], uri.rpartition("/")[0]
    return local, uri


def union(scans: Sequence[exp.Select]) -> exp.Select:
    """All rows of all scans."""
    if len(scans) == 1:
        return scans[0]
    whole: exp.Query = scans[0]
    for one in scans[1:]:
        whole = exp.Union(this=whole, expression=one, distinct=False)
    return exp.select(exp.Star()).from_(subquery(whole, "all_files"))

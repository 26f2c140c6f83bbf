"""What a plan reads: the data files (`df.inputFiles()`), as URIs, and whether a table is among it.

Invariant: views and stored tables are followed to their files; sources without files give none; of a Delta table the
files are those that a query reads, without the ones that its conditions exclude.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headwater.catalog import PathTable, Table, View
from headwater.io.formats.base import FormatOptions, formats
from headwater.io.listing import ListingOptions, list_files
from headwater.lake.handles import shared
from headwater.plan.relations import ReadSource, ReadTable, Relation
from headwater.sessions.pushing import unqualified, with_filters
from headwater.sessions.reading import source_request, stored_view, table_source
from headwater.sessions.scopes import reads

if TYPE_CHECKING:
    from headwater.sessions.session import Session


def input_files(plan: Relation, session: Session) -> list[str]:
    """The files, sorted. Raises TABLE_OR_VIEW_NOT_FOUND, PATH_NOT_FOUND."""
    found = _sources(with_filters(plan, session), session)
    return sorted({_spelled(uri) for source in found for uri in _source_files(source, session)})


def reads_table(plan: Relation, folder: str, session: Session) -> bool:
    """Whether a plan reads the Delta table in `folder`, in its newest version."""
    mounts, wanted = session.runtime.mounts, os.path.realpath(folder)
    for source in _sources(with_filters(plan, session), session):
        fixed = {"versionasof", "timestampasof"} & {key.lower() for key, _ in source.options}
        if source.format.lower() == "delta" and not fixed:
            paths = source_request(source).paths
            if any(os.path.realpath(mounts.local(path)) == wanted for path in paths):
                return True
    return False


def _spelled(uri: str) -> str:
    """Java's `URI` of a local path, unlike Hadoop's `Path`, keeps the empty host: `file:///data`."""
    return f"file://{uri[5:]}" if uri.startswith("file:/") and not uri.startswith("file://") else uri


def _sources(plan: Relation, session: Session) -> Iterator[ReadSource]:
    """The reads of sources that a plan comes down to."""
    for node in plan.walk():
        if isinstance(node, ReadSource):
            yield node
    for read in reads(plan):
        yield from _of_table(read, session)


def _of_table(read: ReadTable, session: Session) -> Iterator[ReadSource]:
    found = session.catalog.find(read.parts)
    if isinstance(found, View):
        yield from _sources(_known(found.plan, read, session), session)
    elif isinstance(found, PathTable):
        yield ReadSource(found.format, None, read.options, (found.path,), filters=read.filters)
    elif isinstance(found, Table) and found.is_view:
        yield from _sources(_known(stored_view(found, session), read, session), session)
    elif isinstance(found, Table):
        yield table_source(found, read)


def _known(plan: Relation, read: ReadTable, session: Session) -> Relation:
    return with_filters(plan, session, unqualified(read.filters, read.parts))


def _source_files(read: ReadSource, session: Session) -> Iterator[str]:
    mounts, paths = session.runtime.mounts, source_request(read).paths
    if read.format.lower() == "delta":
        for path in paths:
            folder = mounts.local(path)
            table = shared(folder, session.runtime.storage, session.runtime.clock)
            for file in table.snapshot().where(read.filters, session.time_zone).files:
                yield mounts.uri(os.path.join(folder, unquote(file.path)))
    elif formats.get(read.format) is not None and not read.streaming:
        options = ListingOptions.of(FormatOptions(read.options), session.time_zone)
        for status in list_files(mounts, paths, options).files:
            yield status.uri or mounts.uri(status.path)

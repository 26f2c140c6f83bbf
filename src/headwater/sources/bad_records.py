"""`badRecordsPath`: records that are none, kept as JSON lines beside the stream instead of in it.

The bad records of a file lie in `<badRecordsPath>/<yyyyMMdd'T'HHmmss>/bad_records/part-<key of the file and stream>`; a
line has `path`, `record` and `reason`.

Invariants: they are durable before the batch's rows are read; a file that is read again, after a crash, finds its bad
records there and writes none, so each is kept once, whichever files a batch is planned of.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pyspark.sql.types import StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.io.formats import Format, FormatOptions
from headwater.io.formats.base import ScanRequest
from headwater.io.formats.scan import name, subquery
from headwater.io.mounts import quote_uri
from headwater.io.storage import FileStatus, Storage
from headwater.sources.base import SourceContext, scanned

OPTION = "badRecordsPath"
_COLUMN = "__bad_record"
_METADATA = "_metadata"
TEXTUAL = ("json", "csv", "xml")
"""Formats whose records may be bad; of the others a whole file is, see `ignoreCorruptFiles`."""


@dataclass(frozen=True)
class BadRecords:
    """Where the bad records of one stream go.

    Attributes:
        folder: the user's, local.
        stream: what tells it from other streams with the same folder.
    """

    storage: Storage
    folder: str
    stream: str

    @classmethod
    def of(cls, options: FormatOptions, file_format: str, context: SourceContext) -> BadRecords | None:
        """From reader options; None if they name no place, or the format has no records that may be bad."""
        if not cls.asked(options, file_format):
            return None
        stream = f"{zlib.crc32(str(context.log_path).encode()):08x}"
        return cls(context.storage, context.mounts.local(options.text(OPTION)), stream)

    @staticmethod
    def asked(options: FormatOptions, file_format: str) -> bool:
        """Whether options name a place, and the format has records that may be bad."""
        return bool(options.text(OPTION)) and file_format in TEXTUAL

    def sift(self, connection: Connection, file_format: Format, request: ScanRequest, now_ms: int) -> ScanRequest:
        """Keep the bad records of a batch; the request that reads its good ones."""
        found: dict[str, list[str]] = {}
        for path, record in self._bad(connection, file_format, request):
            found.setdefault(path, []).append(record)
        kept = self._kept() if found else set()
        moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%S")
        files = {quote_uri(file.uri or f"file:{file.path}"): file for file in request.files}
        for path, records in found.items():
            name_ = self._name(files[path])
            if name_ not in kept:
                text = "".join(_line(files[path].uri or path, record) for record in records)
                self.storage.create(f"{self.folder}/{moment}/bad_records/{name_}", text.encode())
        return replace(request, options=FormatOptions({**request.options, "mode": "DROPMALFORMED"}))

    def _name(self, file: FileStatus) -> str:
        key = f"{self.stream} {file.uri} {file.modified_ms}"
        return f"part-{hashlib.sha256(key.encode()).hexdigest()[:32]}"

    def _kept(self) -> set[str]:
        folders = [f"{self.folder}/{one}/bad_records" for one in self.storage.list(self.folder)]
        return {name_ for folder in folders for name_ in self.storage.list(folder)}

    def _bad(self, connection: Connection, file_format: Format, request: ScanRequest) -> list[tuple[str, str]]:
        options = FormatOptions({**request.options, "mode": "PERMISSIVE", "columnnameofcorruptrecord": _COLUMN})
        fields = StructType([*request.schema.fields, StructField(_COLUMN, StringType())])
        asked = replace(request, schema=fields, options=options, metadata=True)
        found = scanned(file_format, asked)
        place = exp.Anonymous(this="struct_extract", expressions=[name(_METADATA), exp.Literal.string("file_path")])
        query = exp.select(place, name(_COLUMN)).from_(subquery(found.query, "records"))
        query = query.where(exp.Not(this=exp.Is(this=name(_COLUMN), expression=exp.null())))
        for known, data in found.inputs.items():
            connection.register(known, data)
        try:
            rows: list[tuple[str, str]] = connection.execute(sql_text(query)).fetchall()
        finally:
            for known in found.inputs:
                connection.unregister(known)
        return rows


def _line(path: str, record: str) -> str:
    reason = "MALFORMED_RECORD_IN_PARSING: the record is not of the format, or a value is not of its column's type"
    return json.dumps({"path": path, "record": record, "reason": reason}, ensure_ascii=False) + "\n"

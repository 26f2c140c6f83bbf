"""ORC, XML and binary files, JSON records as variants: the same reads by genuine Spark and by Headwater, compared.

One piece of code asks both; Spark writes the ORC files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from support.genuine_spark import ask_spark
from support.server import spark_session

WRITING = r'''
spark.sql("""SELECT CAST(1 AS TINYINT) a, CAST(2 AS SMALLINT) b, 3 c, 4L d, CAST(1.5 AS FLOAT) e, 2.5D f, 1.25BD g,
    'x' h, X'0102' i, true j, DATE'2024-01-02' k, TIMESTAMP'2024-06-02 03:04:05.123456' l,
    TIMESTAMP_NTZ'2024-06-02 03:04:05.123456' m, ARRAY(1, 2) n, MAP('a', 1) o, NAMED_STRUCT('x', 1, 'y', 'z') p,
    CAST('q' AS CHAR(3)) q, ARRAY(NAMED_STRUCT('t', TIMESTAMP'2024-06-02 03:04:05')) r, DATE'1900-01-01' s
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL""").coalesce(1).write.orc("orc")
answer = True
'''
DOCUMENTS = {
    "basic": '<rows><row id="1"><a>1</a><b>x</b></row><row id="2"><a>2.5</a><c/></row></rows>',
    "arr": "<rows><row><a>1</a><a>2</a></row><row><a>3</a></row></rows>",
    "mixedval": '<rows><row><a k="v">text</a></row><row><a>plain</a></row></rows>',
    "nested": "<rows><row><s><x>1</x><y>true</y></s></row><row><s><x>7</x></s><s><x>8</x></s></row></rows>",
    "types": "<rows><row><i>12</i><l>9223372036854775808</l><d>1.5</d><b>true</b><dt>2024-01-02</dt>"
    "<ts>2024-01-02T03:04:05Z</ts><ts2>2024-01-02 03:04:05</ts2><s> sp </s><e></e><n>null</n><exp>1e3</exp>"
    "<dec>123456789012345678901.5</dec><z>007</z><p>+5</p><f>1.5f</f></row></rows>",
    "rowtext": '<rows><row>just text</row><row a="1">t2</row></rows>',
    "ns": '<rows xmlns:q="u"><row><q:a>1</q:a><b q:k="2">z</b></row></rows>',
    "mixedcontent": "<rows><row>lead<a>1</a>trail</row></rows>",
    "cdata": "<rows><row><a><![CDATA[<x>&]]></a><!-- c --><b>a&amp;b</b></row></rows>",
    "emptyrow": "<rows><row/><row></row><row><a>1</a></row></rows>",
    "conflict": "<rows><row><a>1</a></row><row><a>x</a></row><row><a><q>1</q></a></row></rows>",
    "bad": "<rows><row><a>1</a></row><row><a>2</b></row><row><a>3</a></row></rows>",
    "cut": "<rows><row><a>1</a></row><row><a>2</a>",
    "deep": "<rows><x><row><a>1</a></row></x><row><a>2</a><row><a>9</a></row></row></rows>",
    "attrnest": '<rows><row><s p="1"><x>1</x></s></row></rows>',
    "anyval": "<rows><row><a> 1 </a><b>\n  multi\n  line </b></row></rows>",
    "boolint": "<rows><row><a>true</a></row><row><a>1</a></row></rows>",
    "intdbl": "<rows><row><a>1</a></row><row><a>1.5</a></row></rows>",
    "datets": "<rows><row><a>2024-01-01</a></row><row><a>2024-01-01T00:00:00</a></row></rows>",
    "case": "<rows><row><A>1</A></row><row><a>2</a></row></rows>",
}
OPTIONS = {
    "noinfer": ("nested", {"inferSchema": "false"}),
    "prefix": ("mixedval", {"attributePrefix": "@", "valueTag": "#"}),
    "exclude": ("mixedval", {"excludeAttribute": "true"}),
    "null": ("basic", {"nullValue": "x"}),
    "namespaces": ("ns", {"ignoreNamespace": "true"}),
    "spaces": ("anyval", {"ignoreSurroundingSpaces": "false"}),
    "failfast": ("bad", {"mode": "FAILFAST"}),
    "drop": ("bad", {"mode": "DROPMALFORMED"}),
    "decimal": ("types", {"prefersDecimal": "true"}),
    "none": ("types", {"rowTag": "nothere"}),
}
SCHEMAS = {
    "typed": (
        "types",
        "i int, l decimal(20,0), d float, b boolean, dt date, ts timestamp, s string, e string, x int",
    ),
    "wrong": ("basic", "_id int, a int, b int"),
    "array": ("arr", "a array<int>"),
    "last": ("arr", "a int"),
    "text": ("mixedval", "a string"),
    "corrupt": ("bad", "a int, _corrupt_record string"),
    "markup": ("nested", "s string"),
    "map": ("nested", "s map<string,string>"),
    "case": ("case", "a int"),
    "empty": ("basic", "c struct<x:int>"),
}
READING = r"""
def attempt(ask):
    try:
        return ask()
    except Exception as error:
        return "XML_ROW_TAG_MISSING" if "XML_ROW_TAG_MISSING" in str(error) else str(error)[:0] + "refused"
def told(frame):
    return [frame.schema.simpleString(), sorted(repr(row) for row in frame.collect())]
def xml(name, schema=None, **options):
    reader = spark.read.format("xml").options(**{"rowTag": "row", **options})
    return told((reader.schema(schema) if schema else reader).load(f"xml/{name}.xml"))
blobs = spark.read.format("binaryFile").load("bin")
answer = {
    "orc": told(spark.read.orc("orc")),
    "orc as others": told(spark.read.schema("c bigint, a int, e double, h int, B int, nope string").orc("orc")),
    "orc with an empty file": told(spark.read.schema("c int").orc("orc empty")),
    "orc some": told(spark.read.orc("orc").select("p", "a").where("c = 3")),
    "binary": told(blobs.selectExpr("length", "content", "sub", "path", "modificationTime")),
    "binary without content": told(blobs.selectExpr("path", "length")),
    "binary by name": told(spark.read.format("binaryFile").load("bin", pathGlobFilter="*.bin").select("length")),
    "binary schema": attempt(lambda: told(spark.read.format("binaryFile").schema("a string").load("bin"))),
    "no tag": attempt(lambda: told(spark.read.format("xml").load("xml/basic.xml"))),
    **{name: attempt(lambda: xml(name)) for name in DOCUMENTS},
    **{f"option {name}": attempt(lambda: xml(file, **options)) for name, (file, options) in OPTIONS.items()},
    **{f"schema {name}": attempt(lambda: xml(file, schema)) for name, (file, schema) in SCHEMAS.items()},
}
"""


def test_orc_xml_and_binary_files_are_read_as_by_genuine_spark(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in DOCUMENTS.items():
        _put(tmp_path / "xml" / f"{name}.xml", text.encode())
    _put(tmp_path / "bin" / "sub=1" / "a b.bin", b"\x00\x01")
    _put(tmp_path / "bin" / "sub=2" / "c.txt", b"hi!")
    facts = f"DOCUMENTS, OPTIONS, SCHEMAS = {list(DOCUMENTS)!r}, {OPTIONS!r}, {SCHEMAS!r}\n"
    ask_spark(WRITING, tmp_path)
    (written,) = (tmp_path / "orc").glob("*.orc")
    _put(tmp_path / "orc empty" / "a.orc", written.read_bytes())
    _put(tmp_path / "orc empty" / "b.orc", b"")
    genuine = ask_spark(facts + READING, tmp_path)
    with spark_session() as spark:
        scope: dict[str, Any] = {"spark": spark}
        exec(compile((facts + READING).replace('load(f"xml/', f'load(f"{tmp_path}/xml/'), "question", "exec"), scope)
        ours = json.loads(json.dumps(scope["answer"], default=str))
    assert {key: value for key, value in ours.items() if genuine[key] != value} == {
        key: value for key, value in genuine.items() if ours[key] != value
    }


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(1_700_000_000_123_000_000,) * 2)


VARIANTS = {
    "plain": "read().json('records.json')",
    "dropped": "read().option('mode', 'DROPMALFORMED').json('records.json')",
    "named": "read().schema('w variant').json('records.json')",
    "corrupt": "read().schema('v variant, _corrupt_record string').json('records.json')",
    "documents": "read().option('multiLine', True).json('document.json')",
    "folders": "read().json('folders')",
    "refused": "read().schema('a int').json('records.json')",
}
RECORDS = """{"a":1,"b":[1,2.5,"x"],"c":null}
broken

[1,{"z":2}]
3
"s"
null
{"dup":1,"dup":2}
  {"sp": true}\x20
{"a":12345678901234567890}
{"cut":
"""
VARIANT_CODE = """
def read():
    return spark.read.option("singleVariantColumn", "v")

def told(made):
    try:
        frame = made()
        rows = [[one.toJson() if hasattr(one, "toJson") else one for one in row] for row in frame.collect()]
        return [frame.schema.simpleString(), sorted(rows, key=str)]
    except Exception as error:
        return str(error).partition("]")[0]
"""


def test_records_as_variants_are_read_as_by_genuine_spark(tmp_path: Path, monkeypatch: Any) -> None:
    _put(tmp_path / "records.json", RECORDS.encode())
    _put(tmp_path / "document.json", b'[{"a":1},\n{"a":2}]')
    _put(tmp_path / "folders" / "day=1" / "a.json", b'{"a":1}')
    code = (
        VARIANT_CODE + "answer = {" + ", ".join(f"{key!r}: told(lambda: {one})" for key, one in VARIANTS.items()) + "}"
    )
    wanted = ask_spark(code, tmp_path)
    monkeypatch.chdir(tmp_path)
    with spark_session() as session:
        scope: dict[str, Any] = {"spark": session}
        exec(code, scope)
    assert json.loads(json.dumps(scope["answer"])) == wanted
    assert wanted["refused"] == "[INVALID_SINGLE_VARIANT_COLUMN"

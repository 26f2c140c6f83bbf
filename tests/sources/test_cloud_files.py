"""Auto Loader: each file once, an inferred schema that is kept, rescued data, new columns."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.errors import AnalysisError, IllegalArgumentError, UnknownFieldError, UnsupportedError
from headwater.io.mounts import Mounts
from headwater.sources.base import sources
from support.files import SourceBench, put


class CloudBench(SourceBench):
    def __init__(self, root, kind="json", schema=None, reader=None, **options):
        (root / "in").mkdir(exist_ok=True, parents=True)
        named = {f"cloudFiles.{name}": value for name, value in {"format": kind, **options}.items()}
        super().__init__("cloudFiles", root, schema, **named, **(reader or {}))

    def put(self, name, text):
        return put(self.root / "in" / name, text)

    @property
    def columns(self):
        return self.open().schema.simpleString()


def test_json_columns_are_strings_and_rescued_data_is_last(tmp_path):
    stream = CloudBench(tmp_path)
    path = stream.put("a.json", '{"id":1,"n":{"q":1}}\nbad\n')
    assert stream.columns == "struct<id:string,n:string,_rescued_data:string>"
    corrupt = f'{{"_corrupt_record":"bad","_file_path":"file:{path}"}}'
    assert stream.step() == sorted([("1", '{"q":1}', None), (None, None, corrupt)], key=repr)
    assert stream.step() is None


def test_types_are_inferred_on_request_and_hints_win(tmp_path):
    stream = CloudBench(tmp_path, inferColumnTypes="true", schemaHints="id int, later date")
    stream.put("a.json", '{"id":1,"n":{"q":1},"v":1.5}')
    assert stream.columns == "struct<id:int,n:struct<q:bigint>,v:double,later:date,_rescued_data:string>"


def test_a_new_field_stops_the_stream_and_the_next_start_reads_it(tmp_path):
    stream = CloudBench(tmp_path)
    stream.put("a.json", '{"id":1}')
    stream.step()
    stream.put("b.json", '{"id":2,"extra":5,"also":1}')
    with pytest.raises(
        UnknownFieldError, match=r"UNKNOWN_FIELD_EXCEPTION.*also, extra.*b\.json.*UnknownFieldException"
    ):
        stream.step()
    assert stream.columns == "struct<id:string,also:string,extra:string,_rescued_data:string>"
    assert stream.step() == [("2", "1", "5", None)]


def test_the_schema_is_kept_in_versions_at_the_schema_location(tmp_path):
    stream = CloudBench(tmp_path, schemaLocation=str(tmp_path / "schemas"))
    stream.put("a.json", '{"id":1}')
    stream.step()
    stream.put("b.json", '{"id":1,"x":1}')
    with pytest.raises(UnknownFieldError):
        stream.step()
    folder = tmp_path / "schemas" / "_schemas"
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]
    head, body = (folder / "1").read_text().split("\n")
    fields = json.loads(json.loads(body)["dataSchemaJson"])["fields"]
    assert (head, [field["name"] for field in fields]) == ("v1", ["id", "x"])


def test_a_kept_schema_needs_no_files(tmp_path):
    stream = CloudBench(tmp_path)
    path = stream.put("a.json", '{"id":1}')
    stream.step()
    path.unlink()
    assert stream.columns == "struct<id:string,_rescued_data:string>"
    assert stream.step() is None


@pytest.mark.parametrize("mode", ["rescue", "none", "failOnNewColumns"])
def test_other_evolution_modes(tmp_path, mode):
    stream = CloudBench(tmp_path, schemaEvolutionMode=mode)
    stream.put("a.json", '{"id":1}')
    stream.step()
    path = stream.put("b.json", '{"id":2,"x":5}')
    if mode == "failOnNewColumns":
        for _ in range(2):
            with pytest.raises(UnknownFieldError, match="retry: false"):
                stream.step()
    elif mode == "rescue":
        assert stream.step() == [("2", f'{{"x":5,"_file_path":"file:{path}"}}')]
    else:
        assert stream.step() == [("2",)]


def test_with_a_schema_nothing_is_inferred_or_rescued_unless_asked(tmp_path):
    stream = CloudBench(tmp_path, schema="id int")
    stream.put("a.json", '{"id":1,"x":2}')
    assert stream.step() == [(1,)]
    rescuing = CloudBench(tmp_path / "2", schema="id int", reader={"rescuedDataColumn": "r"})
    path = rescuing.put("a.json", '{"id":"1","x":2}')
    assert rescuing.step() == [(None, f'{{"id":"1","x":2,"_file_path":"file:{path}"}}')]


def test_csv_has_a_header_and_columns_go_by_name(tmp_path):
    stream = CloudBench(tmp_path, "csv", inferColumnTypes="true")
    stream.put("a.csv", "id,name\n1,x\n")
    assert stream.step() == [(1, "x", None)]
    stream.put("b.csv", "name,id,new\nq,2,9\n")
    with pytest.raises(UnknownFieldError, match="new"):
        stream.step()
    stream.open()
    assert stream.step() == [(2, "q", 9, None)]


def test_parquet_keeps_its_types_and_grows(tmp_path):
    stream = CloudBench(tmp_path, "parquet")
    pq.write_table(pa.table({"id": [1]}), tmp_path / "in" / "a.parquet")
    assert stream.step() == [(1, None)]
    pq.write_table(pa.table({"id": [2], "s": ["x"]}), tmp_path / "in" / "b.parquet")
    with pytest.raises(UnknownFieldError):
        stream.step()
    assert stream.columns == "struct<id:bigint,s:string,_rescued_data:string>"
    assert stream.step() == [(2, "x", None)]


def test_existing_files_can_be_passed_over_at_the_first_start(tmp_path):
    stream = CloudBench(tmp_path, includeExistingFiles="false")
    stream.put("a.json", '{"id":1}')
    assert stream.step() is None
    stream.put("b.json", '{"id":2}')
    stream.open()
    assert stream.step() == [("2", None)]


def test_both_rate_limits_may_be_set_and_the_lower_wins(tmp_path):
    stream = CloudBench(tmp_path, maxFilesPerTrigger="2", maxBytesPerTrigger="1g")
    for number in range(3):
        stream.put(f"{number}.json", f'{{"id":{number}}}')
    assert [len(stream.step() or ()) for _ in range(3)] == [2, 1, 0]
    assert stream.source.metrics()["numFilesOutstanding"] == "0"


def test_partition_columns(tmp_path):
    stream = CloudBench(tmp_path)
    stream.put("day=2024-01-01/a.json", '{"id":1}')
    assert stream.columns == "struct<id:string,_rescued_data:string,day:date>"
    chosen = CloudBench(tmp_path / "2", partitionColumns="")
    chosen.put("day=1/a.json", '{"id":1}')
    assert chosen.columns == "struct<id:string,_rescued_data:string>"


def test_buckets_are_folders_and_the_log_keeps_their_names(tmp_path):
    stream = CloudBench(tmp_path)
    stream.put("a.json", '{"id":1}')
    stream.mounts, stream.path = Mounts({"s3://raw": str(tmp_path / "in")}), "s3://raw/"
    assert stream.step() == [("1", None)]
    assert '"path":"s3://raw/a.json"' in (tmp_path / "checkpoint" / "sources" / "0" / "0").read_text()
    assert stream.source.description == "CloudFilesSource[s3://raw/]"


def test_an_empty_folder_cannot_be_inferred(tmp_path):
    with pytest.raises(AnalysisError, match="CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE"):
        CloudBench(tmp_path).open()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kind": ""}, IllegalArgumentError, "CF_SOURCE_FORMAT_MISSING"),
        ({"kind": "shapefile"}, IllegalArgumentError, "must be one of json, csv, xml"),
        ({"maxFilesPerTriger": "1"}, IllegalArgumentError, "Did you mean cloudFiles.maxFilesPerTrigger"),
        ({"cleanSource": "maybe"}, IllegalArgumentError, "OFF, DELETE, MOVE"),
        ({"cleanSource": "MOVE"}, IllegalArgumentError, "moveDestination"),
        (
            {"cleanSource": "DELETE", "cleanSource.retentionDuration": "7 days"},
            IllegalArgumentError,
            "more than 7 days",
        ),
        ({"queueName": "x"}, UnsupportedError, "queuename"),
        ({"schema": "id int", "schemaEvolutionMode": "addNewColumns"}, IllegalArgumentError, "CF_ADD_NEW"),
        ({"schema": "id int", "schemaHints": "id int"}, IllegalArgumentError, "schemaHints"),
        ({"schemaEvolutionMode": "maybe"}, IllegalArgumentError, "must be one of"),
        ({"maxBytesPerTrigger": "much"}, IllegalArgumentError, "such as 10g"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, error, message):
    stream = CloudBench(tmp_path, **options)
    stream.put("a.json", '{"id":1}')
    with pytest.raises(error, match=message):
        stream.open()


def test_unknown_options_pass_if_validation_is_off(tmp_path):
    stream = CloudBench(tmp_path, validateOptions="false", something="1")
    stream.put("a.json", '{"id":1}')
    assert stream.step() == [("1", None)]


def test_it_is_no_batch_source(tmp_path):
    with pytest.raises(UnsupportedError, match="availableNow"):
        sources.get("cloudFiles").batch(CloudBench(tmp_path).request, CloudBench(tmp_path).context)

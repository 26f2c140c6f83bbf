"""The rate-micro-batch source."""

import pytest

from headwater.errors import IllegalArgumentError
from support.files import SourceBench


def bench(tmp_path, **options):
    stream = SourceBench("rate-micro-batch", tmp_path, None, "", **options)
    stream.open()
    return stream


def test_every_batch_has_the_same_number_of_rows_and_a_later_time(tmp_path):
    stream = bench(tmp_path, rowsPerBatch="3", startTimestamp="100", advanceMillisPerBatch="50")
    batches = [stream.step() for _ in range(2)]
    assert [[value for _, value in rows] for rows in batches] == [[0, 1, 2], [3, 4, 5]]
    assert [{moment.timestamp() for moment, _ in rows} for rows in batches] == [{0.1}, {0.15}]
    assert stream.offset == '{"offset":6,"timestamp":200}'


def test_the_same_offsets_give_the_same_rows_after_a_restart(tmp_path):
    stream = bench(tmp_path, rowsPerBatch="3")
    first = stream.step()
    again = bench(tmp_path, rowsPerBatch="3")
    assert again.rows('{"offset":0,"timestamp":0}', stream.offset) == first


def test_available_now_is_one_batch(tmp_path):
    stream = bench(tmp_path, rowsPerBatch="3")
    stream.source.prepare_available_now()
    assert len(stream.step()) == 3
    assert stream.step() is None


def test_its_description_is_sparks(tmp_path):
    assert bench(tmp_path, rowsPerBatch="5", startTimestamp="100").source.description == (
        "RatePerMicroBatchStream[rowsPerBatch=5, numPartitions=1, startTimestamp=100, advanceMsPerBatch=1000]"
    )


@pytest.mark.parametrize("options", [{}, {"rowsPerBatch": "0"}, {"rowsPerBatch": "1", "startTimestamp": "-1"}])
def test_impossible_values_are_refused(tmp_path, options):
    with pytest.raises(IllegalArgumentError, match="INVALID_SOURCE_OPTION"):
        bench(tmp_path, **options)

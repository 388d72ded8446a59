"""The parts of loading by themselves: lines of bytes, single records, folders, and batches kept on disk."""

import gzip
import io

import pyarrow as pa
import pytest

from recryst.state.params.preparation import LoadParams
from recryst.tools.read.arrow.spool import Spool, aligned
from recryst.tools.read.columns import JSON_TEXT, free_name
from recryst.tools.read.pages.documents import files_in
from recryst.tools.read.readers import parse_line
from recryst.tools.read.records import BadRecord, Quarantine, Reading
from recryst.tools.read.streams import Line, lines, open_bytes


def test_a_line_that_is_too_long_is_passed_over_and_the_next_is_read():
    found = list(lines(io.BytesIO(b'\xef\xbb\xbfa\n"' + b"x" * 50 + b"\nb"), 10))
    assert [(line.number, line.data) for line in found if not line.problem] == [(1, b"a\n"), (3, b"b")]
    assert found[1].odd_quotes
    assert "longer than" in found[1].problem


def test_a_compressed_file_that_breaks_off_says_where(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(b"one\ntwo\n" * 1000)[:-12])
    with open_bytes(path) as stream:
        *_, last = lines(stream, 100)
    assert "breaks off here" in last.problem


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[1]", "an array"),
        (b"{}", "empty object"),
        (b'{"a": nan}', "not valid JSON at column 7"),
        (b'{"a": "\xff"}', "invalid UTF-8 at byte 7"),
        (b'{"a": 99999999999999999999}', "beyond 64 bits"),
    ],
)
def test_what_is_no_record_says_why(data, reason):
    with pytest.raises(BadRecord, match=reason):
        parse_line(Line(1, data), Reading(LoadParams(), Quarantine(io.BytesIO())))


def test_files_of_a_folder_come_in_the_order_of_their_paths(tmp_path):
    for name in ("b/2", "b/1", "a", "b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in files_in(tmp_path)] == ["a", "b.txt", "b/1", "b/2"]


def test_batches_come_back_in_one_schema_that_changes_no_value(tmp_path):
    spool = Spool(tmp_path)
    spool.add("file", [1, 2], pa.record_batch({"n": [1, None], "mixed": ["a", "b"]}))
    spool.add("file", [3], pa.record_batch({"n": [0.5], "mixed": [True], "late": ["x"]}))
    schema = spool.schema()
    assert schema.names == ["n", "mixed", "late"]
    assert schema.field("n").type == pa.float64()
    assert schema.field("mixed").metadata == JSON_TEXT
    columns = [[column.to_pylist() for column in aligned(batch.table, schema)] for batch in spool]
    assert columns == [[[1.0, None], ['"a"', '"b"'], [None, None]], [[0.5], ["true"], ["x"]]]
    assert [batch.lines.to_pylist() for batch in spool] == [[1, 2], [3]]


def test_a_free_name_is_none_that_stands():
    assert [free_name("id", taken) for taken in ([], ["id"], ["id", "id_"])] == ["id", "id_", "id__"]

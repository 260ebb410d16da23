import gzip

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fairjax.audit.sources import InMemory, InputError, listed
from fairjax.audit.table_files import blocks_of, kind_of, written_names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t.csv", "csv"),
        ("t.txt", "csv"),
        ("t.CSV.gz", "csv"),
        ("t.tab", "tsv"),
        ("a.b.pq", "parquet"),
        ("t.ndjson.bz2", "json"),
        ("t.xlsx", "xlsx"),
    ],
)
def test_the_name_says_the_kind(tmp_path, name, kind):
    path = tmp_path / name
    assert kind_of(path, strict=False) == kind
    with pytest.raises(InputError, match="does not exist"):
        kind_of(path)
    path.touch()
    assert kind_of(path) == kind


@pytest.mark.parametrize("name", ["t", "t.gz", "t.npz", "t.csv.zip"])
def test_another_name_is_no_table(tmp_path, name):
    path = tmp_path / name
    path.touch()
    assert kind_of(path, strict=False) == ""
    with pytest.raises(InputError, match="a table's name ends in .csv, .tsv, .parquet, .jsonl or"):
        kind_of(path)


def test_a_folder_is_no_table(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(InputError, match=r"t\.csv is a folder"):
        kind_of(tmp_path / "t.csv")


def test_a_table_in_memory_has_a_name_and_its_columns():
    source = InMemory(pa.table({" a ": [1], "b": ["x"]}), {"v": np.eye(1)}, "the pairs")
    assert (kind_of(source), str(source)) == ("memory", "the pairs")
    assert written_names(source) == [" a ", "b"]
    (block,) = blocks_of(source, ["a"], [], False, ())
    assert block.schema.names == ["a"] and block.column(0).to_pylist() == [1]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "t.parquet", "t.jsonl"])
def test_wanted_columns_come_under_clean_names_in_the_order_asked_for(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".parquet"):
        parquet.write_table(pa.table({" g": ["x", "y"], "s ": [0.5, 1.0], "rest": [1, 2]}), path)
    elif name.endswith(".jsonl"):
        path.write_text('{" g": "x", "s ": 0.5, "rest": 1}\n{" g": "y", "s ": 1.0, "rest": 2}\n')
    else:
        text = " g,s ,rest\nx,0.5,1\ny,1.0,2\n".replace(",", "\t" if name == "t.tsv" else ",")
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert written_names(path) == [" g", "s ", "rest"]
    blocks = list(blocks_of(path, ["g"], ["s"], False, ()))
    table = pa.Table.from_batches(blocks)
    assert table.column_names == ["g", "s"]
    assert table["g"].to_pylist() == ["x", "y"] and table["s"].to_pylist() == [0.5, 1.0]


def test_words_that_stand_for_a_missing_number_are_none_where_numbers_may_be_missing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("s,g\n0.5,a\nnan,b\n,c\nerror,d\n")
    (block,) = blocks_of(path, [], ["s"], True, ("error",))
    assert block.column(0).to_pylist() == [0.5, None, None, None]
    with pytest.raises(pa.ArrowInvalid):
        list(blocks_of(path, [], ["s"], True, ()))


def test_a_first_line_that_is_no_object_is_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text("[1, 2]\n")
    with pytest.raises(InputError, match="data row 1: expected a JSON object, one a line"):
        written_names(path)


def test_names_are_listed_and_cut():
    assert listed([]) == "none"
    assert listed(["a", "b"]) == "'a', 'b'"
    assert listed(["a", "b", "c"], most=1) == "'a' and 2 more"

import gzip

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fairjax.audit import table_files
from fairjax.audit.sources import InMemory, InputError
from fairjax.audit.table_files import (
    blocks_of,
    dialect_of,
    has_decimal_commas,
    kind_of,
    written_names,
)


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


@pytest.mark.parametrize(
    ("text", "commas"),
    [
        ("g;s\na;0,5\n", True),
        ("g;s\na;0.5\n", False),
        ("g,s\na,0.5\n", False),
        ("g\ts\na\t0,5\n", True),
        ("g;s\na;5\n", False),
    ],
)
def test_decimal_commas_are_looked_for_in_text_tables(tmp_path, text, commas):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert has_decimal_commas(path, ["g", "s"]) is commas
    assert dialect_of(path, ["s"]).decimal == ("," if commas else ".")


def test_a_table_of_another_kind_has_no_decimal_commas(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"s": ["0,5"]}), path)
    assert not has_decimal_commas(path, ["s"])


def test_a_tab_parts_fields_where_the_name_says_so(tmp_path):
    for name, columns in (("t.tsv", ["a,b"]), ("t.csv", ["a", "b"])):
        (tmp_path / name).write_text("a,b\n1,2\n")
        assert written_names(tmp_path / name) == columns


def test_a_column_that_is_number_and_text_is_read_once(tmp_path):
    source = InMemory(pa.table({"a": [1, 2], "b": ["x", "y"]}))
    (block,) = blocks_of(source, ["a", "b"], ["a"], False, ())
    assert block.schema.names == ["a", "b"]


def test_a_file_comes_in_blocks_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "BLOCK", 64)
    monkeypatch.setattr(table_files, "_ROWS", 7)
    rows = [f"p{k:03d}" for k in range(50)]
    (tmp_path / "t.csv").write_text("name\n" + "\n".join(rows) + "\n")
    parquet.write_table(pa.table({"name": rows}), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("".join(f'{{"name": "{row}"}}\n' for row in rows))
    memory = InMemory(pa.table({"name": rows}))
    for source in (tmp_path / "t.csv", tmp_path / "t.parquet", tmp_path / "t.jsonl", memory):
        blocks = list(blocks_of(source, ["name"], [], False, ()))
        assert len(blocks) > 3, source
        assert pa.Table.from_batches(blocks)["name"].to_pylist() == rows


def test_a_key_that_is_written_twice_counts_twice(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1, "a": 2, "b": 3}\n{"c": 1}\n')
    assert written_names(path) == ["a", "a", "b"]
    path.write_bytes(gzip.compress(b'{"a": 1}\n'))
    zipped = path.rename(tmp_path / "t.jsonl.gz")
    assert written_names(zipped) == ["a"]


def test_the_word_na_is_a_name_of_a_group_and_no_number(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("g,s\nNA,NA\n,0.5\n")
    (block,) = blocks_of(path, ["g"], [], True, ())
    assert block.column(0).to_pylist() == ["NA", ""]
    with pytest.raises(pa.ArrowInvalid):
        list(blocks_of(path, [], ["s"], True, ()))
    (block,) = blocks_of(path, [], ["s"], True, ("NA",))
    assert block.column(0).to_pylist() == [None, 0.5]

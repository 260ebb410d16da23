import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fairjax.audit import table_files, tables
from fairjax.audit.tables import InputError, Names, fingerprint, read_batches

ROWS = [("a", 0.5), ("b", 0.25), ("NA", 1.0)]


def write(path: Path) -> Path:
    """The three rows in the format that the name asks for."""
    name, columns = path.name, {"g": [g for g, _ in ROWS], "score": [s for _, s in ROWS]}
    if name.endswith(".parquet"):
        parquet.write_table(pa.table(columns), path)
    elif name.endswith(".jsonl"):
        path.write_text("".join(f'{{"score": {s}, "g": "{g}"}}\n' for g, s in ROWS))
    else:
        mark = "\t" if ".tsv" in name else ";" if "semicolon" in name else ","
        text = "".join(f"{g}{mark}{s}\n" for g, s in [("g", "score"), *ROWS])
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def read(path: Path, **columns: list[str]) -> dict[str, list]:
    wanted = columns or {"text": ["g"], "numbers": ["score"]}
    found: dict[str, list] = {}
    for batch in read_batches(path, **{"text": [], "numbers": [], **wanted}):
        for name, column in batch.columns.items():
            found.setdefault(name, []).extend(column.tolist())
    return found


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.csv.gz", "semicolon.csv", "t.parquet", "t.jsonl"]
)
def test_every_format_gives_the_same_rows(tmp_path, name):
    assert read(write(tmp_path / name)) == {"g": ["a", "b", "NA"], "score": [0.5, 0.25, 1.0]}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "g,score\na,1\nb,abc\n", "data row 2: score is 'abc', not a number"),
        ("t.csv", "score,x,g\n1,,a\n\n1,y,b\nabc,,b\n", "data row 3: score is 'abc'"),
        ("t.csv", "g;score\na;0.3\nb;0,3\n", "data row 2: score is '0,3', not a number; decimal"),
        ("t.csv", 'g,score\na,"0,3"\n', "data row 1: score is '0,3', not a number; decimal"),
        ("t.csv", "g;score\na;1,234.5\n", "not a number; write it without marks between thou"),
        ("t.csv", 'g,score\na, "0.3"\n', "not a number; its quotes come after a blank"),
        ("t.csv", "# of May\ng,score\na,0.3\n", "is the first line a title? Take it out"),
        ("t.csv", "g,score\na,30%\n", "not a number; write it without the percent sign"),
        ("t.csv", "g,score\na,1\n,\nb,1\n", "data row 2: score is missing"),
        ("t.csv", "g,\xe4\na,1\n".encode("latin-1"), "save the file as UTF-8"),
        ("t.jsonl", '{"g":"\xe4"}\n'.encode("latin-1"), "save the file as UTF-8"),
        ("t.csv", "sep=;\ng;score\na;1\nb;x\n", "data row 2: score is 'x'"),
        ("t.csv", "g,score\na,1\nb,\n", "data row 2: score is missing, not a finite number"),
        ("t.csv", "g,score\na,nan\n", "data row 1: score is NaN, not a finite number"),
        ("t.csv", "g,score\na,-inf\n", "data row 1: score is -inf, not a finite number"),
        ("t.csv", "g,score\na,1\nb\n", "data row 2: Expected 2 columns, got 1"),
        ("t.csv", "g,score,score\na,1,2\n", "has 2 columns named 'score'"),
        ("t.csv", "g,scores\na,1\n", "no column 'score'; it has 'g', 'scores'. Did you mean"),
        ("t.csv", "", "Empty CSV file"),
        ("t.csv", "g,score\n", "has no rows"),
        ("t.csv", b"g,score\n\xe9,1\n", "save the file as UTF-8"),
        ("t.jsonl", '{"g":"a","score":1}\n\n{"g":"b","score":"x"}\n', "data row 2: score is 'x'"),
        ("t.jsonl", '{"g":"a","score":1}\n{"g":\n', "data row 2: not a JSON object"),
        ("t.jsonl", '{"g":"a","score":1}\n{"g":"b"}\n', "data row 2: score is missing"),
        ("t.jsonl", '{"g":"a","g":"b","score":1}\n', "has 2 columns named 'g'"),
        ("t.jsonl", "[1]\n", "expected a JSON object, one a line"),
        ("t.parquet", b"PAR1 not at all", "t.parquet"),
        ("t.csv.gz", b"not gzip", "t.csv.gz"),
        ("t.xlsx", "x", "no whole .xlsx workbook"),
        ("t.doc", "x", "ends in .csv, .tsv, .parquet, .jsonl or .xlsx"),
    ],
)
def test_a_bad_table_is_one_line_that_says_where(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\ng;score\r\na;0,5\r\nb;0,25\r\n",
        "\ufeffg;score\na;0,5\nb;0,25\n",
        "g|score\na|0.5\nb|0.25\n",
        "g, score\na, 0.5\nb, 0.25\n",
        " g ,score \n a ,0.5\nb\u00a0,0.25\n",
        "g;score;remark, free\na;0.5;x\nb;0.25;x\n",
        "g\tscore\na\t0,5\nb\t0,25\n",
        "g,score\ra,0.5\rb,0.25\r",
        "g,score\na,0.5\nb,0.25\n,\n,\n",
        "g,score,more\na,0.5,\nb,0.25,\n,,\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_dialects_of_spreadsheets_give_the_same_rows(tmp_path, text, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    fingerprint(path)
    assert read(path) == {"g": ["a", "b"], "score": [0.5, 0.25]}


def test_a_workbook_is_read_like_the_table_it_shows(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [("g", "score"), ("a ", 0.5), ("7", 1), (None, None)]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert read(tmp_path / "t.xlsx") == {"g": ["a", "7"], "score": [0.5, 1.0]}
    book.create_sheet("more").append(["x"])
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match=r"2 sheets hold cells \(Sheet, more\)"):
        read(tmp_path / "t.xlsx")


def test_text_comes_through_the_door_for_names(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {"g": ["Zoe\u0308", "Zo\u00eb "], "k": [7.0, None], "score": [1.0, 2.0]}
    parquet.write_table(pa.table(columns), path)
    assert read(path, text=["g", "k"]) == {"g": ["Zo\u00eb", "Zo\u00eb"], "k": ["7", ""]}


def test_numbers_may_be_missing_where_that_is_asked_for(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("g,score\na,0.5\nb,\nc,nan\nd,None\n")
    (batch,) = read_batches(path, text=["g"], numbers=["score"], blanks=True)
    assert np.isnan(batch.columns["score"]).tolist() == [False, True, True, True]


def test_no_sound_compressed_table_is_refused_for_a_quote(tmp_path):
    odd = 0
    for k in range(40):
        path = tmp_path / f"t{k}.csv.gz"
        rows = "".join(f"s{j % 9},{j * 7919 * (k + 1) % 1000}\n" for j in range(200))
        path.write_bytes(gzip.compress(b"g,score\n" + rows.encode(), mtime=0))
        odd += path.read_bytes().count(b'"') % 2
        fingerprint(path)
    assert odd > 5  # so that counting compressed bytes would be seen
    path.write_bytes(gzip.compress(b'g,score\n"a,1\n'))
    with pytest.raises(InputError, match="odd number of double quotes"):
        fingerprint(path)


def test_a_missing_file_and_a_folder_are_said(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path / "folder.csv")


def test_numbers_kept_as_text_in_parquet_are_read_or_named(tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"score": ["0.5", "1e-3"]}), path)
    assert read(path, numbers=["score"]) == {"score": [0.5, 1e-3]}
    parquet.write_table(pa.table({"score": ["0.5", "half"]}), path)
    with pytest.raises(InputError, match="data row 2: score is 'half'"):
        read(path, numbers=["score"])


def test_rows_are_counted_through_all_batches(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("g,score\n" + "abcdefghijklmnop,0.25\n" * 1_000_000 + "x,bad\n")
    with pytest.raises(InputError, match="data row 1000001: score is 'bad'"):
        read(path)


def test_an_open_quote_is_refused_before_it_swallows_rows(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('score,g\n1,"a\n2,b\n3,c\n')
    assert len(read(path)["score"]) == 1  # what any CSV reader makes of it
    with pytest.raises(InputError, match="odd number of double quotes"):
        fingerprint(path)


def test_names_are_renumbered_so_that_their_order_plays_no_part():
    one, other = Names(), Names()
    first, second = one.encode(pa.array(["b", "a", "b"])), other.encode(pa.array(["a", "b", "b"]))
    assert one.ordered()[1][first].tolist() == [1, 0, 1]
    assert other.ordered()[1][second].tolist() == [0, 1, 1]


def test_a_row_longer_than_a_block_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "BLOCK", 1 << 20)
    path = tmp_path / "long.csv"
    path.write_text('a,b\n1,2\n"' + "x" * (3 << 20) + '",3\n')
    with pytest.raises(InputError, match="long.csv: a row is longer than 1 MiB; is a double quote"):
        list(read_batches(path, text=["a"], numbers=["b"]))


def test_some_columns_are_read_as_words(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("name,age,note\n anna ,30,\nben,,x\n,,\n")
    assert tables.read_words(path, ["note", "name"]) == {"note": ["", "x"], "name": ["anna", "ben"]}
    assert tables.read_words(path, []) == {}
    with pytest.raises(InputError, match="has no column 'sex'"):
        tables.read_words(path, ["sex"])
    monkeypatch.setattr(table_files, "BLOCK", 16)  # a batch ends within the table
    long = "name\n" + "".join(f"p{k:07d}\n" for k in range(50))
    path.write_text(long)
    assert tables.read_words(path, ["name"])["name"] == [f"p{k:07d}" for k in range(50)]


def test_a_float32_is_the_decimal_that_stands_for_it(tmp_path):
    written = [0.7, 0.6, 0.1, 1e-20, 3e9]  # as float32 some lie below themselves, some above
    columns = {"score": pa.array(written, pa.float32()), "g": ["a"] * 5}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", numbers=["score"])["score"] == written
    gap = pa.table({"score": pa.array([0.7, None, np.nan], pa.float32())})
    parquet.write_table(gap, tmp_path / "gap.parquet")
    (batch,) = read_batches(tmp_path / "gap.parquet", text=[], numbers=["score"], blanks=True)
    np.testing.assert_array_equal(batch.columns["score"], [0.7, np.nan, np.nan])

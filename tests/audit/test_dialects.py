"""How a spreadsheet wrote a text table: delimiter, encoding, `sep=` line, decimal commas."""

import bz2
import gzip

import pytest

from fairjax.audit import dialects
from fairjax.audit.dialects import Dialect, find_dialect, open_text


def dialect(folder, text, *, name="t.csv", encoding="utf-8", tabs=False, numbers=("score",)):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return find_dialect(path, tabs=tabs, numbers=numbers)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("g,score\na,1\n", ","),
        ("g;score\na;1\n", ";"),
        ("g\tscore\na\t1\n", "\t"),
        ("g|score\na|1\n", "|"),
        ("g;score;why, if at all\na;1;x\n", ";"),  # one comma in a name parts nothing
        ('g,score,why\na,1,"x;y;z"\n', ","),
        ("g,a;b,score\nx,y,1\n", ","),
        ("score\n1\n", ","),  # one column: no delimiter at all
        ("g;score\n", ";"),  # a header alone
        ("g;score\na;1;2\n", ";"),  # ragged, which the reader names by its row
        ("g,score\na;1\n", ","),
        ("", ","),
    ],
)
def test_the_delimiter_parts_header_and_first_row_alike(tmp_path, text, delimiter):
    assert dialect(tmp_path, text).delimiter == delimiter


def test_a_name_that_says_tabs_is_believed(tmp_path):
    assert dialect(tmp_path, "a;b\tc;d\n1;2\t3;4\n", tabs=True).delimiter == "\t"


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "sep=; "])
def test_a_line_that_names_the_delimiter_is_skipped(tmp_path, line):
    found = dialect(tmp_path, f"{line}\ng;score\na;0,5\n")
    assert found == Dialect("utf-8", ";", 1, ",")


def test_a_header_that_only_looks_like_that_line_is_none(tmp_path):
    assert dialect(tmp_path, "sep=,score\na,1\n") == Dialect("utf-8", ",", 0)


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("g;score\na;0,5\n", ","),
        ("g;score\na;-1,5e-3\n", ","),
        ("g;score\na;0.5\n", "."),
        ("g;score\na;0,5\nb;0.5\n", "."),  # a point anywhere: the commas are refused as text
        ("g;score\na;1\n", "."),
        ("g;score\na;1,000,000\n", "."),
        ("0,5;score\na;1\n", "."),  # in a header
        ("g,score\na,5\n", "."),  # a comma that parts fields is no decimal comma
        ("note;score\n0,5;1\n", "."),  # in a column that is not one of numbers
        ("g;other\na;0,5\n", "."),
        ("g;score\na\nb;0,5\n", ","),  # a short row has no such field
    ],
)
def test_decimal_commas_are_believed_where_no_number_has_a_point(tmp_path, text, decimal):
    assert dialect(tmp_path, text).decimal == decimal


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_told_by_its_mark(tmp_path, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    text = f"{mark}g;score\nä;0,5\n"
    found = dialect(tmp_path, text, encoding=encoding)
    assert (found.encoding, found.delimiter, found.decimal) == ("utf-16", ";", ",")
    with open_text(tmp_path / "t.csv", found) as file:
        assert file.read().decode("utf-8").removeprefix("\ufeff") == "g;score\nä;0,5\n"


def test_utf_8_comes_through_as_it_is(tmp_path):
    found = dialect(tmp_path, "\ufeffg;score\nä;0,5\n")
    assert found == Dialect("utf-8", ";", 0, ",")
    with open_text(tmp_path / "t.csv", found) as file:
        assert file.read().decode() == "\ufeffg;score\nä;0,5\n"


@pytest.mark.parametrize(("pack", "end"), [(gzip.compress, "gz"), (bz2.compress, "bz2")])
def test_what_is_packed_is_unpacked(tmp_path, pack, end):
    path = tmp_path / f"t.csv.{end}"
    path.write_bytes(pack(b"g;score\na;0,5\n"))
    found = find_dialect(path, tabs=False, numbers=["score"])
    assert (found.delimiter, found.decimal) == (";", ",")
    with open_text(path, found) as file:
        assert file.read() == b"g;score\na;0,5\n"


def test_only_whole_lines_of_a_long_table_count(tmp_path, monkeypatch):
    text = "g;score\n" + "a;1\n" * 20
    monkeypatch.setattr(dialects, "HEAD", len(text) - 2)  # cuts the last line to "a;"
    assert dialect(tmp_path, text + "b;0,5\n").decimal == "."
    monkeypatch.setattr(dialects, "HEAD", len(text) + len("b;0,5\n") + 1)
    assert dialect(tmp_path, text + "b;0,5\n").decimal == ","
    monkeypatch.setattr(dialects, "HEAD", 31)  # an odd number of bytes of UTF-16
    assert dialect(tmp_path, text, encoding="utf-16").delimiter == ";"


def test_a_missing_file_is_the_systems_own_error(tmp_path):
    with pytest.raises(OSError, match="nothing.csv"):
        find_dialect(tmp_path / "nothing.csv", tabs=False)

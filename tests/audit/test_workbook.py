"""The one sheet of a workbook as a table."""

import builtins
import datetime

import pytest

from fairjax.audit.workbook import WorkbookError, read_workbook

openpyxl = pytest.importorskip("openpyxl")


def read(folder, *rows, more=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, cells in more:
        book.create_sheet(title).append(cells)
    book.save(folder / "t.xlsx")
    return read_workbook(folder / "t.xlsx").to_pydict()


def test_numbers_stay_numbers_and_a_column_with_text_becomes_text(tmp_path):
    found = read(
        tmp_path,
        ("whole", "real", "text", "mixed", "flag"),
        (1, 0.5, "a", 7, True),
        (2.0, 1, None, "b", False),
        (None, None, "c", 1.5, None),
    )
    assert found["whole"] == [1, 2, None] and type(found["whole"][1]) is int
    assert found["real"] == [0.5, 1.0, None] and type(found["real"][1]) is float
    assert found["text"] == ["a", None, "c"]
    assert found["mixed"] == ["7", "b", "1.5"]
    assert found["flag"] == ["True", "False", None]  # a truth value is no number


def test_dates_are_written_as_dates_and_times_with_their_time(tmp_path):
    found = read(
        tmp_path,
        ("day", "hour"),
        (datetime.datetime(2020, 10, 19), datetime.datetime(2020, 10, 19, 8, 30)),
    )
    assert found == {"day": ["2020-10-19"], "hour": ["2020-10-19 08:30:00"]}


def test_empty_rows_and_columns_at_the_end_are_left_out(tmp_path):
    found = read(tmp_path, ("a", "b", None), ("x", None, None), (None, None), (None,))
    assert found == {"a": ["x"], "b": [None]}


def test_an_empty_row_between_others_stays_and_a_nameless_column_gets_a_name(tmp_path):
    found = read(tmp_path, ("a", None), ("x", "y"), (None, None), ("z", "w"))
    assert found == {"a": ["x", None, "z"], "Unnamed: 1": ["y", None, "w"]}


def test_a_number_as_header_is_text(tmp_path):
    assert list(read(tmp_path, (1, 2.0, "c"), (0, 0, 0))) == ["1", "2", "c"]


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        ((("a",), (1,)), [("Notes", ["x"])], "2 sheets hold cells (Sheet, Notes); save the one"),
        ((), [], "0 sheets hold cells (none)"),
    ],
)
def test_one_sheet_holds_the_table(tmp_path, rows, more, said):
    with pytest.raises(WorkbookError) as caught:
        read(tmp_path, *rows, more=more)
    assert said in str(caught.value) and "t.xlsx" in str(caught.value)


def test_an_empty_second_sheet_is_passed_over(tmp_path):
    assert read(tmp_path, ("a",), (1,), more=[("Empty", [])]) == {"a": [1]}


def test_a_damaged_workbook_is_one_line(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(WorkbookError) as caught:
        read_workbook(tmp_path / "t.xlsx")
    assert "save the sheet as CSV" in str(caught.value) and "\n" not in str(caught.value)


def test_without_openpyxl_the_line_says_how_to_get_it(tmp_path, monkeypatch):
    there = builtins.__import__

    def absent(name, *rest, **more):
        if name == "openpyxl":
            raise ModuleNotFoundError(name=name)
        return there(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(WorkbookError, match=r"needs openpyxl; save the sheet as CSV, .*\[xlsx\]"):
        read_workbook(tmp_path / "t.xlsx")

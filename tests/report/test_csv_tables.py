import csv

import pytest
from verification_example import GROUPS, HOSTILE, verification_example

from fairjax.core.results import Measure, Results, Table
from fairjax.report.csv_tables import renew_tables, safe_cell, write_csv


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_measures_are_read_back_unrounded(tmp_path):
    results = verification_example()
    written = write_csv(tmp_path, results, [])
    assert [path.name for path in written] == ["measures.csv"]
    header, *rows = rows_of(written[0])
    assert len(rows) == len(results.measures)
    for row, m in zip(rows, results.measures, strict=True):
        cell = dict(zip(header, row, strict=True))
        assert (float(cell["value"]) if cell["value"] else None) == m.value
        assert (float(cell["low"]) if cell["low"] else None) == (m.interval and m.interval[0])
        assert cell["at"] == m.at and int(cell["n"]) == m.n
    undefined = next(m for m in results.measures if m.value is None)
    assert rows[list(results.measures).index(undefined)][header.index("note")] == undefined.note


def test_tables_keep_their_cells_and_notes(tmp_path):
    table = Table("Rates: by race / 1", ["race", "rate"], [[g, "0.1"] for g in GROUPS], "ddof 1.")
    results = Results("verification", {}, [], {}, [], {})
    path = write_csv(tmp_path, results, [table])[1]
    assert path.name == "table-1-rates-by-race-1.csv"
    rows = rows_of(path)
    assert rows[0] == ["race", "rate"]
    assert rows[4] == [HOSTILE, "0.1"]
    assert rows[-1] == ["ddof 1."]


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "＝1", "-x"])
def test_no_cell_is_a_formula(tmp_path, text):
    assert safe_cell(text) == f"'{text}"
    m = Measure("fmr", 0.1, "fraction", 9, {"g": "a"}, note=text)
    write_csv(
        tmp_path, Results("verification", {}, [m], {}, [], {}), [Table(text, [text], [[text]])]
    )
    cells = [cell for path in tmp_path.glob("*.csv") for row in rows_of(path) for cell in row]
    assert cells.count(f"'{text}") == 3
    assert not [cell for cell in cells if cell.startswith(tuple("=+@＝"))]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-0.5, "-0.5"),
        (1e-07, "1e-07"),
        (None, ""),
        (12, "12"),
        ("-3.1%", "-3.1%"),
        ("+2", "+2"),
        ("1,204", "1,204"),
        ("\t=1", " =1"),
        ("a\nb", "a b"),
    ],
)
def test_numbers_stay_numbers_and_cells_stay_on_one_line(value, cell):
    assert safe_cell(value) == cell


def test_a_file_is_whole_or_the_old_one_stays(tmp_path, monkeypatch):
    results = Results("verification", {}, [], {}, [], {})
    (path,) = write_csv(tmp_path, results, [])
    old = path.read_text()
    monkeypatch.setattr("fairjax.report.csv_tables.safe_cell", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_csv(tmp_path, results, [])
    assert path.read_text() == old


def test_tables_of_an_earlier_result_do_not_stay_beside_the_new_ones(tmp_path):
    old = [Table("Old", ["a"], [["1"]]), Table("Older", ["a"], [["2"]])]
    renew_tables(tmp_path, old)
    for name in ("table-of-mine.csv", "notes.csv"):
        (tmp_path / name).write_text("mine")
    (written,) = renew_tables(tmp_path, [Table("New", ["a"], [["3"]])])
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["notes.csv", "table-1-new.csv", "table-of-mine.csv"]
    assert written.name == "table-1-new.csv"

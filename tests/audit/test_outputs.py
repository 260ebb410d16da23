"""What an audit leaves behind and shows: files, verdicts, and why numbers are missing."""

import csv
from dataclasses import replace

import pytest
from scored_pairs import scored_pairs

from fairjax.audit import outputs
from fairjax.core.results import Measure, load_results
from fairjax.protocols.verification.core import measure_comparisons


def of(results, title):
    found = [table for table in outputs.tables(results) if table.title == title]
    return found[0] if found else None


@pytest.fixture(scope="module")
def results():
    return measure_comparisons(
        {"": scored_pairs(people=10, pairs=60, cross=20)},
        attribute="race",
        fmrs=(1e-1,),
        resamples=10,
        level=0.95,
        seed=0,
        limits=["Nobody is real."],
    )


def test_every_file_is_written_whole_and_again(tmp_path, results):
    folder = tmp_path / "new" / "audit"
    for _ in range(2):
        outputs.write(folder, results, title="An audit")
    names = {path.name for path in folder.iterdir()}
    assert set(outputs.FILES) <= names and not [name for name in names if "partial" in name]
    assert load_results(folder / "results.json").measures == list(results.measures)
    assert "<title>An audit" in (folder / "report.html").read_text()
    with (folder / "measures.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + len(results.measures)


def test_a_verdict_a_row_with_the_system_where_there_are_several(results):
    verdicts = [
        {"measure": "fmr_max_over_min", "at": "FMR 1e-2", "verdict": "exceeds", "words": "2 > 1"},
        {"measure": "fnmr_max_over_min", "at": "FMR 1e-2", "verdict": "within", "words": "1 < 2"},
    ]
    one = replace(results, arrays={**results.arrays, "verdicts": verdicts})
    table = of(one, "Verdicts")
    assert table.columns == ["gap", "at", "verdict", "why"]
    assert table.rows == [
        ["fmr max over min", "FMR 1e-2", "exceeds", "2 > 1"],
        ["fnmr max over min", "FMR 1e-2", "within", "1 < 2"],
    ]
    assert of(replace(results, arrays={**results.arrays, "verdicts": []}), "Verdicts") is None
    both = outputs._verdicts(
        replace(one, arrays={"systems": {"old": one.arrays, "new": {"verdicts": verdicts[:1]}}})
    )
    assert both.columns == ["system", "gap", "at", "verdict", "why"]
    assert [row[0] for row in both.rows] == ["old", "old", "new"]


def test_a_reason_is_given_once_with_the_numbers_that_it_costs(results):
    def missing(name, **more):
        return Measure(name, None, "fraction", 0, note="no pair", **more)

    measures = [
        *(missing(name, group={"race": "A"}, at="FMR 1e-2") for name in ("a", "b", "c", "d")),
        missing("e", across="race"),
        missing("f"),
        replace(missing("g"), value=0.5),
        replace(missing("h"), note=""),
    ]
    table = of(replace(results, measures=measures, arrays={}), "No number, and why")
    assert table.rows == [
        ["FMR 1e-2", "A", "no pair", "a, b, c and 1 more"],
        ["", "across race", "no pair", "e"],
        ["", "everyone", "no pair", "f"],
    ]

import re

import pytest
from verification_example import verification_example

from fairjax.core.results import Measure, Results
from fairjax.report.verification.audited import audited_systems
from fairjax.report.verification.spread import accuracy, adequacy, change, indices


@pytest.fixture(scope="module")
def systems():
    return audited_systems(verification_example())


def rows_of(table):
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_every_index_is_tabled_with_its_interval_and_what_chance_gives(systems):
    (table,) = indices(systems).tables
    rows = rows_of(table)
    assert table.columns == ["index", "at FMR 1e-2", "by chance", "at FMR 1e-3", "by chance"]
    fmr = rows["FMR: largest over smallest"]["at FMR 1e-2"]
    assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", fmr)
    assert " points (" in rows["FMR: largest less smallest"]["at FMR 1e-2"]
    assert rows["GARBE, Gini of both rates"]["at FMR 1e-2"].startswith("0.380 (")
    assert rows["GARBE, Gini of both rates"]["by chance"] == "0.200"
    assert "Standard deviations: ddof 1." in table.note


def test_what_a_test_could_find_is_no_index():
    place = {"n": 9, "across": "group", "at": "x"}
    measures = [
        Measure(f"fmr_{name}", 2.0, unit, **place)
        for name, unit in (
            ("gini", "ratio"),
            ("worst", "fraction"),
            ("detectable_ratio", "ratio"),
            ("people_needed", "count"),
        )
    ]
    (table,) = indices(audited_systems(Results("verification", {}, measures, {}, [], {}))).tables
    assert [row[0] for row in table.rows] == ["FMR: Gini coefficient"]


def test_three_points_stand_in_two_tables():
    place = {"unit": "ratio", "n": 9, "across": "group"}
    measures = [Measure("fmr_max_over_min", 2.0, at=at, **place) for at in ("x", "y", "z")]
    found = indices(audited_systems(Results("verification", {}, measures, {}, [], {}))).tables
    assert [table.columns for table in found] == [["index", "at x", "at y"], ["index", "at z"]]


def test_an_undefined_ratio_keeps_its_row_and_its_reason():
    place = {"unit": "ratio", "n": 9, "across": "group", "at": "FMR 1e-3"}
    note = "undefined (0 errors in group b)"
    measures = [
        Measure("fmr_max_over_min", None, note=note, **place),
        Measure("fmr_max_over_min_smoothed", 5.0, **place),
    ]
    (table,) = indices(audited_systems(Results("verification", {}, measures, {}, [], {}))).tables
    rows = rows_of(table)
    assert rows["FMR: largest over smallest"]["at FMR 1e-3"] == "undefined"
    assert f"FMR: largest over smallest at FMR 1e-3: {note}" in table.note
    assert rows["FMR: largest over smallest, smoothed"]["at FMR 1e-3"] == "5.00"


def test_the_protocols_own_accuracy_is_drawn_once(systems):
    captions = [figure.caption for _, figures in accuracy(systems).parts for figure in figures]
    assert captions == ["Accuracy"]


def test_adequacy_counts_people_pairs_and_errors(systems):
    (table,) = adequacy(systems).tables
    assert len(table.columns) <= 8  # as wide as a printed page
    rows = rows_of(table)
    assert rows["African"]["lowest FMR backed"] == "0.31%"
    assert rows["South-East Asian and Pacific Islander"]["lowest FMR backed"] == "–"
    assert rows["African"]["design effect, FMR"] == "2.50"


def test_changes_are_drawn_by_group_and_tabled_across_groups():
    section = change(verification_example(systems=("A", "B")))
    ((heading, figures),) = section.parts
    assert heading == "B minus A"
    assert figures[0].caption == "False match rate, change at FMR 1e-2"
    assert [row[0] for row in section.tables[0].rows][0] == (
        "False match rate: largest over smallest, change"
    )
    assert not change(verification_example())


def test_the_plan_says_how_many_people_each_ratio_needs():
    plan = {"at": "FMR 1e-2", "rate": "fmr", "value": 0.01, "people_now": 70, "people": {"2": 238}}
    m = Measure("fmr", 0.01, "fraction", 9, at="FMR 1e-2")
    results = Results("verification", {}, [m], {"planner": [plan]}, [], {})
    (table,) = adequacy(audited_systems(results)).tables
    assert table.rows == [["FMR at FMR 1e-2", "1.0%", "70", "238"]]
    assert table.columns[-1] == "for 2×"

import pytest
from verification_example import verification_example

from fairjax.core.results import Measure, Results
from fairjax.report.verification.audited import audited_systems
from fairjax.report.verification.spread import accuracy, adequacy, change, spread


@pytest.fixture(scope="module")
def systems():
    return audited_systems(verification_example())


def rows_of(table):
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_every_summary_is_tabled_with_interval_floor_and_p_values(systems):
    first, _ = spread(systems).tables
    rows = rows_of(first)
    assert rows["FMR: largest over smallest"]["chance"] == "▲\u00a0beyond"
    assert rows["FMR: largest over smallest"]["p"] == "0.0005"
    assert rows["FNMR: largest over smallest"]["chance"] == "○\u00a0not\u00a0beyond"
    assert rows["FMR: largest less smallest"]["value"].endswith(" points")
    assert rows["FMR: standard deviation over groups"]["ddof"] == "1"
    assert rows["GARBE, Gini of both rates"]["value"] == "0.380"
    assert rows["Fairness discrepancy rate"]["chance"] == "▲\u00a0beyond"  # below a floor near 1
    assert "note" not in first.columns  # nothing to note at this point


def test_an_undefined_ratio_keeps_its_row_and_its_reason():
    place = {"unit": "ratio", "n": 9, "across": "group", "at": "FMR 1e-3"}
    note = "undefined (0 errors in group b)"
    measures = [
        Measure("fmr_max_over_min", None, note=note, **place),
        Measure("fmr_max_over_min_smoothed", 5.0, **place),
    ]
    (table,) = spread(audited_systems(Results("verification", {}, measures, {}, [], {}))).tables
    rows = rows_of(table)
    assert rows["FMR: largest over smallest"]["value"] == "undefined"
    assert rows["FMR: largest over smallest"]["note"] == note
    assert rows["FMR: largest over smallest, smoothed"]["value"] == "5.00"


def test_accuracies_carry_their_ddof_and_the_worst_group(systems):
    (table,) = accuracy(systems).tables
    rows = rows_of(table)
    assert rows["Accuracy: standard deviation over groups"]["ddof"] == "1"
    assert rows["Accuracy: worst group"]["group"] == "African"
    captions = [figure.caption for _, figures in accuracy(systems).parts for figure in figures]
    assert captions == ["Accuracy", "Accuracy, insightface"]


def test_adequacy_counts_people_pairs_and_errors(systems):
    (table,) = adequacy(systems).tables
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


def test_plots_that_share_an_axis_share_a_unit():
    place = {"n": 9, "across": "group", "at": "FMR 1e-3"}
    measures = [
        Measure("fmr_std", 0.05, "fraction", **place),
        Measure("fmr_bias_degree", 5.0, "ratio", **place),
    ]
    ((_, figures),) = spread(
        audited_systems(Results("verification", {}, measures, {}, [], {}))
    ).parts
    assert [figure.caption for figure in figures] == ["Differences", "Degree of bias"]
    assert "FMR: standard deviation over groups 5.0%" in figures[0].svg
    assert "FMR: degree of bias 5.00" in figures[1].svg

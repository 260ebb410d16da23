import csv
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from audit_example import LABELS, PAIRS, pairs_frame, predictions_frame

import fairjax


@pytest.fixture(scope="module")
def pairs():
    return pairs_frame()


@pytest.fixture(scope="module")
def predictions():
    return predictions_frame()


def test_a_number_that_is_not_there_names_what_is(pairs):
    found = fairjax.audit(pairs, **PAIRS)
    with pytest.raises(KeyError, match="no measure 'fmrr'; did you mean 'fmr'"):
        found.measure("fmrr")
    with pytest.raises(KeyError, match="no 'fmr' of group 'c'; there is .*'a', 'b'"):
        found.measure("fmr", group="c")
    with pytest.raises(KeyError, match="no 'fmr' with at='x'; there is .*FMR 5e-2"):
        found.measure("fmr", at="x")
    with pytest.raises(KeyError, match="hold no calibration"):
        found.plot_calibration()


def test_of_several_systems_one_is_named(pairs):
    scores = {"ours": pairs.score, "theirs": -pairs.score + 2 * pairs.score}
    found = fairjax.audit(pairs.drop(columns="score"), y_score=scores, **PAIRS)
    with pytest.raises(KeyError, match="there of 2 systems"):
        found.measure("fmr")
    assert found.measure("fmr", system="theirs").value == found.measure("fmr", system="ours").value


def test_the_table_has_the_rows_of_measures_csv_with_and_without_pandas(
    pairs, tmp_path, monkeypatch
):
    found = fairjax.audit(pairs, **PAIRS)
    assert found.report(tmp_path / "out") == tmp_path / "out" / "report.html"
    with (tmp_path / "out" / "measures.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    frame = found.table()
    assert list(frame.columns) == list(written[0]) and len(frame) == len(written)
    monkeypatch.setitem(sys.modules, "pandas", None)
    plain = found.table()
    for row, kept in zip(plain, written, strict=True):
        assert row["name"] == kept["name"]
        assert kept["value"] == ("" if row["value"] is None else repr(float(row["value"])))
    assert {row["name"] for row in found.table("fmr")} == {"fmr"}


def test_a_report_is_one_page_or_a_folder(pairs, tmp_path):
    found = fairjax.audit(pairs, **PAIRS, title="Ours")
    page = found.report(tmp_path / "new" / "page.html")
    assert "<h1>Ours</h1>" in page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_a_notebook_shows_the_verdict_and_escapes_names(pairs):
    named = pairs.replace({"group1": {"a": "<b>x"}, "group2": {"a": "<b>x"}})
    found = fairjax.audit(named, **PAIRS, title="<script>")
    html = found._repr_html_()
    assert found.verdict in html and found.verdict in str(found) == repr(found)
    assert "<script>" not in html and "<b>x" not in html and "&lt;b&gt;x" in html
    ids = re.findall(r'\bid="([^"]+)"', html + replace(found, title="Other")._repr_html_())
    assert len(ids) == len(set(ids)) > 2


def test_what_an_audit_cannot_show_is_printed_as_the_command_prints_it(pairs):
    found = fairjax.audit(pairs, **{**PAIRS, "n_boot": 5})
    (few,) = [line for line in found.results.limits if "resamples cannot show" in line]
    assert f"Note: {few}" in str(found).splitlines() and few in found._repr_html_()


def test_plots_are_drawn_on_the_callers_axes(pairs, predictions):
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    found = fairjax.audit(pairs, **PAIRS)
    assert found.plot_rates("fnmr", ax=ax) is ax
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() in "os"]
    assert dots == [found.measure("fnmr", group=group).value for group in "ab"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    curves = found.plot_det(ax=Figure().subplots())
    assert {line.get_label() for line in curves.lines} == {"a", "b", "everyone"}
    bins = found.plot_scores(group="a", ax=Figure().subplots())
    for patch in bins.patches:
        values, edges, _ = patch.get_data()
        assert np.sum(values * np.diff(edges)) == pytest.approx(1)
    told = fairjax.audit(predictions, **LABELS)
    assert told.plot_rates(ax=Figure().subplots()).get_xlabel() == "Gender accuracy"
    shares = told.plot_calibration(ax=Figure().subplots())
    assert {line.get_label() for line in shares.lines} >= {"Asian", "Black", "everyone"}

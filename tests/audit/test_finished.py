import csv
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from audit_example import LABELS, PAIRS, pairs_frame, predictions_frame

import fairjax
from fairjax.audit.finished import Audit, _is_about
from fairjax.core.results import Measure, Results


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


def rate(name="fmr", value=0.1, group=None, **more):
    return Measure(name, value, "fraction", 9, group or {}, **{"at": "FMR 1e-2", **more})


BY_HAND = [
    rate(value=0.5),
    rate(value=0.1, group={"race": "a"}),
    rate(value=0.2, group={"race": "b"}),
    rate(value=0.3, group={"race": "a", "other_race": "b"}),
    rate(value=0.4, group={"race": "a"}, at="threshold 0.5"),
    rate("fmr_max_over_min", 2.0, across="race"),
    rate("fmr_worst", 0.2, group={"race": "b"}, across="race"),
]


def by_hand(measures=BY_HAND, kind="verification", arrays=None, **protocol):
    return Audit(Results(kind, protocol, list(measures), arrays or {}, [], {}), "T")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ({}, 0.5),
        ({"group": "a"}, 0.1),
        ({"group": "b"}, 0.2),
        ({"group": ["a", "b"]}, 0.3),
        ({"group": ("b", "a")}, 0.3),  # in any order
        ({"group": {"race": "b"}}, 0.2),
        ({"group": {"race": "a", "other_race": "b"}}, 0.3),
        ({"group": "a", "at": "threshold 0.5"}, 0.4),
        ({"group": "a", "at": "FMR 1e-2"}, 0.1),
        ({"name": "fmr_max_over_min"}, 2.0),
        ({"name": "fmr_worst"}, 0.2),  # of a gap, which names its group
        ({"name": "fmr_worst", "group": {"race": "b"}}, 0.2),
    ],
)
def test_a_number_is_looked_up_by_group_and_point(words, value):
    name = words.get("name", "fmr")
    rest = {key: word for key, word in words.items() if key != "name"}
    assert by_hand().measure(name, **rest).value == value


def test_a_summary_is_of_no_group_by_name():
    with pytest.raises(KeyError, match=r"no 'fmr_worst' of group 'b'; there is \['b'\]"):
        by_hand().measure("fmr_worst", group="b")
    with pytest.raises(KeyError, match=r"there is \['everyone', 'a', 'b', 'a and b'\]"):
        by_hand().measure("fmr", group="c")


@pytest.mark.parametrize(
    ("group", "of_everyone", "of_a", "of_gap"),
    [
        (None, True, False, True),
        ("a", False, True, False),
        (["a"], False, True, False),
        ({"race": "a"}, False, True, False),
        ({}, True, False, True),
    ],
)
def test_what_a_number_is_about(group, of_everyone, of_a, of_gap):
    everyone, a, *_ = BY_HAND
    assert _is_about(everyone, group) is of_everyone
    assert _is_about(a, group) is of_a
    assert _is_about(BY_HAND[5], group) is of_gap


def test_group_names_may_be_numbers():
    aged = by_hand([rate(group={"age": "1"}), rate()])
    assert aged.measure("fmr", group=[1]).group == {"age": "1"}


def test_measures_of_an_attribute_go_by_their_short_name_too():
    measures = [rate("gender_fpr", 0.1, at=""), rate("fpr", 0.2, at="")]
    assert by_hand(measures[:1], "attributes", attribute="gender").measure("fpr").value == 0.1
    assert (
        by_hand(measures[:1], "attributes", attribute="gender").measure("gender_fpr").value == 0.1
    )
    with pytest.raises(KeyError, match="did you mean 'fpr'"):
        by_hand(measures[:1], "attributes", attribute="gender").measure("fprs")


def test_a_name_like_none_lists_ten_and_counts_the_rest():
    ten = by_hand([rate(f"n{k}") for k in range(10)])
    with pytest.raises(KeyError) as caught:
        ten.measure("zzzz")
    assert "there is ['n0', 'n1'" in str(caught.value) and "more" not in str(caught.value)
    twelve = by_hand([rate(f"n{k}") for k in range(12)])
    with pytest.raises(KeyError, match=r"'n9'\] and 2 more, see .table\(\)"):
        twelve.measure("zzzz")


def test_several_systems_are_told_apart_and_unknown_ones_refused():
    both = by_hand([rate(value=0.1, system="ours"), rate(value=0.2, system="theirs")])
    assert both.measure("fmr", system="theirs").value == 0.2
    with pytest.raises(KeyError, match="'fmr' is there of 2 systems; say system= one of"):
        both.measure("fmr")
    with pytest.raises(KeyError, match="no 'fmr' with system='other'; there is"):
        both.measure("fmr", system="other")


def test_a_table_of_one_measure_has_its_rows_alone():
    frame = by_hand().table("fmr")
    assert frame["value"].astype(float).tolist() == [0.5, 0.1, 0.2, 0.3, 0.4]
    assert len(by_hand().table()) == len(BY_HAND)
    with pytest.raises(KeyError, match="no measure 'fmrs'; did you mean"):
        by_hand().table("fmrs")


def test_plot_data_are_of_one_system():
    one = by_hand(arrays={"det": {"groups": {"a": 1}}, "histograms": {}})
    assert one._array("det", None) == {"groups": {"a": 1}}
    with pytest.raises(KeyError, match=r"these results hold no histograms; they have \['det'\]"):
        one._array("histograms", None)
    several = by_hand(arrays={"systems": {"ours": {"det": 1}, "theirs": {"det": 2}}})
    assert several._array("det", "theirs") == 2
    with pytest.raises(KeyError, match=r"there are 2 systems; say system= one of \['ours', 'the"):
        several._array("det", None)
    with pytest.raises(KeyError, match="no system 'x'; there is"):
        several._array("det", "x")
    alone = by_hand(arrays={"systems": {"ours": {"det": 1}}})
    assert alone._array("det", None) == 1


def test_rates_of_single_groups_at_one_point_are_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr("fairjax.report.axes.draw_rates", lambda *words: drawn.append(words))
    by_hand().plot_rates()
    ((groups, everyone, ax),) = drawn
    assert [m.value for m in groups] == [0.1, 0.2] and everyone.value == 0.5 and ax is None
    told = by_hand([rate("x", at=""), rate("x", 0.7, {"g": "a"}, at="")], kind="attributes")
    told.plot_rates()
    assert [m.value for m in drawn[1][0]] == [0.7]


def test_scores_of_a_group_that_is_none_are_refused(monkeypatch):
    drawn = []
    monkeypatch.setattr("fairjax.report.axes.draw_scores", lambda *words: drawn.append(words))
    bins = {"mated": {"a": [1]}, "nonmated": {"a": [1]}, "edges": [0, 1]}
    audit = by_hand(arrays={"histograms": bins})
    audit.plot_scores(group="a")
    audit.plot_scores()
    assert [group for _, group, _ in drawn] == ["a", None]
    with pytest.raises(KeyError, match=r"no scores of group 'c'; there is \['a'\]"):
        audit.plot_scores(group="c")


def test_a_page_may_end_in_htm_and_stands_alone(pairs, tmp_path):
    found = fairjax.audit(pairs, **PAIRS)
    assert found.title == "Audit"
    page = found.report(str(tmp_path / "p.HTM"))
    assert page == tmp_path / "p.HTM" and list(tmp_path.iterdir()) == [page]

"""Plans of audits in words, tables and numbers."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit import findings
from fairjax.audit import plan as planned
from fairjax.audit.plan import Question, plan
from fairjax.core.errors import UserError
from fairjax.core.results import Measure, Results, load_results, save_results
from fairjax.metrics import planning

QUESTION = Question(fmr=1e-2, fnmr=0.05, groups=4, images=4)


def test_the_answer_is_what_the_slower_of_both_rates_needs():
    found = plan(QUESTION)
    needed = {
        rate: planning.people_needed(
            planning.Design(rate, value, planning.assumed_correlation(rate, value), 4),
            2.0,
            groups=4,
            alpha=0.025,
        )
        for rate, value in (("fmr", 1e-2), ("fnmr", 0.05))
    }
    assert f"about {max(needed.values()):,} people" in found.answer
    for rate, people in needed.items():
        assert found.results.get(f"{rate}_people_needed", across="group", at="ratio 2").value == (
            people
        )
    assert "0.025" in " ".join(found.sentences)
    assert "assumed: 30%" in " ".join(found.sentences)


def test_the_reverse_says_which_ratio_so_many_people_show():
    found = plan(replace(QUESTION, people=(400, 100, 100, 100)))
    ratio = found.results.get("fnmr_detectable_ratio", across="group").value
    assert f"{ratio:.2g} for FNMR" in found.answer
    fewer = plan(replace(QUESTION, people=(20,)))
    assert fewer.results.get("fnmr_detectable_ratio", across="group").value > ratio


def test_an_earlier_audit_gives_the_correlations(tmp_path):
    correlation = planning.error_correlation(0.5, 0.02)
    entry = {"at": "FMR 1e-2", "rate": "fnmr", "value": 0.02, "correlation": correlation}
    entry |= {"design_effect": 1.5, "errors": 90}
    measure = Measure("fnmr", 0.02, "fraction", 100)
    results = Results("verification", {}, [measure], {"planner": [entry]}, [], {})
    save_results(tmp_path / "results.json", results)
    found = plan(QUESTION, like=tmp_path)
    expected = planning.error_correlation(0.5, 0.05)
    assert found.results.protocol["correlation"]["fnmr"] == pytest.approx(expected, rel=1e-6)
    assert "measured at FMR 1e-2 over 90 errors" in " ".join(found.sentences)


def test_what_is_written_can_be_read_again(tmp_path):
    found = plan(QUESTION)
    findings.write(tmp_path / "plan", found)
    assert load_results(tmp_path / "plan" / "results.json").kind == "plan"
    picture = (tmp_path / "plan" / "plan.svg").read_text()
    assert picture.startswith("<svg") and "people in each group" in picture
    assert len(list((tmp_path / "plan").glob("table-*.csv"))) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fmr": 0.0}, "--fmr 0.0 must be between 0 and 1."),
        ({"fnmr": 0.6}, "--fnmr 0.6 must be below 1 / ratio = 0.5."),
        ({"groups": 1}, "--groups 1 must be 2 or more."),
        ({"images": 1}, "one has no mated pair"),
        ({"ratio": 1.0}, "--ratio 1.0 must be above 1"),
        ({"ratio": 0.0}, "--ratio 0.0 must be above 1"),
        ({"power": 1.0}, "--power 1.0"),
        ({"people": (5, 6)}, "one for each of the 4 groups"),
    ],
)
def test_impossible_plans_are_refused_in_one_line(change, said):
    with pytest.raises(UserError, match=re.escape(said)):
        replace(QUESTION, **change)


def test_an_earlier_audit_that_says_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="no results.json"):
        plan(QUESTION, like=tmp_path)
    results = Results("verification", {}, [], {}, [], {})
    save_results(tmp_path / "results.json", results)
    with pytest.raises(UserError, match="no verification audit with errors"):
        plan(QUESTION, like=tmp_path)
    old = {"at": "FMR 1e-2", "rate": "fnmr", "value": 0.02, "people_now": 7, "people": {}}
    save_results(tmp_path / "results.json", replace(results, arrays={"planner": [old]}))
    with pytest.raises(UserError, match="before correlations were kept"):
        plan(QUESTION, like=tmp_path)
    assert json.loads((tmp_path / "results.json").read_text())["arrays"]["planner"]


@pytest.mark.parametrize(
    "change",
    [
        {"ratio": 20.0, "fnmr": 0.01},
        {"ratio": 1.001},
        {"groups": 2},
        {"groups": 8, "people": (2,) * 8},
        {"images": 2},
        {"shared": 0.0},
        {"points": 1},
        {"people": (2,)},
        {"fnmr": 0.499},
    ],
)
def test_the_ends_of_what_can_be_planned_are_allowed(change):
    asked = replace(QUESTION, **change)
    assert all(getattr(asked, name) == value for name, value in change.items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ratio": 20.1, "fnmr": 0.01}, "--ratio 20.1 must be above 1 and at most 20."),
        ({"fnmr": 1.0}, "--fnmr 1.0 must be between 0 and 1."),
        ({"fnmr": 0.5}, "--fnmr 0.5 must be below 1 / ratio = 0.5."),
        ({"power": 0.0}, "--power 0.0 must be between 0 and 1."),
        ({"points": 0}, "--points 0 must be 1 or more."),
        ({"shared": 1.0}, "--shared 1.0 must be at least 0 and below 1."),
        ({"shared": -0.1}, "--shared -0.1 must be at least 0 and below 1."),
        ({"people": (50, 50, 50, 1)}, "--people 1 must be 2 or more in each group."),
        ({"people": (50,) * 5}, "one for each of the 4 groups."),
        ({"fmr": float("nan")}, "--fmr nan must be between 0 and 1."),
    ],
)
def test_beyond_the_ends_nothing_is_planned(change, said):
    with pytest.raises(UserError) as caught:
        replace(QUESTION, **change)
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize(("points", "alpha"), [(1, 0.025), (2, 0.0125), (5, 0.005)])
def test_two_tests_a_threshold_share_the_level(points, alpha):
    assert replace(QUESTION, points=points).alpha == pytest.approx(alpha)
    said = " ".join(plan(replace(QUESTION, points=points, people=(50,))).sentences)
    assert f"5% over {2 * points} two-sided tests" in said and f"so {alpha:.3g} for each" in said
    assert (f"at {points} thresholds" in said) is (points > 1)


@pytest.mark.parametrize(
    ("rate", "people", "images", "most", "pairs"),
    [
        ("fnmr", 10, 4, np.inf, 60),  # six of each person's images
        ("fnmr", 10, 2, np.inf, 10),
        ("fmr", 10, 4, np.inf, 720),  # 45 couples, 16 pairs of images each
        ("fmr", 10, 4, 100, 100),
    ],
)
def test_pairs_of_so_many_people_by_hand(rate, people, images, most, pairs):
    assert planned._pairs(planning.Design(rate, 0.1, 0.1, images, most), people) == pairs


def test_non_mated_pairs_are_capped_and_mated_ones_are_not():
    asked = replace(QUESTION, people=(100,), most_pairs=500)
    fmr, fnmr = plan(asked).tables[0].rows
    assert (fmr[0], fmr[2], fmr[3], fmr[4]) == ("FMR", "100", "500", "20")  # 4 x 500 x 1 %
    assert (fnmr[0], fnmr[3], fnmr[4]) == ("FNMR", "600", "120")  # 4 x 600 x 5 %


def test_the_table_has_all_ratios_and_the_one_asked_for_in_order():
    found = plan(replace(QUESTION, ratio=4.0, fnmr=0.12))
    (table,) = found.tables
    assert [row[0] for row in table.rows] == ["1.25", "1.5", "2", "3", "4", "5", "10"]
    *_, last = table.rows  # ten times 12 % is no rate
    assert last[1] != "–" and last[3:] == ["–", "–", "–"]
    for ratio, fmr, _, fnmr, _, both in table.rows[:-1]:
        needed = [int(n.replace(",", "")) for n in (fmr, fnmr)]
        assert int(both.replace(",", "")) == max(needed), ratio
    people = [int(row[3].replace(",", "")) for row in table.rows[:-1]]
    assert people == sorted(people, reverse=True)
    undefined = found.results.get("fnmr_people_needed", across="group", at="ratio 10")
    assert (undefined.value, undefined.n, undefined.note) == (None, 0, "beyond all numbers tried")
    known = found.results.get("fnmr_people_needed", across="group", at="ratio 4")
    assert known.n == known.value * 6 and known.note == ""


def test_a_plan_that_nobody_can_collect_says_so(monkeypatch):
    monkeypatch.setattr(planning, "people_needed", lambda *_, **__: None)
    found = plan(QUESTION)
    assert found.answer == (
        "A ratio of 2 cannot be planned for: more than 1,000,000 people a group would be needed."
    )
    assert "a ratio of 2 needs more people than can be planned for." in found.sentences[0]
    assert {cell for row in found.tables[0].rows for cell in row[1:]} == {"–"}
    assert not found.pictures


def test_people_and_images_of_all_groups_are_counted(monkeypatch):
    monkeypatch.setattr(
        planning, "people_needed", lambda design, *_, **__: 30 if design.rate == "fmr" else 1200
    )
    found = plan(QUESTION)
    assert found.answer == (
        "Collect about 1,200 people in each of the 4 groups, with 4 images each (4,800 people, "
        "19,200 images)."
    )
    assert found.sentences[0] == (
        "False match rate (FMR) of 1 %: 30 people a group (6,960 non-mated pairs) show that one "
        "group has 2 times the others' rate in 80% of audits."
    )
    assert "1,200 people a group (7,200 mated pairs)" in found.sentences[1]
    assert list(found.pictures) == ["plan"]


def test_one_number_of_people_is_that_of_every_group():
    one, all_four = (plan(replace(QUESTION, people=p)) for p in ((80,), (80, 80, 80, 80)))
    assert one.tables[0].rows == all_four.tables[0].rows
    apart = plan(replace(QUESTION, people=(80, 90, 80, 1000)))
    assert [row[2] for row in apart.tables[0].rows] == ["80 to 1,000"] * 2
    assert apart.tables[0].columns[-1] == "chance to show 2"


def test_the_order_of_groups_changes_nothing():
    one, other = (plan(replace(QUESTION, people=p)) for p in ((50, 80, 200, 90), (200, 90, 50, 80)))
    for row, turned in zip(one.tables[0].rows, other.tables[0].rows, strict=True):
        assert row[:5] == turned[:5]
        assert float(row[5]) == pytest.approx(float(turned[5]), rel=0.05)  # drawn


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_what_people_show_is_what_is_then_needed(groups):
    asked = replace(QUESTION, groups=groups)
    needed = int(plan(asked).results.get("fnmr_people_needed", across="group", at="ratio 2").value)
    enough, few = (plan(replace(asked, people=(n,))).results for n in (needed, needed // 2))
    assert enough.get("fnmr_detectable_ratio", across="group").value <= 2.02
    assert few.get("fnmr_detectable_ratio", across="group").value > 2.2
    powers = [r.get("fnmr_power", across="group", at="ratio 2").value for r in (enough, few)]
    assert powers[0] == pytest.approx(0.8, abs=0.03) and powers[1] < 0.6


def test_too_few_people_show_nothing(monkeypatch):
    monkeypatch.setattr(planning, "detectable_ratio", lambda *_, **__: None)
    found = plan(replace(QUESTION, people=(5,)))
    assert found.answer == "These people are too few to show even a ratio of 20."
    assert "even a ratio of 20 would be missed." in found.sentences[0]
    assert {row[5] for row in found.tables[0].rows} == {"–"}
    assert found.results.get("fmr_detectable_ratio", across="group").value is None


def earlier(folder, *entries):
    measure = Measure("fnmr", 0.02, "fraction", 100)
    results = Results("verification", {}, [measure], {"planner": list(entries)}, [], {})
    save_results(folder / "results.json", results)
    return folder


def entry(rate="fnmr", **changes):
    usual = {"at": "FMR 1e-2", "rate": rate, "value": 0.02, "correlation": 0.01}
    return {**usual, "design_effect": 1.5, "errors": 90, **changes}


def test_the_point_with_most_errors_gives_the_correlation(tmp_path):
    points = [entry(correlation=0.2, errors=91), entry(correlation=0.1), entry("fmr", errors=5)]
    found = planned._earlier(earlier(tmp_path, *points))
    assert {rate: one["correlation"] for rate, one in found.items()} == {"fnmr": 0.2, "fmr": 0.01}
    again = planned._earlier(tmp_path / "results.json")
    assert again == found


def test_a_rate_that_was_not_measured_is_assumed_and_each_source_is_said(tmp_path):
    found = plan(QUESTION, like=earlier(tmp_path, entry()))
    said = " ".join(found.sentences)
    assert "share a person, FMR: assumed: 30% of a score's variance" in said
    assert "share a person, FNMR: measured at FMR 1e-2 over 90 errors (design effect 1.5" in said
    assert "carried over to 5 %" in said
    assert found.results.protocol["like"] == str(tmp_path)
    assert plan(QUESTION).results.protocol["like"] == ""


def test_the_protocol_holds_the_question():
    protocol = plan(replace(QUESTION, people=(50, 60, 70, 80))).results.protocol
    assert protocol["people"] == [50, 60, 70, 80] and protocol["alpha"] == 0.025
    assert (protocol["fmr"], protocol["images"], protocol["points"]) == (1e-2, 4, 1)
    assert set(protocol["correlation"]) == {"fmr", "fnmr"}


def test_another_kind_of_results_is_no_earlier_audit(tmp_path):
    results = Results("plan", {}, [], {"planner": [entry()]}, [], {})
    save_results(tmp_path / "results.json", results)
    with pytest.raises(UserError, match="no verification audit with errors; --like needs one"):
        plan(QUESTION, like=tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(UserError):
        plan(QUESTION, like=tmp_path)

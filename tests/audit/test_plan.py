"""Plans of audits in words, tables and numbers."""

import json
import re
from dataclasses import replace

import pytest

from fairjax.audit import findings
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

"""The decision rule on measures written by hand."""

from dataclasses import replace

import numpy as np
import pytest

from fairjax.core.results import Measure, Results
from fairjax.core.verdict import ALPHA, holm, is_primary, verdict

GROUPS = ("a", "b", "c")


def measures(
    name,
    rates,
    p,
    *,
    at="",
    system="",
    kind="equality",
    adjusted=None,
    detectable=None,
    needed=None,
):
    """A rate by group with its primary test, and what the data would show."""
    place = {"at": at, "system": system}
    across = {"across": "race", **place}
    made = [
        Measure(name, rate, "fraction", 100, {"race": g}, n_clusters=20 + k, **place)
        for k, (g, rate) in enumerate(zip(GROUPS, rates, strict=True))
    ]
    made.append(Measure(f"{name}_{kind}_p_value", p, "fraction", 300, **across))
    if adjusted is not None:
        made.append(Measure(f"{name}_{kind}_p_value_holm", adjusted, "fraction", 300, **across))
    if detectable is not None:
        made.append(Measure(f"{name}_detectable_ratio", detectable, "ratio", 300, **across))
    if needed is not None:
        made.append(Measure(f"{name}_people_needed", needed, "count", 300, **across))
    return made


def results(*parts, kind="verification"):
    return Results(kind, {}, [m for part in parts for m in part], {}, [], {})


def test_the_adjusted_p_value_alone_decides():
    said = verdict(
        results(
            measures("fmr", (0.01, 0.02, 0.04), 0.01, at="x"),
            measures("fnmr", (0.1, 0.1, 0.2), 0.04, at="x"),
            measures("fmr", (0.1, 0.1, 0.2), 0.03, at="y"),
        )
    )
    assert [c.answer for c in said.claims] == ["shown", "not shown", "not shown"]
    assert [c.p_adjusted for c in said.claims] == pytest.approx([0.03, 0.06, 0.06])
    assert said.answer == "shown" and said.leading is said.claims[0]
    assert said.claims[0].tests == 3 and said.claims[0].people == 20
    assert (said.leading.worst.group, said.leading.best.group) == ({"race": "c"}, {"race": "a"})
    assert said.leading.ratio == pytest.approx(4)
    assert said.get("fnmr", "x") is said.claims[1] and said.get("fnmr", "y") is None


def test_an_adjusted_p_value_of_the_results_is_taken_as_it_stands():
    (claim,) = verdict(results(measures("fmr", (0.1, 0.2, 0.3), 0.01, adjusted=0.14))).claims
    assert (claim.p, claim.p_adjusted, claim.answer) == (0.01, 0.14, "not shown")


def test_a_p_value_equal_to_the_level_shows():
    assert verdict(results(measures("fmr", (0.1, 0.2, 0.3), ALPHA))).answer == "shown"


@pytest.mark.parametrize("kind", ["max_over_min", "max_over_min_smoothed", "difference"])
def test_results_without_a_test_of_equality_are_still_decided(kind):
    (claim,) = verdict(results(measures("fmr", (0.1, 0.2, 0.3), 0.01, kind=kind))).claims
    assert claim.answer == "shown" and claim.test == f"fmr_{kind}_p_value"


def test_the_test_of_equality_goes_before_other_tests_of_the_same_rate():
    both = [
        measures("fmr", (0.1, 0.2, 0.3), 0.01, kind="difference"),
        measures("fmr", (0.1, 0.2, 0.3), 0.5),
    ]
    (claim,) = verdict(results(*both)).claims
    assert claim.p == 0.5 and claim.answer == "not shown"


def test_too_few_data_are_no_acquittal():
    def answer(**more):
        return verdict(results(measures("fmr", (0.1, 0.2, 0.3), **more))).answer

    assert answer(p=None) == "too few data"
    assert answer(p=0.3, detectable=11.0) == "too few data"
    assert answer(p=0.3, detectable=3.0) == "not shown"
    assert answer(p=0.01, detectable=11.0) == "shown"
    assert verdict(results()).answer == "too few data" and verdict(results()).leading is None


def test_tied_groups_have_no_worst_one():
    (claim,) = verdict(results(measures("fnmr", (0.0, 0.0, 0.0), 1.0))).claims
    assert claim.worst is claim.best is claim.ratio is None


def test_a_rate_of_which_more_is_better_has_its_lowest_group_worst():
    made = measures("gender_accuracy", (0.9, 0.8, 0.95), 0.01)
    made.append(Measure("gender_accuracy_worst", 0.8, "fraction", 300, {"race": "b"}, "race"))
    claim = verdict(results(made, kind="attributes")).leading
    assert (claim.worst.value, claim.best.value) == (0.8, 0.95)


def test_what_has_no_worse_end_is_no_claim():
    said = verdict(results(measures("gender_base_rate", (0.1, 0.2, 0.3), 0.001)))
    assert said.claims == () and said.answer == "too few data"
    assert is_primary("gender_fpr_equality_p_value")
    assert not is_primary("gender_base_rate_equality_p_value")
    assert not is_primary("fmr_gini_p_value")


def test_each_system_has_its_own_verdict():
    both = results(
        measures("fmr", (0.1, 0.2, 0.3), 0.5, system="old"),
        measures("fmr", (0.1, 0.2, 0.3), 0.01, system="new", needed=480.0),
    )
    assert verdict(both).answer == "not shown"
    said = verdict(both, system="new")
    assert said.answer == "shown" and said.leading.people_needed == 480


def test_with_nothing_shown_the_first_operating_point_is_named():
    said = verdict(
        results(
            measures("fmr", (0.1, 0.2, 0.3), 0.5, at="x"),
            measures("fnmr", (0.1, 0.2, 0.3), 0.2, at="x"),
            measures("fmr", (0.1, 0.2, 0.3), 0.1, at="y"),
        )
    )
    assert (said.leading.measure, said.leading.at) == ("fnmr", "x")


def test_holm_keeps_the_chance_of_any_false_claim():
    rng = np.random.default_rng(0)
    false = [(holm(rng.random(6)) <= 0.05).any() for _ in range(2000)]
    assert 0.035 < np.mean(false) < 0.065


def test_only_the_protocol_s_attribute_is_decided():
    made = results(measures("fmr", (0.1, 0.2, 0.3), 0.2, at="x"))
    coarse = [
        replace(m, group={"gender": "b"} if m.group else {}, across=m.across and "gender")
        for m in measures("fmr", (0.1, 0.2, 0.3), 0.001, at="x")
    ]
    both = replace(made, measures=[*made.measures, *coarse])
    assert verdict(both).answer == "shown" and len(verdict(both).claims) == 2
    decided = verdict(replace(both, protocol={"attribute": "race"}))
    assert decided.answer == "not shown" and len(decided.claims) == 1

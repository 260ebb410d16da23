"""Tests of changes between two systems by hand: what is tested, p-values, Holm's adjustment."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fairjax.core.results import Measure
from fairjax.protocols.gaps import Number
from fairjax.protocols.verification import change_tests

PEOPLE = 12
RNG = np.random.default_rng(0)
DRAWS = 0.2 + 0.01 * RNG.normal(size=200)


def number(name, value, resampled, **changes):
    measure = Measure(name, value, "fraction", 50, n_clusters=PEOPLE, at="FMR 1e-1", **changes)
    return Number(measure, None if resampled is None else np.asarray(resampled, float))


def p_values(old, new):
    """The tests' measures, by name and group."""
    made = change_tests.tested({"old": old, "new": new}, [])
    return {(n.measure.name, *n.measure.group.values()): n.measure for n in made}


def p_value(change, moved):
    """Student's t by the survival function of SciPy's distribution."""
    return 2 * stats.t.sf(abs(change) / np.std(moved, ddof=1), PEOPLE - 1)


def test_a_rate_is_tested_by_its_change_over_the_deviation_of_shared_resamples():
    moved = 0.004 * RNG.normal(size=200)
    amber = {"group": {"race": "amber"}}
    old, new = number("fnmr", 0.2, DRAWS, **amber), number("fnmr", 0.19, DRAWS + moved, **amber)
    made = p_values([old], [new])
    test = made["fnmr_change_p_value", "amber"]
    assert test.value == pytest.approx(p_value(-0.01, moved), rel=1e-9)
    assert made["fnmr_change_p_value_holm", "amber"].value == pytest.approx(test.value)
    assert (test.system, test.unit, test.interval) == ("new minus old", "fraction", None)


def test_a_ratio_is_tested_in_logarithms_and_a_difference_is_not():
    ratio, spread = 2 + 0.1 * RNG.normal(size=200), 0.1 + 0.01 * RNG.normal(size=200)
    other = ratio * np.exp(0.1 * RNG.normal(size=200))
    moved = spread + 0.01 * RNG.normal(size=200)
    race = {"across": "race"}
    made = p_values(
        [
            number("fmr_max_over_min", 2.0, ratio, **race),
            number("fmr_difference", 0.1, spread, **race),
        ],
        [
            number("fmr_max_over_min", 2.5, other, **race),
            number("fmr_difference", 0.12, moved, **race),
        ],
    )
    expected = p_value(np.log(2.5 / 2.0), np.log(other) - np.log(ratio))
    assert made["fmr_max_over_min_change_p_value",].value == pytest.approx(expected, rel=1e-9)
    expected = p_value(0.02, moved - spread)
    assert made["fmr_difference_change_p_value",].value == pytest.approx(expected, rel=1e-9)


def test_what_did_not_change_has_p_1_and_is_no_test_to_adjust_for():
    groups = ("amber", "cobalt", "jade")
    noise = 0.01 * RNG.normal(size=(2, 200))
    old = [number("fnmr", 0.2, DRAWS, group={"race": g}) for g in groups]
    new = [
        number("fnmr", 0.2 + change, DRAWS + move, group={"race": g})
        for g, change, move in zip(groups, (0.02, 0.03, 0.0), (*noise, 0 * DRAWS), strict=True)
    ]
    made = p_values(old, new)
    first, second = (made["fnmr_change_p_value", g].value for g in groups[:2])
    assert second < first < 0.2
    adjusted = [made["fnmr_change_p_value_holm", g] for g in groups]
    by_holm = [max(first, 2 * second), 2 * second, 1.0]  # of two tests, the smaller counts twice
    assert [m.value for m in adjusted] == pytest.approx(by_holm)
    assert all("2 tests" in m.rule for m in adjusted)
    assert made["fnmr_change_p_value", "jade"].note == "nothing changed"


def test_an_fmr_that_is_at_its_target_by_construction_is_not_tested():
    moved = DRAWS + 0.01 * RNG.normal(size=200)
    for source, wanted in (("all non-mated pairs", set()), ("given", {"fmr"})):
        old, new = (
            number("fmr", v, d, threshold_source=source) for v, d in ((0.2, DRAWS), (0.21, moved))
        )
        assert {name.split("_change")[0] for name, *_ in p_values([old], [new])} == wanted
    group = {"group": {"race": "amber"}, "threshold_source": "all non-mated pairs"}
    assert p_values([number("fmr", 0.2, DRAWS, **group)], [number("fmr", 0.21, moved, **group)])


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [
        ("eer", 0.2, {}),  # of no kind that is tested
        ("fmr_gini", 0.2, {"across": "race"}),
        ("fnmr", 0.2, {"group": {"race": "amber", "sex": "f"}}),  # an intersection
        ("fnmr", None, {}),
        ("fmr_max_over_min", 0.0, {"across": "race"}),  # no logarithm
    ],
)
def test_numbers_that_are_not_tested(name, value, changes):
    moved = DRAWS + 0.01 * RNG.normal(size=200)
    old, new = (number(name, value, draws, **changes) for draws in (DRAWS, moved))
    assert p_values([old], [new]) == {}


@pytest.mark.parametrize(("undefined", "is_tested"), [(10, True), (11, False)])
def test_a_number_that_one_resample_in_twenty_lacks_is_still_tested(undefined, is_tested):
    moved = DRAWS + 0.01 * RNG.normal(size=200)
    moved[:undefined] = np.nan
    made = p_values([number("fnmr", 0.2, DRAWS)], [number("fnmr", 0.21, moved)])
    assert bool(made) == is_tested
    if is_tested:
        expected = p_value(0.01, (moved - DRAWS)[undefined:])
        assert made["fnmr_change_p_value",].value == pytest.approx(expected, rel=1e-9)


def test_a_change_without_any_spread_is_no_test_and_other_points_are_not_compared():
    old = number("fnmr", 0.2, DRAWS)
    assert p_values([old], [number("fnmr", 0.3, DRAWS)]) == {}
    elsewhere = number("fnmr", 0.21, DRAWS + 0.01 * RNG.normal(size=200))
    elsewhere = replace(elsewhere, measure=replace(elsewhere.measure, at="FMR 1e-2"))
    assert p_values([old], [elsewhere]) == {}
    assert change_tests.tested({"old": [old], "new": [elsewhere]}, [old]) == [old]


@pytest.mark.parametrize("lost", [{"value": None}, {"resampled": None}])
def test_a_number_that_one_system_alone_has_is_not_tested(lost):
    """A ratio is undefined where a group of one system has no error."""
    race = {"across": "race"}
    has = number("fmr_max_over_min", 2.0, 10 * DRAWS, **race)
    lacks = number("fmr_max_over_min", **({"value": 2.5, "resampled": 11 * DRAWS} | lost), **race)
    assert p_values([has], [lacks]) == p_values([lacks], [has]) == {}

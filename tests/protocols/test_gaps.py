"""The machine behind every gap: what it says of groups without errors, of ties, of equal groups."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fairjax.core.results import Measure
from fairjax.metrics.equality import Known
from fairjax.protocols import gaps
from fairjax.protocols.gaps import GroupRates, Setting

SETTING = Setting(level=0.9, seed=0, unit="cluster", alpha=0.05)
NAMES = "abcdefghij"
BLANK = Measure("fpr_difference", None, "", 300, across="g")


def rates(values, n=100, *, lower_is_better=True, known=True) -> GroupRates:
    """Independent trials of groups with these rates, resampled as binomials."""
    values = np.asarray(values, float)
    rng = np.random.default_rng(0)
    drawn = rng.binomial(n, np.nan_to_num(values), (500, len(values))) / n
    there = ~np.isnan(values)
    measures = [
        Measure("fpr", v if t else None, "fraction", n, {"g": g}, interval=(0.0, 1.0), n_clusters=n)
        for v, t, g in zip(values, there, NAMES, strict=False)
    ]
    pooled = float(values[there].mean())
    found = Known(pooled, np.full(there.sum(), float(n))) if known else None
    null = rng.binomial(n, pooled, (999, len(values))) / n
    null[:, ~there] = np.nan
    return GroupRates(
        name="fpr",
        unit="fraction",
        lower_is_better=lower_is_better,
        names=NAMES[: len(values)],
        measures=measures,
        rates=values,
        resampled=np.where(there, drawn, np.nan),
        null=null,
        null_method="draws",
        known=found,
    )


def test_a_difference_has_value_interval_floor_and_p_value():
    found, floor, p = (
        n.measure for n in gaps.summarise(BLANK, gaps.DIFFERENCE, [rates([0.1, 0.2, 0.5])], SETTING)
    )
    assert found.value == pytest.approx(0.4) and found.interval[0] > 0.1
    assert (floor.name, p.name) == ("fpr_difference_noise_floor", "fpr_difference_p_value")
    assert 0 < floor.value < 0.25 and p.value == 1 / 1000
    assert found.method == "cluster bootstrap, deviation of rates, 500 resamples"


def test_a_group_without_errors_is_drawn_as_far_as_its_trials_leave_it_unknown():
    part = rates([0.0, 0.0, 0.01])
    plain = gaps.summarise(BLANK, gaps.DIFFERENCE, [part], SETTING)[0].measure
    fixed = gaps.summarise(BLANK, gaps.DIFFERENCE, [rates([0.0, 0.0, 0.01], known=False)], SETTING)
    assert plain.interval[1] > fixed[0].measure.interval[1]
    nobody = gaps.summarise(BLANK, gaps.DIFFERENCE, [rates([0.0, 0.0, 0.0])], SETTING)[0].measure
    # Jeffreys' posterior of three groups of 100: one of them is above 2.4 % in 10 % of draws
    assert nobody.value == 0 and nobody.interval == (0.0, pytest.approx(0.024, abs=0.006))


@pytest.mark.parametrize("summary", [gaps.DIFFERENCE, gaps.RATIO, gaps.MEAN])
def test_the_rate_of_one_person_is_not_taken_as_known_in_the_interval_of_a_gap(summary):
    part = rates([0.1, 0.3, 0.5])
    part.measures[1] = replace(part.measures[1], interval=None, n_clusters=1)
    found = gaps.summarise(BLANK, summary, [part], SETTING)[0].measure
    assert found.value is not None and found.interval is None
    assert found.note == "no interval: too few people in b"
    without_errors = rates([0.1, 0.0, 0.5])  # drawn from what it may be
    without_errors.measures[1] = replace(without_errors.measures[1], interval=None)
    assert gaps.summarise(BLANK, gaps.DIFFERENCE, [without_errors], SETTING)[0].measure.interval


def test_a_group_without_a_rate_is_left_out_and_named():
    found = gaps.summarise(BLANK, gaps.DIFFERENCE, [rates([0.1, np.nan, 0.3])], SETTING)[0].measure
    assert found.value == pytest.approx(0.2) and "without b: undefined there" in found.note
    alone = gaps.summarise(BLANK, gaps.DIFFERENCE, [rates([0.1, np.nan, np.nan])], SETTING)
    assert len(alone) == 1 and "fewer than two groups" in alone[0].measure.note


def test_the_worst_group_is_the_end_that_is_bad_and_ties_are_named():
    high = gaps.worst_group(BLANK, rates([0.1, 0.3, 0.3]), SETTING)[0].measure
    assert high.group == {"g": "b"} and high.value == 0.3 and "shared by c" in high.note
    low = gaps.worst_group(BLANK, rates([0.9, 0.6, 0.8], lower_is_better=False), SETTING)
    assert low[0].measure.group == {"g": "b"}
    ends = low[0].measure.interval
    assert 0.4 < ends[0] < 0.6 < ends[1] < 0.8 and "shared" not in low[0].measure.note


def test_the_primary_test_says_what_it_would_find_and_nothing_without_errors():
    p, ratio, people = (
        n.measure for n in gaps.equality_test(BLANK, rates([0.2, 0.2, 0.2]), SETTING)
    )
    assert p.name == "fpr_equality_p_value" and p.value == 1
    assert ratio.name == "fpr_detectable_ratio" and 1.5 < ratio.value < 3
    # people x (log ratio / log 2)^2, but for the difference between large and small ratios
    assert people.value == pytest.approx(100 * (np.log(ratio.value) / np.log(2)) ** 2, rel=0.3)
    (nothing,) = gaps.equality_test(BLANK, rates([0.0, 0.0, 0.0]), SETTING)
    assert nothing.measure.value is None and "no group has an error" in nothing.measure.note
    assert gaps.equality_test(BLANK, rates([0.1, 0.2, 0.3], known=False), SETTING) == []


def test_the_people_needed_are_those_of_every_group_and_not_of_a_tiny_one():
    part = rates([0.1, 0.1, 0.12])
    people = [4, 300, 300]
    measures = [replace(m, n_clusters=n) for m, n in zip(part.measures, people, strict=True)]
    known = Known(part.known.pooled, np.array(people, float))
    part = replace(part, measures=measures, known=known)
    found = {n.measure.name: n.measure.value for n in gaps.equality_test(BLANK, part, SETTING)}
    even = Known(known.pooled, np.full(3, found["fpr_people_needed"]))
    assert even.power(2.0, alpha=SETTING.alpha, seed=1) == pytest.approx(0.8, abs=0.03)


numbers_of_groups = pytest.mark.parametrize("groups", [2, 3, 8])
SUMMARIES = {
    "mean": (gaps.MEAN, np.mean),
    "std": (gaps.STD, lambda values: np.std(values, ddof=1)),
    "difference": (gaps.DIFFERENCE, np.ptp),
    "ratio": (gaps.RATIO, lambda values: min(values) / max(values)),
    "ser": (gaps.SKEWED_ERROR_RATIO, lambda values: (1 - min(values)) / (1 - max(values))),
}


@numbers_of_groups
@pytest.mark.parametrize("name", SUMMARIES)
def test_every_summary_of_any_number_of_groups_has_its_number_and_its_chance(name, groups):
    summary, by_hand = SUMMARIES[name]
    values = np.linspace(0.1, 0.6, groups)
    number, *chance = gaps.summarise(BLANK, summary, [rates(values)], SETTING)
    low, high = number.measure.interval
    assert number.measure.value == pytest.approx(by_hand(values))
    assert low < number.measure.value < high
    assert number.resampled.shape == (500,)
    assert [n.measure.name for n in chance] == (
        ["fpr_difference_noise_floor", "fpr_difference_p_value"] if summary.noise else []
    )
    if summary.noise:
        floor, p = (n.measure.value for n in chance)
        assert 0 < floor < number.measure.value and p == 1 / 1000
        _, _, p = gaps.summarise(BLANK, summary, [rates([0.3] * groups)], SETTING)
        assert p.measure.value == 1.0


@numbers_of_groups
def test_the_means_of_any_number_of_groups_have_their_summaries(groups):
    values = np.linspace(4.0, 9.0, groups)
    part = replace(rates(np.linspace(0.2, 0.5, groups)), unit="years", rates=values, known=None)
    noise = np.random.default_rng(0).normal(0, 0.5, (500, groups))
    part = replace(part, resampled=values + noise, null=6.0 + noise)
    found = gaps.mean_summaries(part)
    expected = {
        "mean": values.mean(),
        "std": values.std(ddof=1),
        "std_over_mean": values.std(ddof=1) / values.mean(),
        "difference": 5.0,
        "ratio": 4 / 9,
    }
    assert found.keys() == expected.keys()
    for name, summary in found.items():
        measure = gaps.summarise(BLANK, summary, [part], SETTING)[0].measure
        assert measure.value == pytest.approx(expected[name]), name
        assert measure.interval[0] < measure.value < measure.interval[1], name
    widest = gaps.summarise(BLANK, found["difference"], [part], SETTING)[0].measure
    assert widest.interval[1] > 5  # years end at no 1


@numbers_of_groups
def test_the_primary_test_of_any_number_of_groups_is_pearson_s(groups):
    values = np.full(groups, 0.2)
    values[-1] = 0.29
    p, ratio, people = (n.measure for n in gaps.equality_test(BLANK, rates(values, 400), SETTING))
    errors = np.rint(values * 400)
    theirs = stats.chi2_contingency(np.stack([errors, 400 - errors]), correction=False)
    assert p.value == pytest.approx(theirs.pvalue, abs=0.01)
    assert 1 < ratio.value < 2 and 20 < people.value < 400
    weighted = replace(rates(values, 400), weights=np.full(groups, 400.0))
    (again, *_) = gaps.equality_test(BLANK, weighted, SETTING)
    assert again.measure.value == pytest.approx(p.value, abs=0.005)


@numbers_of_groups
def test_the_worst_of_any_number_of_groups_is_named(groups):
    values = np.linspace(0.2, 0.5, groups)
    (high,) = gaps.worst_group(BLANK, rates(values), SETTING)
    (low,) = gaps.worst_group(BLANK, rates(values, lower_is_better=False), SETTING)
    assert (high.measure.group, high.measure.value) == ({"g": NAMES[groups - 1]}, 0.5)
    assert (low.measure.group, low.measure.value) == ({"g": "a"}, 0.2)
    alone = np.full(groups, np.nan)
    alone[-1] = 0.4
    (only,) = gaps.worst_group(BLANK, rates(alone, known=False), SETTING)
    assert only.measure.value == 0.4 and "fewer than two groups" in only.measure.note


@numbers_of_groups
def test_two_groups_without_a_rate_are_too_few_and_two_with_one_are_enough(groups):
    values = np.full(groups + 2, np.nan)
    values[:2] = 0.1, 0.4
    found = gaps.summarise(BLANK, gaps.DIFFERENCE, [rates(values)], SETTING)
    assert found[0].measure.value == pytest.approx(0.3) and len(found) == 3
    assert found[2].measure.value < 0.01

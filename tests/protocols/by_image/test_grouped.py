from dataclasses import replace

import numpy as np
import pytest

from fairjax.metrics import bootstrap, by_group
from fairjax.protocols.by_image import grouped
from fairjax.protocols.gaps import DIFFERENCE, RATIO, GroupRates


def sampling(cluster: np.ndarray, resamples: int = 400) -> grouped.Sampling:
    return grouped.Sampling(
        cluster, bootstrap.draw(cluster, resamples=resamples, seed=0), level=0.9, seed=0
    )


def measure(values: np.ndarray, group: np.ndarray, **options: bool) -> GroupRates:
    quantity = grouped.mean_of(
        "said", values, unit="fraction", rule="r", errors=values, lower_is_better=True
    )
    names = [{"g": name} for name in "abc"]
    return grouped.measure_groups(
        quantity, group, names, sampling(np.arange(len(group))), **options
    )


def test_a_resample_that_lacks_a_group_is_left_out_of_the_gap_and_said() -> None:
    values = np.array([True, False] * 10 + [True, False])
    group = np.array([0] * 10 + [1] * 10 + [2] * 2)
    part = measure(values, group, permute=True)
    lacking = np.isnan(part.resampled[:, 2])
    assert 0.05 < lacking.mean() < 0.25  # (1 - 2/22)^22 = 0.12
    gap = grouped.summarise(
        "said_difference", DIFFERENCE, part, across="g", sampling=sampling(np.arange(22))
    )[0]
    assert f"{lacking.mean():.1%} of resamples left out" in gap.note
    deviations = by_group.difference(part.resampled[~lacking] - part.rates)
    reach = np.quantile(deviations, 0.9)
    assert gap.interval == pytest.approx((0.0, gap.value + reach))


def test_examples_of_no_group_are_left_out() -> None:
    part = measure(np.array([True, True, False]), np.array([0, -1, 0]))
    assert [m.n for m in part.measures] == [2, 0, 0]
    assert part.measures[0].value == 0.5


def test_a_ratio_s_interval_is_that_of_its_logarithm() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, 600)
    part = measure(rng.random(600) < np.array([0.2, 0.4, 0.6])[group], group)
    ratio = grouped.summarise(
        "said_ratio", RATIO, part, across="g", sampling=sampling(np.arange(600))
    )[0]
    logs = np.log(part.resampled) - np.log(part.rates)
    reach = np.quantile(logs.max(axis=1) - logs.min(axis=1), 0.9)
    assert ratio.interval == pytest.approx(
        (ratio.value * np.exp(-reach), ratio.value * np.exp(reach))
    )
    assert ratio.interval[1] < 1


def test_a_ratio_with_a_rate_of_zero_has_no_interval() -> None:
    part = measure(np.array([True, False] * 5 + [False] * 5), np.array([0] * 10 + [1] * 5))
    ratio = grouped.summarise(
        "said_ratio", RATIO, part, across="g", sampling=sampling(np.arange(15))
    )[0]
    assert ratio.value == 0 and ratio.interval is None
    assert "no interval: a group's rate is 0" in ratio.note
    assert "without c: undefined there" in ratio.note


def test_fewer_than_two_groups_have_no_gap() -> None:
    part = measure(np.array([True, False]), np.array([1, 1]))
    found = grouped.summaries(part, across="g", sampling=sampling(np.arange(2)))
    assert {m.name: m.value for m in found}["said_difference"] is None
    assert all("fewer than two groups" in m.note for m in found)


def test_a_biased_quantity_has_a_recentred_interval() -> None:
    values = np.random.default_rng(0).random(50)
    plain = grouped.mean_of("said", values, rule="r", lower_is_better=True)
    # the distance of a mean from its own value: resamples lie on one side of 0
    off = replace(plain, value=lambda s: np.abs(plain.value(s) - values.mean()), values=None)
    everyone, cluster = np.zeros(50, np.int64), sampling(np.arange(50))
    biased, recentred = (
        grouped.measure_groups(replace(off, recentre=flag), everyone, [{}], cluster).measures[0]
        for flag in (False, True)
    )
    assert biased.interval[0] > biased.value == 0
    assert recentred.interval[0] == 0 < recentred.interval[1] < biased.interval[1]


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_every_statistic_has_its_chance_with_any_number_of_groups(groups: int) -> None:
    rng = np.random.default_rng(groups)
    group = np.repeat(np.arange(groups), 150)
    names = [{"g": "abcdefgh"[k]} for k in range(groups)]
    drawn = sampling(np.arange(len(group)), resamples=199)
    found = {}
    for kind, rate in (("alike", np.full(groups, 0.3)), ("apart", np.linspace(0.2, 0.6, groups))):
        right = rng.random(len(group)) > rate[group]
        if kind == "alike":  # as many errors in every group
            right = np.tile(np.arange(150) >= 45, groups)
        quantity = grouped.mean_of("said_accuracy", right, errors=~right, lower_is_better=False)
        part = grouped.measure_groups(quantity, group, names, drawn, permute=True)
        found[kind] = {
            m.name.removeprefix("said_accuracy_"): m
            for m in grouped.summaries(part, across="g", sampling=drawn)
        }
    apart, alike = found["apart"], found["alike"]
    for name in ("mean", "std", "std_over_mean", "difference", "ratio", "ser", "worst"):
        low, high = apart[name].interval
        assert low <= apart[name].value <= high, name
    for name in ("std", "difference"):
        assert apart[name].value > apart[f"{name}_noise_floor"].value > 0, name
        assert apart[f"{name}_p_value"].value == pytest.approx(1 / 200), name
        assert alike[f"{name}_p_value"].value == 1.0, name
    assert apart["equality_p_value"].value == pytest.approx(1 / 200)
    assert alike["equality_p_value"].value == 1.0
    assert 1 < alike["detectable_ratio"].value < 2
    assert alike["people_needed"].value > 0
    assert apart["worst"].group == names[-1]


def test_the_detectable_ratio_is_of_errors_where_more_is_better() -> None:
    group = np.repeat(np.arange(3), 400)
    wrong = np.tile(np.arange(400) < 40, 3)
    names = [{"g": name} for name in "abc"]
    drawn = sampling(np.arange(1200))
    ratios = {}
    for name, values, lower in (("said_accuracy", ~wrong, False), ("said_fpr", wrong, True)):
        quantity = grouped.mean_of(name, values, errors=wrong, lower_is_better=lower)
        part = grouped.measure_groups(quantity, group, names, drawn, permute=True)
        made = grouped.summaries(part, across="g", sampling=drawn)
        ratios[name] = next(m for m in made if m.name.endswith("_detectable_ratio"))
    assert ratios["said_accuracy"].value == pytest.approx(ratios["said_fpr"].value)
    assert "error" in ratios["said_accuracy"].rule


@pytest.mark.parametrize(("count", "noted"), [(29, True), (30, False), (31, False)])
def test_numbers_of_fewer_than_thirty_errors_or_examples_say_so(count: int, noted: bool) -> None:
    errors = np.arange(200) < count
    (rate, *_) = measure(errors, np.zeros(200, np.int64)).measures
    assert rate.n_errors == count
    assert (f"fewer than 30 errors ({count})" in rate.note) is noted
    years = grouped.mean_of("age", np.arange(count) / 10, rule="r", lower_is_better=True)
    part = grouped.measure_groups(
        years, np.zeros(count, np.int64), [{}], sampling(np.arange(count))
    )
    assert part.measures[0].n_errors is None
    assert (f"fewer than 30 examples ({count})" in part.measures[0].note) is noted

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

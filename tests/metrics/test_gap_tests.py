import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairjax.metrics import bootstrap, by_group, differential
from fairjax.metrics import gap_tests as t

FMR = np.array([0.001, 0.002, 0.004, 0.008])
FNMR = np.array([0.01, 0.02, 0.02, 0.03])
VALUES = {
    "difference": by_group.difference,
    "std": lambda x: by_group.std(x, ddof=1),
    "max_over_min": differential.max_over_min,
    "max_over_geomean": differential.max_over_geomean,
    "sum_abs_log10": differential.sum_abs_log10,
    "gini": differential.gini,
    "fairness_discrepancy_rate": differential.fairness_discrepancy_rate,
    "inequity_rate": differential.inequity_rate,
    "garbe": differential.garbe,
}
JOINT = ("fairness_discrepancy_rate", "inequity_rate", "garbe")


def one_or_both(name: str, *rates: np.ndarray) -> list[np.ndarray]:
    return list(rates if name in JOINT else rates[:1])


numbers_of_groups = pytest.mark.parametrize("groups", [2, 3, 8])


@numbers_of_groups
@pytest.mark.parametrize("name", VALUES)
def test_a_gap_s_form_gives_its_measure(name: str, groups: int) -> None:
    assert set(VALUES) == set(t.GAPS)
    rng = np.random.default_rng(0)
    rates = one_or_both(name, *rng.uniform(0.01, 0.3, (2, 50, groups)))
    gap = t.GAPS[name]
    found = gap.finish(gap.size(*(gap.transform(x) for x in rates)))
    np.testing.assert_allclose(found, VALUES[name](*rates))


@numbers_of_groups
@pytest.mark.parametrize("name", VALUES)
def test_an_interval_without_spread_is_the_value(name: str, groups: int) -> None:
    rates = one_or_both(name, *(np.resize(x, groups) for x in (FMR, FNMR)))
    same = [np.tile(x, (20, 1)) for x in rates]
    low, high = t.GAPS[name].interval(rates, same, level=0.95)
    assert (low, high) == pytest.approx((float(VALUES[name](*rates)),) * 2)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    "truth", [(0.05, 0.05, 0.05), (0.02, 0.05, 0.09), (0.05, 0.05), (0.04, *[0.06] * 7)]
)
def test_intervals_cover_the_true_gap_where_groups_are_equal_too(
    name: str, truth: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(1)
    n = np.resize([1200, 900, 1500], len(truth))
    true = VALUES[name](*one_or_both(name, np.array(truth), np.array(truth)[::-1]))
    covered = 0
    for _ in range(80):
        rates = [rng.binomial(n, p) / n for p in one_or_both(name, truth, truth[::-1])]
        resampled = [rng.binomial(n, p, (300, len(n))) / n for p in rates]
        low, high = t.GAPS[name].interval(rates, resampled, level=0.9)
        covered += low - 1e-9 <= true <= high + 1e-9
    assert covered >= 66  # 90 % nominal


def test_an_interval_reaches_as_far_as_the_lopsided_may_be_off() -> None:
    # logs off by (-log 10, 0, 0): the largest is log(10) / 3 above their mean, the smallest twice
    # as far below it, and the truth may differ in either direction
    equal, resampled = np.full(3, 0.1), np.tile([0.01, 0.1, 0.1], (20, 1))
    low, high = t.GAPS["max_over_geomean"].interval([equal], [resampled], level=0.95)
    assert (low, high) == pytest.approx((1, 10 ** (2 / 3)))


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("difference", (0, 1)),
        ("std", (0, 1)),
        ("gini", (0, 1)),
        ("garbe", (0, 1)),
        ("fairness_discrepancy_rate", (0, 1)),
        ("max_over_min", (1, 30**3)),
        ("inequity_rate", (1, 30**3)),
    ],
)
def test_an_interval_ends_where_no_gap_can_be_larger(name: str, ends: tuple[float, float]) -> None:
    # one group at 0.9 and one at 0.03, and in half of the resamples the other way round
    rates = np.array([0.9, 0.03])
    resampled = np.tile([[0.9, 0.03], [0.03, 0.9]], (20, 1))
    both = one_or_both(name, rates, rates)
    found = t.GAPS[name].interval(both, one_or_both(name, resampled, resampled), level=0.95)
    np.testing.assert_allclose(found, ends, rtol=1e-9)


def test_an_interval_needs_two_groups_and_errors_in_each() -> None:
    rng = np.random.default_rng(0)
    rates, resampled = np.array([0.1, 0.2, 0.0]), rng.binomial(50, [0.1, 0.2, 0.0], (99, 3)) / 50
    for name in ("max_over_min", "max_over_geomean", "sum_abs_log10"):
        assert t.GAPS[name].interval([rates], [resampled], level=0.95) is None
    assert t.GAPS["difference"].interval([rates], [resampled], level=0.95) is not None
    eight = np.array([0.0, *[0.01] * 7]), np.array([[0.0, *[0.01] * 7]] * 9)
    for name in ("max_over_min", "max_over_geomean", "sum_abs_log10"):
        assert t.GAPS[name].interval([eight[0]], [eight[1]], level=0.95) is None
    alone = np.array([0.1, np.nan, np.nan])
    assert t.GAPS["gini"].interval([alone], [resampled], level=0.95) is None
    few = np.array([0.02, 0.02]), rng.binomial(50, 0.02, (99, 2)) / 50  # many without an error
    assert t.GAPS["max_over_min"].interval([few[0]], [few[1]], level=0.95) is None


@pytest.mark.parametrize("name", ["max_over_min", "max_over_geomean", "inequity_rate"])
@pytest.mark.parametrize("empty", range(12, 20))
def test_an_end_never_lies_between_a_resample_with_errors_and_one_without(name, empty):
    rng = np.random.default_rng(0)
    rates = np.array([0.0004, 0.001, 0.004])
    drawn = rates * rng.lognormal(0, 0.4, (300, 3))
    drawn[:empty, 0] = 0  # about one in twenty resamples, which is where the end is looked for
    both = one_or_both(name, rates, rates), one_or_both(name, drawn, drawn)
    ends = t.GAPS[name].interval(*both, level=0.95)
    assert ends is None or ends[1] < 1000


def test_a_group_without_data_and_resamples_that_lack_one_are_left_out() -> None:
    rng = np.random.default_rng(0)
    rates, resampled = np.array([0.1, 0.2]), rng.binomial(200, [0.1, 0.2], (99, 2)) / 200
    plain = t.GAPS["gini"].interval([rates], [resampled], level=0.9)
    holed = np.insert(resampled, 1, 0.5, axis=1)
    found = t.GAPS["gini"].interval([np.insert(rates, 1, np.nan)], [holed], level=0.9)
    assert found == plain
    lacking = np.concatenate([resampled, [[0.9, np.nan]]])
    assert t.GAPS["gini"].interval([rates], [lacking], level=0.9) == plain


@pytest.mark.parametrize(
    ("rate", "pairs", "median_ratio", "undefined", "median_gini", "floor_gini"),
    [  # four equal groups of independent pairs, simulated apart
        (1e-3, 3_000, 4.0, 0.19, 0.33, 0.61),
        (1e-2, 3_000, 1.4, 0.0, 0.10, 0.18),
        (1e-3, 100_000, 1.2, 0.0, 0.05, 0.10),
        (1e-4, 100_000, 1.9, 0.0, 0.17, 0.32),
    ],
)
def test_noise_of_equal_groups(
    rate: float,
    pairs: int,
    median_ratio: float,
    undefined: float,
    median_gini: float,
    floor_gini: float,
) -> None:
    null = np.random.default_rng(0).binomial(pairs, rate, (20_000, 4)) / pairs
    ratio, gini = differential.max_over_min(null), differential.gini(null)
    infinite = np.where(np.isnan(ratio), np.inf, ratio)
    assert np.median(infinite) == pytest.approx(median_ratio, abs=0.06)
    assert np.isnan(ratio).mean() == pytest.approx(undefined, abs=0.01)
    assert np.median(gini) == pytest.approx(median_gini, abs=0.01)
    assert t.noise_floor(gini) == pytest.approx(floor_gini, abs=0.01)
    assert np.isinf(t.noise_floor(ratio)) == (undefined > 0.05)


def test_undefined_counts_as_infinite() -> None:
    null = np.array([1.0, 2.0, np.nan, 3.0])
    assert t.p_value(2.5, null) == 3 / 5
    assert t.p_value(np.nan, null) == 2 / 5
    assert t.noise_floor(null, level=0.5) == 3.0
    assert t.noise_floor(null, level=0.95) == np.inf


def test_holm_worked_by_hand() -> None:
    # 3 * 0.01, 2 * 0.02, 1 * 0.03 raised to the one before
    found = t.holm(np.array([0.02, np.nan, 0.01, 0.03]))
    np.testing.assert_allclose(found, [0.04, np.nan, 0.03, 0.04])
    np.testing.assert_allclose(t.holm(np.array([0.9, 0.8])), [1, 1])
    assert len(t.holm(np.zeros(0))) == 0


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(P_VALUES, st.randoms())
def test_holm_lies_between_the_plain_and_bonferroni_and_has_no_order(
    values: list[float], random: object
) -> None:
    plain = np.array(values)
    found = t.holm(plain)
    assert (found >= plain).all()
    assert (found <= np.minimum(len(plain) * plain, 1) + 1e-15).all()
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(t.holm(plain[order]), found[order])


def test_benjamini_hochberg_is_the_definition() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.5])
    found = t.benjamini_hochberg(np.append(p, np.nan))
    np.testing.assert_allclose(found[:4], [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert np.isnan(found[4])
    assert np.isnan(t.benjamini_hochberg(np.full(2, np.nan))).all()


@pytest.mark.parametrize(
    ("interval", "larger_is_fairer", "expected"),
    [
        ((0.0, 0.02), False, "within"),
        ((0.0, 0.0201), False, "inconclusive"),
        ((0.03, 0.05), False, "exceeds"),
        ((0.02, 0.05), False, "inconclusive"),
        (None, False, "inconclusive"),
        ((0.03, 0.05), True, "within"),
        ((0.0, 0.01), True, "exceeds"),
        ((0.01, 0.05), True, "inconclusive"),
    ],
)
def test_verdicts_have_three_states(
    interval: tuple[float, float] | None, larger_is_fairer: bool, expected: str
) -> None:
    assert t.verdict(interval, 0.02, larger_is_fairer=larger_is_fairer) == expected


def test_permuted_subjects_give_the_null_of_a_gap_of_fnmr() -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(60), 20)
    skill = rng.beta(1, 20, 60)
    p_values = []
    for _ in range(40):
        group = rng.permutation(np.arange(60) % 3)[person]
        error = rng.random(1200) < skill[person]
        null = bootstrap.permuted_means(error, group, person, groups=3, permutations=199, seed=0)
        rates = by_group.by_group(np.mean, error, group=group, groups=3)
        observed = float(differential.gini(rates))
        p_values.append(t.p_value(observed, differential.gini(null)))
    assert stats.kstest(p_values, "uniform").pvalue > 0.01

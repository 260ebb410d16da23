import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairjax.metrics import by_group
from fairjax.metrics import differential as d

# a worked example of four groups at one threshold
FMR = np.array([0.001, 0.002, 0.004, 0.008])
FNMR = np.array([0.01, 0.02, 0.02, 0.03])
ONE = (d.max_over_min, d.max_over_geomean, d.sum_abs_log10, d.gini)
JOINT = (
    d.fairness_discrepancy_rate,
    d.inequity_rate,
    d.garbe,
    lambda a, b: d.worst_error_rate_multiplier(a, b, epsilon=0.0),
)


def test_the_worked_example() -> None:
    assert d.fairness_discrepancy_rate(FMR, FNMR) == pytest.approx(0.9865)
    assert d.inequity_rate(FMR, FNMR) == pytest.approx(4.898979, abs=1e-6)
    assert d.gini(FMR) == pytest.approx(0.511111, abs=1e-6)
    assert d.gini(FNMR) == pytest.approx(0.25)
    assert d.garbe(FMR, FNMR) == pytest.approx(0.380556, abs=1e-6)
    assert d.max_over_geomean(FMR) == pytest.approx(2.828427, abs=1e-6)
    assert d.max_over_geomean(FNMR) == pytest.approx(1.611855, abs=1e-6)
    assert d.max_over_min(FMR) == pytest.approx(8)
    assert d.max_over_min(FNMR) == pytest.approx(3)


def test_what_is_not_in_the_example_worked_by_hand() -> None:
    # log10 of 1, 2, 4, 8 about their mean, 1.5 log10 2: 1.5 + 0.5 + 0.5 + 1.5
    assert d.sum_abs_log10(FMR) == pytest.approx(4 * np.log10(2))
    assert d.geometric_mean(FMR) == pytest.approx(0.001 * 2**1.5)
    assert d.worst_error_rate_multiplier(FMR, FNMR, epsilon=0.0) == pytest.approx(
        np.sqrt(2.828427 * 1.611855), abs=1e-6
    )
    shifted = [np.exp(np.mean(np.log(x + 1e-5))) for x in (FMR, FNMR)]
    assert d.worst_error_rate_multiplier(FMR, FNMR) == pytest.approx(
        np.sqrt(0.008 / shifted[0] * 0.03 / shifted[1])
    )


def test_weights_go_to_false_matches_first() -> None:
    assert d.fairness_discrepancy_rate(FMR, FNMR, alpha=1.0) == pytest.approx(1 - 0.007)
    assert d.fairness_discrepancy_rate(FMR, FNMR, alpha=0.0) == pytest.approx(1 - 0.02)
    assert d.inequity_rate(FMR, FNMR, alpha=0.25) == pytest.approx(8**0.25 * 3**0.75)
    assert d.garbe(FMR, FNMR, alpha=1.0) == pytest.approx(float(d.gini(FMR)))
    assert d.worst_error_rate_multiplier(FMR, FNMR, alpha=0.0, epsilon=0.0) == pytest.approx(
        float(d.max_over_geomean(FNMR))
    )


def test_garbe_is_none_of_its_wrong_namesakes() -> None:
    two = np.array([0.001, 0.004]), np.array([0.01, 0.03])
    assert d.garbe(*two) == pytest.approx((0.6 + 0.5) / 2)  # |x - y| / (x + y) for two groups
    assert d.garbe(*two) != pytest.approx(0.5 * 0.003 + 0.5 * 0.02)  # plain differences
    assert d.garbe(*two) != pytest.approx(0.5 * 0.003 / 0.02)  # a ratio of differentials


def test_the_bias_degree_and_gini_of_the_published_vector() -> None:
    rates = np.array([1, 2, 4, 1]) * 1e-4
    assert d.bias_degree(rates, denominator=1e-4) == pytest.approx(1.414214, abs=1e-6)
    assert d.bias_degree(rates, denominator=1e-4, ddof=0) == pytest.approx(1.224745, abs=1e-6)
    assert d.bias_degree(rates, denominator=2e-4, ddof=0) == pytest.approx(1.224745 / 2, abs=1e-6)
    assert d.gini(rates) == pytest.approx(0.416667, abs=1e-6)
    assert d.gini(rates) * 3 / 4 == pytest.approx(0.3125)  # the form without small-sample factor
    assert np.isnan(d.bias_degree(rates, denominator=0.0))


def test_gini_is_0_to_1_with_one_group_having_all() -> None:
    assert d.gini(np.array([0.0, 0.0, 0.0, 0.2])) == pytest.approx(1)
    assert d.gini(np.full(5, 0.3)) == pytest.approx(0)
    assert d.gini(np.zeros(5)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_gini_is_the_double_sum_written_out(seed: int) -> None:
    x = np.random.default_rng(seed).random(6)
    total = sum(abs(a - b) for a in x for b in x)
    assert d.gini(x) == pytest.approx(6 / 5 * total / (2 * 36 * x.mean()))


def test_a_rate_of_zero_makes_ratios_undefined_and_smoothing_defines_them() -> None:
    errors, trials = np.array([0, 3, 6]), np.array([3000, 3000, 2999])
    rates = errors / trials
    for measure in (d.max_over_min, d.max_over_geomean, d.sum_abs_log10):
        assert np.isnan(measure(rates))
    assert np.isnan(d.inequity_rate(rates, FNMR[:3]))
    assert np.isnan(d.worst_error_rate_multiplier(rates, FNMR[:3], epsilon=0.0))
    assert d.worst_error_rate_multiplier(rates, FNMR[:3]) > 1
    assert d.garbe(rates, FNMR[:3]) > 0
    assert d.fairness_discrepancy_rate(rates, FNMR[:3]) < 1
    smoothed = d.smoothed(errors, trials)
    np.testing.assert_allclose(smoothed, [0.5 / 3001, 3.5 / 3001, 6.5 / 3000])
    assert d.max_over_min(smoothed) == pytest.approx(13 * 3001 / 3000)
    assert np.isnan(d.smoothed(np.zeros(2), np.array([0, 4]))).tolist() == [True, False]


def test_all_rates_zero_is_equal_for_gini_and_undefined_for_ratios() -> None:
    zero = np.zeros(3)
    assert d.garbe(zero, zero) == 0
    assert d.fairness_discrepancy_rate(zero, zero) == 1
    for measure in (d.max_over_min, d.max_over_geomean, d.sum_abs_log10):
        assert np.isnan(measure(zero))


def test_a_group_without_data_is_skipped_and_one_group_alone_has_no_gap() -> None:
    holed = np.insert(FMR, 2, np.nan)
    for measure in ONE:
        assert measure(holed) == pytest.approx(float(measure(FMR)))
        assert np.isnan(measure(np.array([0.1, np.nan])))
        assert np.isnan(measure(np.full(3, np.nan)))
    for joint in JOINT:
        assert joint(holed, np.insert(FNMR, 0, np.nan)) == pytest.approx(float(joint(FMR, FNMR)))
        assert np.isnan(joint(np.array([0.1, np.nan]), FNMR[:2]))
    assert np.isnan(d.bias_degree(np.array([0.1, np.nan]), denominator=0.1, ddof=0))


def test_leading_axes_go_along() -> None:
    many = np.random.default_rng(0).random((3, 2, 4)) + 0.01
    others = np.random.default_rng(1).random((3, 2, 4)) + 0.01
    for measure in (*ONE, lambda x: d.bias_degree(x, denominator=0.1)):
        found = measure(many)
        assert found.shape == (3, 2)
        assert found[1, 1] == pytest.approx(float(measure(many[1, 1])))
    for joint in JOINT:
        found = joint(many, others)
        assert found.shape == (3, 2)
        assert found[2, 0] == pytest.approx(float(joint(many[2, 0], others[2, 0])))


RATES = st.lists(st.floats(1e-5, 1), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(RATES, st.floats(0.01, 1), st.randoms())
def test_names_of_groups_and_units_of_rates_play_no_part(
    values: list[float], scale: float, random: object
) -> None:
    rates = np.array(values)
    random.shuffle(values)  # type: ignore[attr-defined]
    for measure in ONE:
        assert measure(np.array(values)) == pytest.approx(float(measure(rates)), abs=1e-9)
        assert measure(scale * rates) == pytest.approx(float(measure(rates)), abs=1e-9)
    assert 0 <= d.gini(rates) <= 1 + 1e-12
    assert d.max_over_min(rates) >= d.max_over_geomean(rates) - 1e-12


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-5, 1), st.integers(2, 6))
def test_equal_groups_have_no_gap(rate: float, groups: int) -> None:
    rates = np.full(groups, rate)
    for measure, equal in zip(ONE, (1, 1, 0, 0), strict=True):
        assert measure(rates) == pytest.approx(equal, abs=1e-9)
    for joint, equal in zip(JOINT, (1, 1, 0, 1), strict=True):
        assert joint(rates, rates) == pytest.approx(equal, abs=1e-9)


def test_the_area_under_the_discrepancy_rate_is_its_mean_over_decades() -> None:
    targets = np.logspace(-6, -1, 51)
    assert d.fairness_discrepancy_rate_area(np.full(51, 0.9), targets) == pytest.approx(0.9)
    falling = np.linspace(1, 0.5, 51)  # in decades
    assert d.fairness_discrepancy_rate_area(falling, targets) == pytest.approx(0.75)
    backwards = d.fairness_discrepancy_rate_area(np.stack([falling[::-1]] * 2), targets[::-1])
    np.testing.assert_allclose(backwards, [0.75, 0.75])


# The accuracies of tables 3 and 4 of the CIFP paper (arXiv 2106.05519), percent, and their average,
# standard deviation with ddof 1 and 0, and SER, computed apart: printed ones mix the two ddofs.
PUBLISHED = [
    ((93.98, 93.72, 96.18, 94.67), (94.64, 1.10, 0.96, 1.64)),
    ((92.93, 92.98, 95.12, 93.93), (93.74, 1.03, 0.89, 1.45)),
    ((93.67, 94.33, 95.95, 94.78), (94.68, 0.96, 0.83, 1.56)),
    ((94.65, 94.93, 96.23, 95.12), (95.23, 0.69, 0.60, 1.42)),
    ((95.00, 94.82, 96.27, 94.68), (95.19, 0.73, 0.63, 1.43)),
    ((95.95, 95.17, 96.78, 96.38), (96.07, 0.69, 0.60, 1.50)),
    ((95.55, 94.95, 96.68, 95.47), (95.66, 0.73, 0.63, 1.52)),
    ((96.47, 95.75, 97.08, 96.77), (96.52, 0.57, 0.49, 1.46)),
    ((97.03, 95.65, 97.60, 96.82), (96.77, 0.82, 0.71, 1.81)),
    ((93.87, 94.55, 97.37, 95.86), (95.41, 1.54, 1.34, 2.33)),
    ((95.77, 95.85, 97.92, 96.70), (96.56, 1.00, 0.87, 2.03)),
    ((96.85, 96.75, 98.30, 96.95), (97.21, 0.73, 0.63, 1.91)),
    ((97.37, 96.48, 98.57, 97.40), (97.46, 0.86, 0.74, 2.46)),
]


@pytest.mark.parametrize(("row", "expected"), PUBLISHED)
def test_spread_of_published_accuracies(
    row: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    accuracies = np.array(row) / 100
    found = (
        100 * by_group.group_mean(accuracies),
        100 * d.bias_degree(accuracies, denominator=1.0, ddof=1),
        100 * d.bias_degree(accuracies, denominator=1.0, ddof=0),
        by_group.skewed_error_ratio(accuracies),
    )
    np.testing.assert_allclose(np.array(found), expected, atol=0.0051)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_every_measure_of_any_number_of_groups_is_that_of_plain_loops(groups: int) -> None:
    fmrs, fnmrs = np.random.default_rng(groups).uniform(0.01, 0.3, (2, groups))

    def geometric(rates: np.ndarray) -> float:
        return float(np.prod(rates)) ** (1 / groups)

    def gini(rates: np.ndarray) -> float:
        total = sum(abs(a - b) for a in rates for b in rates)
        return float(total / (2 * groups**2 * np.mean(rates)) * groups / (groups - 1))

    assert d.geometric_mean(fmrs) == pytest.approx(geometric(fmrs))
    assert d.max_over_min(fmrs) == pytest.approx(max(fmrs) / min(fmrs))
    assert d.max_over_geomean(fmrs) == pytest.approx(max(fmrs) / geometric(fmrs))
    logs = [abs(np.log10(rate / geometric(fmrs))) for rate in fmrs]
    assert d.sum_abs_log10(fmrs) == pytest.approx(sum(logs))
    assert d.gini(fmrs) == pytest.approx(gini(fmrs))
    half = 0.5 * (max(fmrs) - min(fmrs)) + 0.5 * (max(fnmrs) - min(fnmrs))
    assert d.fairness_discrepancy_rate(fmrs, fnmrs) == pytest.approx(1 - half)
    both = max(fmrs) / min(fmrs) * max(fnmrs) / min(fnmrs)
    assert d.inequity_rate(fmrs, fnmrs) == pytest.approx(both**0.5)
    assert d.garbe(fmrs, fnmrs) == pytest.approx((gini(fmrs) + gini(fnmrs)) / 2)
    worst = max(fmrs) / geometric(fmrs) * max(fnmrs) / geometric(fnmrs)
    found = d.worst_error_rate_multiplier(fmrs, fnmrs, epsilon=0.0)
    assert found == pytest.approx(worst**0.5)
    for ddof in (0, 1):
        spread = (sum((rate - np.mean(fmrs)) ** 2 for rate in fmrs) / (groups - ddof)) ** 0.5
        assert d.bias_degree(fmrs, denominator=0.1, ddof=ddof) == pytest.approx(spread / 0.1)

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from fairjax.metrics import verification as v

IMPOSTORS = np.array([0.9, 0.8, 0.8, 0.5, 0.1])
SCORES = st.lists(st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.3, 0.7, 0.9]), min_size=1, max_size=30)
RULES = ("at_most", "ceil_ge", "cifp_strict")


def scores(seed: int, *, mated: int = 300, nonmated: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Rounded, so that there are ties within and between the two kinds."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.5, 1, mated).round(1), rng.normal(0, 1, nonmated).round(1)


def walked_down(nonmated: np.ndarray, target: float) -> float:
    """The rule in words: the smallest score whose FMR isn't above the target."""
    fine = [s for s in set(nonmated.tolist()) if np.mean(nonmated >= s) <= target + 1e-12]
    return min(fine, default=np.nextafter(nonmated.max(), np.inf))


def test_a_score_at_the_threshold_is_accepted() -> None:
    assert v.fmr(np.array([0.1, 0.3, 0.5]), 0.3) == pytest.approx(2 / 3)
    assert v.fnmr(np.array([0.1, 0.3, 0.5]), 0.3) == pytest.approx(1 / 3)


def test_rates_are_over_their_own_kind_of_pairs_and_of_many_thresholds_at_once() -> None:
    mated, nonmated = np.array([0.2, 0.6, 0.8, 0.9]), np.array([0.1, 0.1, 0.7])
    thresholds = np.array([[0.0, 0.5], [0.75, 1.0]])
    np.testing.assert_allclose(v.fmr(nonmated, thresholds), [[1, 1 / 3], [0, 0]])
    np.testing.assert_allclose(v.fnmr(mated, thresholds), [[0, 0.25], [0.5, 1]])
    # wrong in public code: errors over all pairs, 1 - TAR for FAR, TN / (TN + FN)
    assert v.fmr(nonmated, 0.5) != pytest.approx(1 / 7)
    assert v.fnmr(mated, 0.5) != pytest.approx(1 / 7)
    assert v.fmr(nonmated, 0.5) != pytest.approx(float(v.fnmr(mated, 0.5)))
    assert v.fmr(nonmated, 0.5) != pytest.approx(2 / 3)


def test_a_rate_without_pairs_is_nan() -> None:
    nobody = np.zeros(0)
    assert np.isnan(v.fmr(nobody, 0.5))
    assert np.isnan(v.fnmr(nobody, np.array([0.1, 0.2]))).all()


def test_float32_scores_are_compared_as_the_numbers_they_are() -> None:
    score = np.array([0.7], np.float32)  # 0.69999999
    assert v.fmr(score, 0.7) == 0
    assert v.fmr(score, float(score[0])) == 1


@pytest.mark.parametrize(
    ("rule", "accepted", "threshold"),
    [
        ("at_most", 1, 0.9),
        ("ceil_ge", 3, 0.8),
        ("cifp_strict", 1, np.nextafter(0.8, 1)),
    ],
)
def test_the_three_rules_on_the_published_example(
    rule: v.ThresholdRule, accepted: int, threshold: float
) -> None:
    found = v.threshold_at_fmr(IMPOSTORS, fmr=0.4, rule=rule)
    assert found == threshold
    assert v.fmr(IMPOSTORS, found) == accepted / 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_a_threshold_is_exact_in_the_scores_precision(
    rule: v.ThresholdRule, dtype: type[np.floating]
) -> None:
    nonmated = np.random.default_rng(0).normal(size=1000).astype(dtype)
    threshold = v.threshold_at_fmr(nonmated, fmr=0.1, rule=rule)
    assert float(dtype(threshold)) == threshold
    accepted = {"at_most": 100, "ceil_ge": 100, "cifp_strict": 99}[rule]
    assert np.sum(nonmated >= threshold) == accepted
    assert np.sum(nonmated >= np.float64(threshold)) == accepted


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("target", [0.002, 0.01, 0.1, 0.5, 0.9])
def test_at_most_is_the_rule_in_words(seed: int, target: float) -> None:
    _, nonmated = scores(seed)
    assert v.threshold_at_fmr(nonmated, fmr=target) == walked_down(nonmated, target)


@settings(max_examples=100, deadline=None)
@given(SCORES, st.floats(0.01, 0.99))
def test_at_most_never_exceeds_its_target_and_the_rules_are_in_order(
    values: list[float], target: float
) -> None:
    nonmated = np.array(values)
    assume(target * len(nonmated) >= 1)
    at = {r: v.threshold_at_fmr(nonmated, fmr=target, rule=r) for r in RULES}  # type: ignore[arg-type]
    assert v.fmr(nonmated, at["at_most"]) <= target
    assert v.fmr(nonmated, at["ceil_ge"]) >= target - 1e-12
    assert v.fmr(nonmated, at["cifp_strict"]) <= v.fmr(nonmated, at["at_most"])
    assert at["at_most"] == walked_down(nonmated, target)


def test_decimals_mean_what_they_say() -> None:
    assert v.allowed(0.29, 100) == 29  # 0.29 * 100 = 28.999999999999996
    assert v.allowed(0.07, 100, rule="ceil_ge") == 7  # 0.07 * 100 = 7.000000000000001
    assert v.allowed(1e-3, 3000) == 3


@pytest.mark.parametrize("rule", RULES)
def test_a_target_below_one_pair_is_said_to_lack_data(rule: v.ThresholdRule) -> None:
    message = (
        "insufficient data: FMR 0.001 of 900 non-mated pairs is less than one pair; 1000 are needed"
    )
    with pytest.raises(v.InsufficientDataError, match=message):
        v.threshold_at_fmr(np.zeros(900), fmr=0.001, rule=rule)
    with pytest.raises(v.InsufficientDataError):
        v.threshold_at_fmr(np.zeros(0), fmr=0.5, rule=rule)
    assert np.isfinite(v.threshold_at_fmr(np.zeros(1000), fmr=0.001, rule=rule))


def test_ties_at_the_top_that_exceed_the_target_are_all_rejected() -> None:
    nonmated = np.array([0.9, 0.9, 0.9, 0.1])
    threshold = v.threshold_at_fmr(nonmated, fmr=0.5)
    assert threshold == np.nextafter(0.9, 1)
    assert v.fmr(nonmated, threshold) == 0


@pytest.mark.parametrize("target", [0.0, 1.0, -0.1, 5.0])
def test_a_target_that_is_no_fraction_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match=r"a fraction in \(0, 1\); got"):
        v.threshold_at_fmr(IMPOSTORS, fmr=target)


def test_a_nan_score_is_refused_by_row() -> None:
    bad = np.array([0.1, np.nan, 0.3])
    for measure in (lambda: v.fmr(bad, 0.2), lambda: v.threshold_at_fmr(bad, fmr=0.5)):
        with pytest.raises(ValueError, match=r"is NaN \(1 such score\)"):
            measure()


def test_the_true_match_rate_is_read_at_the_threshold() -> None:
    mated, nonmated = np.array([0.95, 0.85, 0.9, 0.2]), IMPOSTORS
    assert v.true_match_rate(mated, nonmated, fmr=0.4) == (0.5, 0.9)
    with pytest.raises(v.InsufficientDataError):
        v.true_match_rate(mated, nonmated, fmr=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_auc_and_curve_are_scikit_learn_s(seed: int) -> None:
    mated, nonmated = scores(seed)
    label = np.repeat([1, 0], [len(mated), len(nonmated)])
    both = np.concatenate([mated, nonmated])
    assert v.auc(mated, nonmated) == pytest.approx(roc_auc_score(label, both), abs=1e-12)
    fpr, tpr, threshold = roc_curve(label, both, drop_intermediate=False)
    curve = v.error_curve(mated, nonmated)
    np.testing.assert_allclose(curve.threshold[:-1], threshold[:0:-1])
    np.testing.assert_allclose(curve.fmr, fpr[::-1])
    np.testing.assert_allclose(curve.fnmr, 1 - tpr[::-1])


def test_auc_counts_ties_half() -> None:
    assert v.auc(np.array([0.5, 0.9]), np.array([0.5, 0.1])) == pytest.approx((0.5 + 1 + 1 + 1) / 4)


def test_the_equal_error_rate_worked_by_hand() -> None:
    mated, nonmated = np.array([0.4, 0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.5, 0.75])
    # at 0.7: FMR 1/4, FNMR 1/4
    assert v.equal_error_rate(mated, nonmated) == (0.25, 0.7)
    # no threshold has equal rates; at 0.5, as at 0.55, they differ by 1/6: the lower one counts
    rate, threshold = v.equal_error_rate(np.array([0.3, 0.5, 0.6]), np.array([0.3, 0.55]))
    assert (rate, threshold) == (pytest.approx((0.5 + 1 / 3) / 2), 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_the_equal_error_rate_is_the_slow_search_s(seed: int) -> None:
    mated, nonmated = scores(seed, mated=40, nonmated=60)
    found = min(
        (abs(np.sum(nonmated >= t) * len(mated) - np.sum(mated < t) * len(nonmated)), t)
        for t in sorted({*mated.tolist(), *nonmated.tolist()})
    )[1]
    rate = (np.mean(nonmated >= found) + np.mean(mated < found)) / 2
    assert v.equal_error_rate(mated, nonmated) == (pytest.approx(rate), found)


def test_d_prime_worked_by_hand() -> None:
    # means 2 and 0, variances 1 and 3 with ddof 0
    mated, nonmated = np.array([1.0, 3.0]), np.sqrt(3) * np.array([-1.0, 1.0])
    assert v.d_prime(mated, nonmated) == pytest.approx(np.sqrt(2))
    assert np.isnan(v.d_prime(np.ones(3), np.zeros(3)))


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES, st.randoms())
def test_rates_depend_on_the_order_of_scores_alone(
    mated: list[float], nonmated: list[float], random: object
) -> None:
    ours, others = np.array(mated), np.array(nonmated)
    random.shuffle(mated)  # type: ignore[attr-defined]
    bent = [np.exp(3 * np.array(x)) - 7 for x in (mated, nonmated)]
    assert v.auc(*bent) == pytest.approx(v.auc(ours, others))
    assert v.equal_error_rate(*bent)[0] == pytest.approx(v.equal_error_rate(ours, others)[0])
    assert v.auc(ours, others) + v.auc(others, ours) == pytest.approx(1)
    if len(others) >= 4:
        plain = v.true_match_rate(ours, others, fmr=0.25)[0]
        assert v.true_match_rate(*bent, fmr=0.25)[0] == pytest.approx(plain)


def test_a_thinned_curve_has_the_ends_and_points_of_the_curve_where_rates_are_low() -> None:
    rng = np.random.default_rng(0)
    curve = v.error_curve(rng.normal(2, 1, 20_000), rng.normal(0, 1, 50_000))
    thin = v.thin(curve, points=400)
    assert 300 < len(thin.threshold) <= 400
    rows = np.searchsorted(curve.threshold, thin.threshold)
    np.testing.assert_array_equal(curve.fmr[rows], thin.fmr)
    np.testing.assert_array_equal(curve.fnmr[rows], thin.fnmr)
    assert (thin.fmr[0], thin.fnmr[0], thin.fmr[-1], thin.fnmr[-1]) == (1, 0, 0, 1)
    # every decade of FMR that has errors is drawn
    for decade in (1e-4, 1e-3, 1e-2, 1e-1):
        assert np.sum((thin.fmr >= decade) & (thin.fmr < 10 * decade)) > 20
    assert v.thin(thin, points=400) is thin


def test_one_kind_of_pairs_alone_has_no_curve() -> None:
    for measure in (v.error_curve, v.auc, v.d_prime, v.equal_error_rate):
        with pytest.raises(v.InsufficientDataError, match="3 mated and 0 non-mated pairs"):
            measure(np.zeros(3), np.zeros(0))


def test_a_curve_with_as_many_points_as_wanted_is_kept_whole() -> None:
    rng = np.random.default_rng(0)
    curve = v.error_curve(rng.normal(2, 1, 40), rng.normal(0, 1, 300))
    assert v.thin(curve, points=len(curve.threshold)) is curve
    assert len(v.thin(curve, points=len(curve.threshold) - 1).threshold) < len(curve.threshold)

"""Thresholds with a bound for every group: by hand, against a plain search, and in simulation."""

import numpy as np
import pytest
from scipy import stats

from fairjax.metrics.thresholds import (
    GroupPairs,
    bounded_threshold,
    people_for_bound,
    upper_bound,
)
from fairjax.metrics.verification import InsufficientDataError


def lone(name, score):
    """Non-mated pairs of which no two share a person."""
    subject = np.arange(2 * len(score)).reshape(-1, 2)
    return GroupPairs.of(name, np.asarray(score, np.float64), subject, mated=False)


def test_the_bound_of_independent_pairs_without_an_error_is_the_exact_one():
    group = lone("a", np.linspace(0, 0.5, 400))
    bound = upper_bound(group.rate(0.9), confidence=0.95)
    assert bound == pytest.approx(stats.beta.ppf(0.95, 1, 400), rel=0.02)
    assert upper_bound(lone("b", []).rate(0.9), confidence=0.95) == 1.0


def test_the_threshold_is_the_lowest_one_of_an_unbroken_run_from_the_top():
    rng = np.random.default_rng(0)
    groups = [lone("a", rng.normal(0, 1, 900)), lone("b", rng.normal(0.3, 1, 700))]
    found = bounded_threshold(groups, fmr=0.05, confidence=0.9)
    every = np.sort(np.concatenate([g.score for g in groups]))[::-1]
    lowest = np.nextafter(every[0], np.inf)
    for threshold in every:  # the plain walk
        if any(upper_bound(g.rate(threshold), confidence=0.9) > 0.05 for g in groups):
            break
        lowest = threshold
    assert found == lowest
    assert max(g.rate(found).rate for g in groups) < 0.05


def test_too_few_pairs_are_refused_with_the_worst_group_named():
    groups = [lone("many", np.zeros(5000)), lone("few", np.zeros(100))]
    with pytest.raises(InsufficientDataError, match=r"few has 100 non-mated pairs.*0\.03"):
        bounded_threshold(groups, fmr=0.001, confidence=0.95)
    people = people_for_bound(groups[1].rate(1.0), fmr=0.01, confidence=0.95)
    assert people == 597  # ln 0.05 / ln 0.99 = 298.07 pairs of two people each


def test_equal_scores_are_accepted_or_rejected_together():
    found = bounded_threshold([lone("a", [0.5] * 300 + [0.1] * 700)], fmr=0.2, confidence=0.95)
    assert found > 0.5


@pytest.mark.parametrize(("fmr", "confidence"), [(0.0, 0.95), (1e-3, 0.5), (1e-3, 1.0)])
def test_impossible_wishes_are_refused(fmr, confidence):
    with pytest.raises(ValueError, match="is a fraction in"):
        bounded_threshold([lone("a", [0.5])], fmr=fmr, confidence=confidence)


def test_the_true_rate_is_above_the_target_in_few_simulated_tables():
    rng, broken, repeats = np.random.default_rng(1), 0, 40
    for _ in range(repeats):
        groups = [lone(name, rng.normal(0, 1, 700)) for name in "abc"]
        threshold = bounded_threshold(groups, fmr=0.03, confidence=0.9)
        broken += stats.norm.sf(threshold) > 0.03
    assert broken <= 9  # 4 expected at most, and three standard errors


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_the_strictest_group_decides_whatever_their_number(groups):
    rng = np.random.default_rng(groups)
    scores = [rng.normal(0, 1, 600) for _ in range(groups)]
    scores[-1] += 1.0
    every = [lone(name, own) for name, own in zip("abcdefgh", scores, strict=False)]
    alone = bounded_threshold(every[-1:], fmr=0.05, confidence=0.9)
    assert bounded_threshold(every, fmr=0.05, confidence=0.9) == pytest.approx(alone, abs=0.1)
    assert alone > bounded_threshold(every[:-1], fmr=0.05, confidence=0.9) + 0.5


def test_no_threshold_accepts_every_pair():
    group = lone("a", np.arange(300) / 1000)
    assert upper_bound(group.rate(0.0), confidence=0.6) == 1.0
    found = bounded_threshold([group], fmr=0.999, confidence=0.6)
    assert found == 0.001
    assert upper_bound(group.rate(found), confidence=0.6) <= 0.999

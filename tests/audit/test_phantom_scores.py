import numpy as np
import pytest

from fairjax.audit.phantom_scores import (
    FMR,
    FNMR,
    GROUPS,
    SHARED,
    THRESHOLD,
    Planted,
    Size,
    draw,
    true_rates,
)
from fairjax.metrics.clustered import clustered_rate

GAP = Planted(group=1, fmr_ratio=4.0, fnmr_ratio=3.0)


def test_the_truth_is_as_planted():
    fmr, fnmr = true_rates(GAP, THRESHOLD)
    np.testing.assert_allclose(fmr, [FMR, 4 * FMR, FMR, FMR])
    np.testing.assert_allclose(fnmr, [FNMR, 3 * FNMR, FNMR, FNMR])
    np.testing.assert_allclose(true_rates(Planted(), THRESHOLD)[0], FMR)


def test_what_is_drawn_has_the_true_rates_on_average():
    rates = []
    for seed in range(40):
        c = draw(GAP, seed=seed, size=Size(people=50, nonmated=3000, across=10)).comparisons
        own = [(c.group == g).all(axis=1) for g in range(len(GROUPS))]
        rates.append(
            [
                [np.mean(c.score[o & ~c.mated] >= THRESHOLD) for o in own],
                [np.mean(c.score[o & c.mated] < THRESHOLD) for o in own],
            ]
        )
    mean, error = np.mean(rates, 0), np.std(rates, 0) / np.sqrt(len(rates))
    assert (np.abs(mean - np.stack(true_rates(GAP, THRESHOLD))) < 4 * error).all()


def test_pairs_that_share_a_person_are_alike():
    c = draw(Planted(), seed=0, size=Size(people=100)).comparisons
    wrong = (c.score < THRESHOLD) & c.mated
    rate = clustered_rate(wrong[c.mated], c.subject[c.mated])
    assert rate.design_effect > 1.5  # ten pairs a person
    assert pytest.approx(np.sqrt(SHARED), abs=0.1) == np.std(
        [c.score[c.mated & (c.subject[:, 0] == k)].mean() / 0.1 for k in range(400)]
    )


def test_pairs_are_distinct_and_marked_rightly():
    drawn = draw(Planted(), seed=1, size=Size(people=10, images=3, nonmated=300, across=50))
    c = drawn.comparisons
    images = np.sort(c.subject * 3 + drawn.image, axis=1)
    assert len(np.unique(images, axis=0)) == len(c)
    assert (c.mated == (c.subject[:, 0] == c.subject[:, 1])).all()
    assert c.mated.sum() == 4 * 10 * 3
    assert len(c) == 120 + 4 * 300 + 6 * 50

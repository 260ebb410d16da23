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
    with_quality,
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


SMALL = Size(people=8, images=3, nonmated=40, across=20)


@pytest.mark.parametrize("group", range(4))
def test_a_gap_is_planted_in_the_group_that_is_named(group):
    planted = Planted(group=group, fmr_ratio=2.0, fnmr_ratio=5.0, fmr=1e-3, fnmr=1e-2)
    fmr, fnmr = true_rates(planted, THRESHOLD)
    own = np.arange(4) == group
    np.testing.assert_allclose(fmr, np.where(own, 2e-3, 1e-3))
    np.testing.assert_allclose(fnmr, np.where(own, 5e-2, 1e-2))


def test_a_higher_threshold_rejects_more_of_everybody():
    low, high = (true_rates(GAP, THRESHOLD + step) for step in (-0.05, 0.05))
    assert (high[0] < low[0]).all() and (high[1] > low[1]).all()


def test_a_seed_gives_the_same_scores_and_another_one_others():
    one, two, other = (draw(GAP, seed=seed, size=SMALL) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.comparisons.score, two.comparisons.score)
    np.testing.assert_array_equal(one.image, two.image)
    assert (one.comparisons.score != other.comparisons.score).all()


def test_people_are_numbered_by_group_and_pairs_across_score_lower():
    c = draw(Planted(), seed=0, size=SMALL).comparisons
    np.testing.assert_array_equal(c.group, c.subject // 8)
    assert c.groups == GROUPS and not c.fold.any()
    across = c.group[:, 0] != c.group[:, 1]
    assert across.sum() == 6 * 20 and not c.mated[across].any()
    large = draw(Planted(), seed=0, size=Size(people=60, images=3, nonmated=4000, across=4000))
    within = (
        large.comparisons.group[:, 0] == large.comparisons.group[:, 1]
    ) & ~large.comparisons.mated
    apart = large.comparisons.group[:, 0] != large.comparisons.group[:, 1]
    score = large.comparisons.score
    assert score[within].mean() - score[apart].mean() == pytest.approx(0.05, abs=0.01)


def test_without_pairs_across_there_are_none():
    c = draw(Planted(), seed=0, size=Size(people=8, images=2, nonmated=10, across=0)).comparisons
    assert (c.group[:, 0] == c.group[:, 1]).all() and len(c) == 4 * (8 + 10)


def test_the_usual_size_is_that_of_the_demonstration():
    assert Size() == Size(people=200, images=5, nonmated=20_000, across=5_000)
    assert len(draw(Planted(), seed=0).comparisons) == 4 * 200 * 10 + 4 * 20_000 + 6 * 5_000


def test_quality_moves_mated_scores_up_and_others_down_by_its_mean():
    plain = draw(Planted(), seed=0, size=SMALL)
    moved, quality = with_quality(plain, group=2, shift=1.0, effect=0.6, seed=5)
    assert quality.shape == (32, 3)
    (a, b), (i, j) = plain.comparisons.subject.T, plain.image.T
    mean = (quality[a, i] + quality[b, j]) / 2
    sign = np.where(plain.comparisons.mated, 1, -1)
    np.testing.assert_allclose(
        moved.comparisons.score, plain.comparisons.score + 0.1 * 0.6 * mean * sign
    )
    np.testing.assert_array_equal(moved.image, plain.image)
    same, other = (with_quality(plain, group=2, shift=1.0, effect=0.6, seed=k)[1] for k in (5, 6))
    np.testing.assert_array_equal(same, quality)
    assert (other != quality).all()


def test_pictures_of_one_group_are_worse_and_those_of_a_person_alike():
    plain = draw(Planted(), seed=0, size=Size(people=300, images=4, nonmated=10, across=0))
    _, quality = with_quality(plain, group=1, shift=1.0, effect=0.0, seed=0)
    mean = quality.reshape(4, 300, 4).mean(axis=(1, 2))
    assert mean[1] == pytest.approx(-1, abs=0.15) and np.abs(mean[[0, 2, 3]]).max() < 0.15
    level = quality - np.where(np.arange(1200) // 300 == 1, -1, 0)[:, None]
    assert level.var() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(level[:, 0], level[:, 1])[0, 1] == pytest.approx(0.5, abs=0.08)

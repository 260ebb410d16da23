import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairjax.core.comparisons import UNKNOWN, Comparisons
from fairjax.metrics import clustered, verification
from fairjax.metrics import subject_bootstrap as b

RULES = ("at_most", "ceil_ge", "cifp_strict")


def comparisons(
    seed: int,
    *,
    people: int = 24,
    groups: int = 3,
    mated: int = 200,
    nonmated: int = 900,
    decimals: int = 1,
    dtype: type = np.float64,
    across: bool = True,
) -> Comparisons:
    """People numbered in tens; rounded scores, so that there are ties; the last has no group."""
    rng = np.random.default_rng(seed)
    own = np.arange(people) % groups
    first = rng.integers(0, people, mated + nonmated)
    step = rng.integers(1, people, mated + nonmated)
    if not across:
        step = groups * rng.integers(1, people // groups, mated + nonmated)
    second = (first + step) % people
    is_mated = np.arange(mated + nonmated) < mated
    second[is_mated] = first[is_mated]
    skill = rng.normal(size=people)
    score = rng.normal(size=len(first)) + np.where(is_mated, 2, 0) + 0.3 * skill[first]
    if across:
        own[-1] = UNKNOWN
    person = np.stack([first, second], axis=1)
    rows = rng.permutation(len(first))
    return Comparisons(
        score=score.round(decimals).astype(dtype),
        mated=is_mated,
        subject=10 * person + 4,
        group=own[person],
        groups=tuple("abcdefgh"[:groups]),
        fold=np.zeros(len(first), np.int64),
    ).take(rows)


def written_out(c: Comparisons, draws: b.SubjectDraws, resample: int) -> Comparisons:
    """The resample as pairs, each as often as it is held."""
    times = draws.weights[resample].astype(int)[draws.person]
    return c.take(np.repeat(np.arange(len(c)), np.where(c.mated, times[:, 0], times.prod(axis=1))))


def test_a_resample_holds_as_many_people_of_each_group_as_there_are() -> None:
    c = comparisons(0)
    draws = b.draw_subjects(c, resamples=500, seed=0)
    names = np.unique(c.subject)
    np.testing.assert_array_equal(names[draws.person], c.subject)
    own = np.append(np.arange(23) % 3, -1)
    for group in (-1, 0, 1, 2):
        assert (draws.weights[:, own == group].sum(axis=1) == np.sum(own == group)).all()
    # people of one group are drawn alike: mean 1, variance 1 - 1/8
    assert draws.weights[:, own == 0].mean() == pytest.approx(1)
    assert draws.weights[:, own == 0].var() == pytest.approx(7 / 8, abs=0.06)
    other = np.corrcoef(draws.weights[:, 0], draws.weights[:, 1])[0, 1]
    assert abs(other) < 0.15  # groups are drawn apart


def test_double_or_nothing_is_what_it_says() -> None:
    draws = b.draw_subjects(comparisons(0), resamples=500, seed=0, kind="double_or_nothing")
    assert set(np.unique(draws.weights)) == {0, 2}
    assert draws.weights.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kind", ["multinomial", "double_or_nothing"])
def test_draws_repeat_differ_by_seed_and_don_t_depend_on_the_order_of_pairs(kind: b.Kind) -> None:
    c = comparisons(1)
    draws = b.draw_subjects(c, resamples=20, seed=3, kind=kind)
    turned = b.draw_subjects(c.take(np.arange(len(c))[::-1]), resamples=20, seed=3, kind=kind)
    np.testing.assert_array_equal(draws.weights, turned.weights)
    np.testing.assert_array_equal(draws.person, turned.person[::-1])
    other = b.draw_subjects(c, resamples=20, seed=4, kind=kind)
    assert (draws.weights != other.weights).any()


def test_sums_are_those_of_the_resample_written_out() -> None:
    c = comparisons(2)
    draws = b.draw_subjects(c, resamples=300, seed=0)  # more than a block
    cell = b.group_cell(c.group, groups=3)
    sums = b.resampled_sums(c.score, cell, draws, cells=9)
    for resample in (0, 255, 256, 299):
        taken = written_out(c, draws, resample)
        place = b.group_cell(taken.group, groups=3)
        expected = [taken.score[place == k].sum() for k in range(9)]
        np.testing.assert_allclose(sums[resample], expected, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decimals", [1, 6])
def test_thresholds_and_rates_are_those_of_the_resample_written_out(
    rule: verification.ThresholdRule, dtype: type, decimals: int
) -> None:
    c = comparisons(3, dtype=dtype, decimals=decimals)
    draws = b.draw_subjects(c, resamples=40, seed=1)
    cell, targets = b.group_cell(c.group, groups=3), np.array([0.3, 0.005, 0.02])
    found = b.rates_at_fmr(c, draws, targets=targets, cell=cell, cells=9, rule=rule)
    assert found.cell_fmr.shape == (40, 3, 9)
    for resample in range(40):
        taken = written_out(c, draws, resample)
        place, mated = b.group_cell(taken.group, groups=3), taken.mated
        for t, target in enumerate(targets):
            threshold = verification.threshold_at_fmr(taken.score[~mated], fmr=target, rule=rule)
            assert found.threshold[resample, t] == threshold
            assert found.fmr[resample, t] == verification.fmr(taken.score[~mated], threshold)
            assert found.fnmr[resample, t] == verification.fnmr(taken.score[mated], threshold)
            for k in range(9):
                inside = taken.score[~mated & (place == k)]
                np.testing.assert_allclose(
                    found.cell_fmr[resample, t, k], verification.fmr(inside, threshold)
                )
                inside = taken.score[mated & (place == k)]
                np.testing.assert_allclose(
                    found.cell_fnmr[resample, t, k], verification.fnmr(inside, threshold)
                )


def test_rates_at_fixed_thresholds_are_those_of_the_resample_written_out() -> None:
    c = comparisons(4, dtype=np.float32)
    draws = b.draw_subjects(c, resamples=10, seed=1, kind="double_or_nothing")
    cell, thresholds = b.group_cell(c.group, groups=3), np.array([0.5, 0.7, 1.9])
    found = b.rates_at(c, draws, thresholds=thresholds, cell=cell, cells=9)
    for resample in range(10):
        taken = written_out(c, draws, resample)
        place, mated = b.group_cell(taken.group, groups=3), taken.mated
        expected = verification.fmr(taken.score[~mated], thresholds)
        np.testing.assert_allclose(found.fmr[resample], expected)
        expected = verification.fnmr(taken.score[mated & (place == 4)], thresholds)
        np.testing.assert_allclose(found.cell_fnmr[resample, :, 4], expected)
    np.testing.assert_array_equal(found.threshold[7], thresholds)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_everybody_once_gives_the_values_of_the_data(seed: int) -> None:
    c = comparisons(seed)
    cell, targets = b.group_cell(c.group, groups=3), np.array([0.01, 0.1])
    found = b.rates_at_fmr(c, b.observed(c), targets=targets, cell=cell, cells=9)
    for t, target in enumerate(targets):
        threshold = verification.threshold_at_fmr(c.score[~c.mated], fmr=target)
        assert found.threshold[0, t] == threshold
        within = c.score[~c.mated & (cell == 4)]
        assert found.cell_fmr[0, t, 4] == verification.fmr(within, threshold)


def test_a_target_that_a_resample_cannot_resolve_is_nan_there() -> None:
    c = comparisons(5, nonmated=120)
    draws = b.draw_subjects(c, resamples=200, seed=0)
    cell = np.zeros(len(c), np.int64)
    found = b.rates_at_fmr(c, draws, targets=np.array([1 / 120, 0.2]), cell=cell, cells=1)
    weight = [np.sum(~written_out(c, draws, r).mated) for r in range(200)]
    np.testing.assert_array_equal(np.isnan(found.threshold[:, 0]), np.array(weight) < 120)
    np.testing.assert_array_equal(np.isnan(found.fmr[:, 0]), np.array(weight) < 120)
    assert not np.isnan(found.threshold[:, 1]).any()
    hopeless = b.rates_at_fmr(c, draws, targets=np.array([1e-6]), cell=cell, cells=1)
    assert np.isnan(hopeless.fnmr).all()


def test_one_set_of_draws_serves_two_systems_whose_difference_is_then_tight() -> None:
    c = comparisons(6, decimals=6, mated=600)
    rng = np.random.default_rng(0)
    other = Comparisons(
        c.score + rng.normal(0, 0.05, len(c)), c.mated, c.subject, c.group, c.groups, c.fold
    )
    draws, cell = b.draw_subjects(c, resamples=400, seed=0), np.zeros(len(c), np.int64)
    first, second = (
        b.rates_at(x, draws, thresholds=np.array([1.0]), cell=cell, cells=1).fnmr[:, 0]
        for x in (c, other)
    )
    assert np.std(second - first) < 0.5 * np.std(first)


def test_the_spread_of_resampled_rates_is_the_clustered_variance() -> None:
    c = comparisons(7, people=60, mated=3000, nonmated=30_000, across=False)
    draws = b.draw_subjects(c, resamples=3000, seed=0)
    cell = np.zeros(len(c), np.int64)
    found = b.rates_at(c, draws, thresholds=np.array([1.0]), cell=cell, cells=1)
    mated = clustered.clustered_rate(c.score[c.mated] < 1.0, c.subject[c.mated])
    nonmated = clustered.clustered_rate(c.score[~c.mated] >= 1.0, c.subject[~c.mated])
    assert found.fnmr.std() == pytest.approx(np.sqrt(mated.variance), rel=0.1)
    assert found.fmr.std() == pytest.approx(np.sqrt(nonmated.variance), rel=0.15)


def test_a_pair_of_two_people_seen_nowhere_else_varies_as_one_unit() -> None:
    n = 400
    c = Comparisons(
        score=np.zeros(n),
        mated=np.zeros(n, bool),
        subject=np.arange(2 * n).reshape(n, 2),
        group=np.zeros((n, 2), np.int64),
        groups=("a",),
        fold=np.zeros(n, np.int64),
    )
    draws = b.draw_subjects(c, resamples=2000, seed=0)
    wrong = np.arange(n) < 100
    counts = b.resampled_sums(wrong, np.zeros(n, int), draws, cells=1)
    # multinomial: 100 of 800 people; the product of two people's draws would give 3 times as much
    assert counts.var() == pytest.approx(100 * (1 - 100 / 800), rel=0.1)


def test_cells_of_groups_are_unordered_and_those_of_the_unknown_are_left_out() -> None:
    group = np.array([[0, 0], [2, 1], [1, 2], [2, 2], [UNKNOWN, 1], [0, UNKNOWN]])
    np.testing.assert_array_equal(b.group_cell(group, groups=3), [0, 5, 5, 8, -1, -1])


def test_pairs_marked_against_their_people_are_refused_by_row() -> None:
    c = comparisons(0)
    c.mated[3] = not c.mated[3]
    with pytest.raises(ValueError, match=r"pair 3 is marked .* \(1 such pair\)"):
        b.draw_subjects(c, resamples=5, seed=0)


def test_nothing_to_draw_from_and_nan_scores_are_refused() -> None:
    c = comparisons(0)
    with pytest.raises(ValueError, match="needs pairs and resamples; got 0 and 5"):
        b.draw_subjects(c.take(np.zeros(0, np.int64)), resamples=5, seed=0)
    c.score[5] = np.nan
    draws, cell = b.observed(c), np.zeros(len(c), np.int64)
    with pytest.raises(ValueError, match="score 5 is NaN"):
        b.rates_at_fmr(c, draws, targets=np.array([0.1]), cell=cell, cells=1)
    with pytest.raises(ValueError, match="score 5 is NaN"):
        b.rates_at(c, draws, thresholds=np.array([0.1]), cell=cell, cells=1)


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_rates_of_any_number_of_groups_are_those_of_the_resample_written_out(groups: int) -> None:
    c = comparisons(4, groups=groups)
    draws = b.draw_subjects(c, resamples=6, seed=0)
    cell, cells = b.group_cell(c.group, groups=groups), groups**2
    found = b.rates_at(c, draws, thresholds=np.array([0.9]), cell=cell, cells=cells)
    assert found.cell_fmr.shape == found.cell_fnmr.shape == (6, 1, cells)
    for resample in range(6):
        taken = written_out(c, draws, resample)
        wrong = (taken.score >= 0.9) != taken.mated
        for low in range(groups):
            for high in range(low, groups):
                inside = (taken.group.min(axis=1) == low) & (taken.group.max(axis=1) == high)
                for mated, rates in ((False, found.cell_fmr), (True, found.cell_fnmr)):
                    own = wrong[inside & (taken.mated == mated)]
                    expected = own.mean() if len(own) else np.nan
                    rate = rates[resample, 0, groups * low + high]
                    assert rate == pytest.approx(expected, nan_ok=True)

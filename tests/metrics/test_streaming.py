from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairjax.core.comparisons import UNKNOWN, Comparisons
from fairjax.metrics import streaming as s
from fairjax.metrics import verification as v
from fairjax.metrics.clustered import clustered_rate
from fairjax.metrics.subject_bootstrap import group_cell

RULES = ("at_most", "ceil_ge", "cifp_strict")
TARGETS = (0.3, 0.01, 0.002)


def assert_same(found, expected) -> None:
    """Rates alike in every field; of two NaN, too."""
    np.testing.assert_equal(astuple(found), astuple(expected))


def comparisons(
    seed: int, *, n: int = 3000, dtype: type = np.float64, decimals: int = 8, groups: int = 3
) -> Comparisons:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 40, n)
    mated = rng.random(n) < 0.3
    second = np.where(mated, first, (first + rng.integers(1, 40, n)) % 40)
    own = np.append(np.arange(39) % groups, UNKNOWN)
    person = np.stack([first, second], axis=1)
    score = (0.2 * rng.normal(size=n) + 0.4 * mated).round(decimals)
    return Comparisons(
        score=score.astype(dtype),
        mated=mated,
        subject=1000 - 20 * person,
        group=own[person],
        groups=tuple("abcdefgh"[:groups]),
        fold=np.zeros(n, np.int64),
    )


def nonmated(scores: list[float]) -> Comparisons:
    n = len(scores)
    people = np.stack([np.arange(n), np.arange(n) + n], axis=1)
    group, fold = np.zeros((n, 2), np.int64), np.zeros(n, np.int64)
    return Comparisons(np.array(scores), np.zeros(n, bool), people, group, ("a",), fold)


def chunks(c: Comparisons, size: int = 700) -> list[Comparisons]:
    return [c.take(np.arange(start, min(start + size, len(c)))) for start in range(0, len(c), size)]


def histogram(c: Comparisons) -> s.ScoreHistogram:
    found = s.ScoreHistogram(groups=3)
    for chunk in chunks(c):
        found.add(chunk)
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_streamed_thresholds_are_those_of_the_whole(dtype: type, decimals: int) -> None:
    c = comparisons(0, dtype=dtype, decimals=decimals)
    search = s.ThresholdSearch(histogram(c), targets=TARGETS)
    for chunk in chunks(c):
        search.add(chunk)
    for fmr in TARGETS:
        for rule in RULES:
            expected = v.threshold_at_fmr(c.score[~c.mated], fmr=fmr, rule=rule)  # type: ignore[arg-type]
            assert search.threshold(fmr, rule=rule) == expected  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([-0.0, 0.0, -1e-300, 1e-300, 1e300, -1e300, 0.5, 0.5 + 1e-12, -0.5, 0.503]),
        min_size=2,
        max_size=20,
    ),
    st.floats(0.05, 0.95),
)
def test_streamed_thresholds_survive_ties_zeros_and_precision(
    scores: list[float], fmr: float
) -> None:
    c = nonmated(scores)
    found = s.ScoreHistogram(groups=1)
    found.add(c)
    search = s.ThresholdSearch(found, targets=[fmr])
    search.add(c)
    for rule in RULES:
        try:
            expected = v.threshold_at_fmr(c.score, fmr=fmr, rule=rule)  # type: ignore[arg-type]
        except v.InsufficientDataError:
            with pytest.raises(v.InsufficientDataError, match="less than one pair"):
                search.threshold(fmr, rule=rule)  # type: ignore[arg-type]
        else:
            assert search.threshold(fmr, rule=rule) == expected  # type: ignore[arg-type]


def test_zeros_of_either_sign_tie() -> None:
    c = nonmated([0.5, 0.0, -0.0, -1.0])
    found = s.ScoreHistogram(groups=1)
    found.add(c)
    search = s.ThresholdSearch(found, targets=[0.5])
    search.add(c)
    assert search.threshold(0.5) == v.threshold_at_fmr(c.score, fmr=0.5) == 0.5


def test_a_score_just_below_a_bin_is_not_rounded_into_it() -> None:
    c = nonmated([0.5 - 1e-12, 0.5, 0.6])
    c.mated[:] = [False, True, True]
    found = s.ScoreHistogram(groups=1)
    found.add(c)
    curve = found.curve()
    assert curve.fmr[curve.threshold == 0.5] == 0


def test_the_search_keeps_little() -> None:
    c = comparisons(1, n=50_000)
    search = s.ThresholdSearch(histogram(c), targets=[0.001])
    for chunk in chunks(c, 5000):
        search.add(chunk)
    assert sum(len(part) for part in search._parts) < 100


@pytest.mark.parametrize("group", [None, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_histogram_s_curve_is_exact_at_its_thresholds(group: int | None, dtype: type) -> None:
    c = comparisons(2, dtype=dtype)
    curve = histogram(c).curve(group)
    inside = np.ones(len(c), bool) if group is None else (c.group == group).all(axis=1)
    mated, nonmated = c.score[c.mated & inside], c.score[~c.mated & inside]
    np.testing.assert_allclose(curve.fmr, v.fmr(nonmated, curve.threshold))
    np.testing.assert_allclose(curve.fnmr, v.fnmr(mated, curve.threshold))
    assert len(curve.threshold) > 200
    assert (curve.fmr[0], curve.fnmr[0], curve.fmr[-1], curve.fnmr[-1]) == (1, 0, 0, 1)


def test_streamed_counts_are_those_of_the_whole_with_their_variances() -> None:
    c = comparisons(3)
    thresholds = [0.2, 0.35]
    counts = s.Counts(thresholds, groups=3)
    for chunk in chunks(c, 300):
        counts.add(chunk)
    cell = group_cell(c.group, groups=3)
    for point, threshold in enumerate(thresholds):
        for mated, error in ((True, c.score < threshold), (False, c.score >= threshold)):
            ask = counts.fnmr if mated else counts.fmr
            rows = c.mated == mated
            assert_same(ask(point), clustered_rate(error[rows], c.subject[rows]))
            for g in range(3):
                rows = (c.mated == mated) & (cell == 4 * g)
                found = ask(point, g) if mated else ask(point, (g, g))
                assert_same(found, clustered_rate(error[rows], c.subject[rows]))
        rows = ~c.mated & (cell == 5)
        expected = clustered_rate((c.score >= threshold)[rows], c.subject[rows])
        for couple in ((2, 1), (1, 2)):
            assert_same(counts.fmr(point, couple), expected)


def test_two_processes_together_are_one() -> None:
    c = comparisons(4)
    whole, search = histogram(c), None
    halves = [c.take(np.arange(0, len(c), 2)), c.take(np.arange(1, len(c), 2))]
    first, second = (histogram(half) for half in halves)
    first.merge(second)
    np.testing.assert_array_equal(first.counts, whole.counts)
    searches = [s.ThresholdSearch(first, targets=[0.01]) for _ in halves]
    counts = [s.Counts([0.3], groups=3) for _ in halves]
    for search, count, half in zip(searches, counts, halves, strict=True):
        search.add(half)
        count.add(half)
    searches[0].merge(searches[1])
    counts[0].merge(counts[1])
    assert searches[0].threshold(0.01) == v.threshold_at_fmr(c.score[~c.mated], fmr=0.01)
    expected = clustered_rate(c.score[~c.mated] >= 0.3, c.subject[~c.mated])
    assert_same(counts[0].fmr(0), expected)


def test_what_was_not_counted_has_no_rate() -> None:
    counts = s.Counts([0.3], groups=3)
    assert np.isnan(counts.fmr(0).rate)
    assert np.isnan(counts.fnmr(0, 2).rate)
    with pytest.raises(v.InsufficientDataError, match="0 mated and 0 non-mated"):
        s.ScoreHistogram(groups=3).curve()
    with pytest.raises(v.InsufficientDataError, match="of 0 non-mated pairs"):
        s.ThresholdSearch(s.ScoreHistogram(groups=3), targets=[0.1]).threshold(0.1)


def test_nan_scores_are_refused() -> None:
    c = comparisons(5)
    c.score[8] = np.nan
    for found in (s.ScoreHistogram(groups=3), s.Counts([0.3], groups=3)):
        with pytest.raises(ValueError, match="score 8 is NaN"):
            found.add(c)


@pytest.mark.parametrize("keep", [0, 50, 10_000])
def test_a_tail_and_couples_count_as_all_comparisons_do(keep: int) -> None:
    c = comparisons(3)
    bins = histogram(c).counts[0].sum(axis=0)
    tail = s.Tail(s.tail_cut(bins, keep=keep, thresholds=[0.55]))
    whole = s.Counts([0.55, 0.6], groups=3)
    for chunk in chunks(c):
        tail.add(chunk)
        whole.add(chunk)
    subject, score = tail.kept
    couples, trials = tail.rest
    group_of = np.full(1001, UNKNOWN)
    group_of[c.subject] = c.group
    found = s.Counts([0.55, 0.6], groups=3)
    for start in range(0, len(score), 500):
        who, own = subject[start : start + 500], score[start : start + 500]
        same = who[:, 0] == who[:, 1]
        fold = np.zeros(len(own), np.int64)
        found.add(Comparisons(own, same, who, group_of[who], c.groups, fold))
    found.add_rejected(couples, group_of[couples], trials)
    kept = ~c.mated & (s.score_bin(c.score) >= tail.cut)
    assert kept.sum() >= min(keep, (~c.mated).sum()) and kept[~c.mated & (c.score >= 0.55)].all()
    assert len(score) == kept.sum() + c.mated.sum()
    assert trials.sum() == (~c.mated & ~kept).sum()
    for point in (0, 1):
        for cell in [None, *((a, b) for a in range(3) for b in range(3))]:
            assert_same(found.fmr(point, cell), whole.fmr(point, cell))
        for group in (None, 0, 1, 2):
            assert_same(found.fnmr(point, group), whole.fnmr(point, group))


def test_the_cut_of_a_tail_keeps_enough_and_no_bin_more() -> None:
    bins = np.zeros(s.BINS, np.int64)
    bins[[100, 200, 300]] = 5, 3, 2
    assert [s.tail_cut(bins, keep=k) for k in (1, 2, 3, 5)] == [300, 300, 200, 200]
    assert s.tail_cut(bins, keep=6) == 0 and s.tail_cut(bins, keep=99) == 0
    edge = float(s.bin_edge(np.array([150]))[0])
    assert s.tail_cut(bins, keep=1, thresholds=[edge]) == 150
    assert s.score_bin(s.bin_edge(np.array([150, 300]))).tolist() == [150, 300]


def test_a_search_knows_the_lowest_bin_that_it_needs() -> None:
    found = s.ThresholdSearch(histogram(comparisons(0)), targets=TARGETS)
    score = comparisons(0).score[~comparisons(0).mated]
    assert found.lowest_bin == s.score_bin(np.sort(score)[::-1])[int(0.3 * len(score))]
    assert s.ThresholdSearch(histogram(comparisons(0)), targets=[1e-9]).lowest_bin == s.BINS


def test_histograms_merge_by_the_numbers_of_their_groups() -> None:
    c = comparisons(1)
    whole, found = histogram(c), s.ScoreHistogram(groups=3)
    for own, rows in (([2, 0], (c.group != 1).all(axis=1)), ([1], (c.group == 1).any(axis=1))):
        part = s.ScoreHistogram(groups=len(own))
        number = np.full(4, UNKNOWN)  # the last is that of UNKNOWN
        number[own] = np.arange(len(own))
        chunk = c.take(np.flatnonzero(rows))
        fold, names = chunk.fold, tuple(c.groups[g] for g in own)
        part.add(
            Comparisons(chunk.score, chunk.mated, chunk.subject, number[chunk.group], names, fold)
        )
        found.merge(part, groups=own)
    assert (found.counts == whole.counts).all()


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_rates_and_curves_of_any_number_of_groups_are_those_of_their_own_pairs(groups: int) -> None:
    c = comparisons(5, groups=groups, decimals=2)
    counts, found = s.Counts([0.25], groups=groups), s.ScoreHistogram(groups=groups)
    for chunk in chunks(c):
        counts.add(chunk)
        found.add(chunk)
    wrong = (c.score >= 0.25) != c.mated
    for one in range(groups):
        within = (c.group == one).all(axis=1)
        mated, nonmated = c.score[within & c.mated], c.score[within & ~c.mated]
        assert counts.fnmr(0, one).rate == pytest.approx(np.mean(mated < 0.25))
        assert counts.fmr(0, (one, one)).rate == pytest.approx(np.mean(nonmated >= 0.25))
        curve = found.curve(one)
        place = np.searchsorted(curve.threshold, 0.25)
        assert curve.fmr[place] == pytest.approx(np.mean(nonmated >= curve.threshold[place]))
        assert curve.fnmr[place] == pytest.approx(np.mean(mated < curve.threshold[place]))
    across = (c.group.min(axis=1) == 0) & (c.group.max(axis=1) == groups - 1) & ~c.mated
    assert counts.fmr(0, (0, groups - 1)).rate == pytest.approx(wrong[across].mean())

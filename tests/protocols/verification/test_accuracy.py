"""Ten-fold accuracies: each variant against plain loops, and what the variants do to each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairjax.core.comparisons import Comparisons, Embeddings, Pairs, compare
from fairjax.metrics import by_group
from fairjax.protocols.published import ACCURACY
from fairjax.protocols.verification.accuracy import VARIANTS, Folds, centred_scores, same_group

FOLDED = [name for name in VARIANTS if name != "single_threshold"]


def scored(pairs=600, folds=10, seed=0, gap=0.35):
    rng = np.random.default_rng(seed)
    fold = np.repeat(np.arange(folds), pairs // folds)
    mated = np.arange(pairs) % (pairs // folds) < pairs // folds // 2
    score = rng.normal(np.where(mated, 0.25 + gap, 0.25), 0.15).clip(-1, 1)
    return score, mated, fold


def by_plain_loops(variant, score, mated, fold):
    """Threshold by threshold and fold by fold, as the scripts do it."""
    accuracies = []
    for k in np.unique(fold):
        s, m = score[fold != k], mated[fold != k]
        t, n = score[fold == k], mated[fold == k]
        if variant in ("insightface", "tface_rfw"):
            grid = [i / 100 for i in range(400)]
            if variant == "tface_rfw":
                grid = [i / 1000 for i in range(-1000, 1000)]
            best = grid[np.argmax([np.mean((2 - 2 * s < g) == m) for g in grid])]
            right = np.mean((2 - 2 * t < best) == n)
        elif variant == "facexzoo":
            step = (s.max() - s.min()) / 1000
            grid = [s.min() + step * i for i in range(1, 1001)]
            tmr_less_fmr = [np.mean(s[m] > g) - np.mean(s[~m] > g) for g in grid]
            best = grid[np.argmax(tmr_less_fmr)]
            right = (np.sum(t[n] > best) + np.sum(t[~n] < best)) / len(t)
        else:
            grid = [i / 1000 for i in range(-1000, 1000)]
            if variant == "exact":
                u = np.unique(s)
                grid = [u[0], *(u[1:] + u[:-1]) / 2, np.nextafter(u[-1], np.inf)]
            best = grid[np.argmax([np.mean((s >= g) == m) for g in grid])]
            right = np.mean((t >= best) == n)
        accuracies.append(right)
    return np.array(accuracies)


@pytest.mark.parametrize("variant", FOLDED)
@pytest.mark.parametrize("decimals", [8, 2])  # two decimals: ties everywhere, some on the grid
def test_each_variant_equals_its_plain_loops(variant, decimals):
    score, mated, fold = scored()
    score = score.round(decimals)
    found = Folds(score, mated, fold, variant=variant).accuracy()
    assert found.folds == pytest.approx(by_plain_loops(variant, score, mated, fold), abs=1e-12)
    assert found.errors == round(np.sum(60 * (1 - found.folds)))


@pytest.mark.parametrize("variant", FOLDED)
@given(data=st.data())
def test_weights_are_copies_of_pairs(variant, data):
    n = 24
    score = np.array(data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))) / 20
    weights = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    mated, fold = np.tile([True, False], n // 2), np.repeat(np.arange(3), n // 3)
    for k in range(3):  # every fold keeps a pair of each kind
        weights[k * 8 : k * 8 + 2] = 1
    copies = np.repeat(np.arange(n), weights)
    copied = Folds(score[copies], mated[copies], fold[copies], variant=variant).accuracy()
    folds = Folds(score, mated, fold, variant=variant)
    weighted = folds.resampled([np.bincount(folds.key, weights, folds.keys)[None]])
    assert weighted == pytest.approx([copied.mean], abs=1e-12)


def test_a_case_worked_by_hand():
    # Fold 1 is perfect at any threshold in (0.2, 0.8]; fold 0 has a non-mated pair at 0.6.
    score = np.array([0.9, 0.6, 0.8, 0.2])
    mated, fold = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    exact = Folds(score, mated, fold, variant="exact").accuracy()
    assert exact.thresholds.tolist() == pytest.approx([0.5, 0.75])
    assert exact.folds.tolist() == [0.5, 1.0] and exact.errors == 1
    assert exact.mean == 0.75
    assert exact.spread("std, ddof 0") == 0.25
    assert exact.spread("std / sqrt(folds), ddof 1") == pytest.approx(0.25)
    official = Folds(score, mated, fold, variant="uncentred").accuracy()
    assert official.thresholds.tolist() == [0.201, 0.601]  # the first of the equal maxima
    single = Folds(score, mated, fold, variant="single_threshold").accuracy()
    assert single.mean == 1.0 and single.thresholds.tolist() == pytest.approx([0.7])


def test_one_threshold_on_the_tested_pairs_is_never_worse():
    for seed in range(5):
        score, mated, fold = scored(seed=seed)
        single = Folds(score, mated, fold, variant="single_threshold").accuracy().mean
        assert single >= Folds(score, mated, fold, variant="exact").accuracy().mean


def test_the_capped_grid_cannot_accept_a_cosine_below_one_half():
    score, mated, fold = scored(gap=0.2)  # mated pairs about 0.45: mostly below one half
    capped = Folds(score, mated, fold, variant="tface_rfw").accuracy()
    assert (2 - 2 * score[score < 0.5] >= capped.thresholds.max()).all()
    assert capped.mean < Folds(score, mated, fold, variant="insightface").accuracy().mean - 0.05


def people(subjects=200, dim=32, offset=0.0, seed=0):
    """Two images a person, all of them shifted by one common vector."""
    rng = np.random.default_rng(seed)
    identity = np.repeat(rng.normal(size=(subjects, dim)), 2, axis=0)
    shift = offset * rng.normal(size=dim)
    embedding = identity + 0.9 * rng.normal(size=identity.shape) + shift
    first = np.concatenate([np.arange(0, 2 * subjects, 2)] * 2)
    second = np.concatenate([first[:subjects] + 1, np.roll(first[:subjects], 1) + 1])
    mated = np.repeat([True, False], subjects)
    pairs = Pairs(first, second, mated, np.tile(np.arange(subjects) % 10, 2))
    who = np.arange(2 * subjects)
    group = np.zeros(2 * subjects, int)
    return Embeddings(who.astype(str), who // 2, group, ("all",), embedding), pairs


def test_centring_undoes_a_common_offset_and_changes_the_accuracy():
    shifted, pairs = people(offset=3.0)
    part = np.zeros(len(pairs), int)
    accuracies = {}
    for name, score in {
        "uncentred": compare(shifted, pairs).score,
        "rfw_official": centred_scores(shifted, pairs, part),
    }.items():
        folds = Folds(score, pairs.mated, pairs.fold, variant=name)
        accuracies[name] = folds.accuracy().mean
    assert accuracies["rfw_official"] > accuracies["uncentred"] + 0.005


def test_centred_scores_are_cosines_about_the_mean_over_pairs_of_each_part():
    embeddings, pairs = people(subjects=6)
    part = np.array([0, 0, 0, 1, 1, -1] * 2)
    found = centred_scores(embeddings, pairs, part)
    assert np.isnan(found[part < 0]).all()
    for which in (0, 1):
        rows = part == which
        a, b = (embeddings.embedding[i[rows]] for i in (pairs.first, pairs.second))
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
        mean = np.concatenate([a, b]).mean(axis=0)
        a, b = a - mean, b - mean
        cosine = [x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True)]
        assert found[rows] == pytest.approx(cosine, abs=1e-12)


def test_the_order_of_pairs_and_the_names_of_folds_play_no_part():
    score, mated, fold = scored()
    order = np.random.default_rng(1).permutation(len(score))
    for variant in FOLDED:
        one = Folds(score, mated, fold, variant=variant).accuracy()
        other = Folds(score[order], mated[order], 7 * fold[order] + 3, variant=variant).accuracy()
        assert other.folds.tolist() == one.folds.tolist()


def test_pairs_across_groups_belong_to_no_tested_set():
    group = np.array([[0, 0], [0, 1], [1, 1], [-1, -1]])
    comparisons = Comparisons(
        np.zeros(4), np.zeros(4, bool), np.zeros((4, 2), int), group, ("a", "b"), np.zeros(4, int)
    )
    assert same_group(comparisons).tolist() == [0, -1, 1, -1]


def test_what_cannot_be_scored_is_refused():
    score, mated, fold = scored()
    with pytest.raises(ValueError, match="score 3 is not finite"):
        Folds(np.where(np.arange(600) == 3, np.nan, score), mated, fold, variant="exact")
    with pytest.raises(ValueError, match="one kind is missing"):
        Folds(score, np.ones(600, bool), fold, variant="exact")
    with pytest.raises(ValueError, match="one fold"):
        Folds(score, mated, np.zeros(600, int), variant="exact")


@pytest.mark.parametrize(
    "row", [row for table in ACCURACY.values() for row in table.rows], ids=lambda row: row.method
)
def test_printed_averages_and_deviations_follow_from_their_rows_or_are_named(row):
    rates = np.array(row.accuracies)
    half_a_digit = 0.0051
    found = {ddof: float(by_group.std(rates, ddof=ddof)) for ddof in (0, 1)}
    if row.ddof is None:
        assert all(abs(std - row.std) > 0.05 for std in found.values()) and row.note
        return
    exact = (
        abs(found[row.ddof] - row.std) <= half_a_digit
        and abs(rates.mean() - row.average) <= half_a_digit
    )
    named = "std is" in row.note or "average is" in row.note
    assert exact != named
    assert abs(found[row.ddof] - row.std) < 0.02  # the other ddof is 0.05 and more away
    assert abs(found[1 - row.ddof] - row.std) > 0.05


def test_published_skewed_error_ratios():
    # recomputed by hand for four rows of Tables 3 and 4
    ratios = {"ArcFace-R34": 1.64, "CIFP-R34": 1.50, "CIFP-R100": 1.81}
    for row in ACCURACY["balancedface"].rows:
        if row.method in ratios:
            ser = float(by_group.skewed_error_ratio(np.array(row.accuracies) / 100))
            assert ser == pytest.approx(ratios[row.method], abs=0.006)

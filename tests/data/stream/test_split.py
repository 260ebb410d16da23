import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairjax.data.dataset import SPLITS
from fairjax.data.stream.split import assign

RATIO = (0.8, 0.1, 0.1)


def rows(count: int, copies: int = 3, strata: int = 7):
    ids = np.array([f"{k:05d}.jpg" for k in range(count)])
    cluster = np.arange(count, dtype=np.int64)
    cluster[: count // 5] //= copies
    return ids, cluster, np.arange(count) % strata


def test_names_of_splits_stand_in_the_order_of_the_ratio():
    assert SPLITS == ("train", "validation", "test")
    ids, cluster, stratum = rows(1000)
    shares = np.bincount(assign(ids, cluster, stratum, ratio=(0.7, 0.2, 0.1), seed=0)) / 1000
    np.testing.assert_allclose(shares, (0.7, 0.2, 0.1), atol=0.01)


def test_the_split_is_this_one_on_every_machine():
    ids = np.array(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"])
    ones = np.zeros(10, np.int64)
    chosen = assign(ids, np.arange(10), ones, ratio=(0.6, 0.2, 0.2), seed=0)
    # by hand, from `printf '0\\0a' | b2sum -l 64` and so on: the hashes order them c d a h j b g e
    # i f, that of "stratum 0" starts 0x93, so the k-th lies at (k + 0.575) / 10
    by_split = {0: "cdahjb", 1: "ge", 2: "if"}
    expected = {name: split for split, names in by_split.items() for name in names}
    assert chosen.tolist() == [expected[name] for name in ids.tolist()]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 300), copies=st.integers(1, 6))
def test_clusters_stay_whole_and_strata_are_even(seed, count, copies):
    ids, cluster, stratum = rows(count, copies)
    chosen = assign(ids, cluster, stratum, ratio=RATIO, seed=seed)
    for number in np.unique(cluster):
        assert len(set(chosen[cluster == number])) == 1
    first = {int(c): int(stratum[np.flatnonzero(cluster == c)[0]]) for c in cluster}
    counted = np.array([first[int(c)] for c in cluster])
    for label in np.unique(counted):
        inside = chosen[counted == label]
        for split, share in enumerate(RATIO):
            assert abs((inside == split).sum() - share * len(inside)) <= 2 * copies


def test_the_order_of_the_rows_and_the_numbers_of_clusters_do_not_matter():
    ids, cluster, stratum = rows(300)
    chosen = assign(ids, cluster, stratum, ratio=RATIO, seed=3)
    order = np.random.default_rng(0).permutation(300)
    again = assign(ids[order], 1000 - cluster[order], stratum[order], ratio=RATIO, seed=3)
    np.testing.assert_array_equal(chosen[order], again)


def test_another_seed_is_another_split():
    ids, cluster, stratum = rows(300)
    one, other = (assign(ids, cluster, stratum, ratio=RATIO, seed=seed) for seed in (0, 1))
    assert (one != other).mean() > 0.2


def test_one_file_less_moves_only_files_beside_a_cut():
    ids, cluster, stratum = rows(700, copies=1)
    whole = assign(ids, cluster, stratum, ratio=RATIO, seed=0)
    fewer = assign(ids[1:], cluster[1:], stratum[1:], ratio=RATIO, seed=0)
    assert (whole[1:] != fewer).sum() <= 2


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 200), copies=st.integers(1, 6), folds=st.integers(2, 7))
def test_every_cluster_is_in_the_test_of_one_fold(count, copies, folds):
    ids, cluster, stratum = rows(count, copies)
    ratio = (0.9 - 1 / folds, 0.1, 1 / folds) if folds > 2 else (0.4, 0.1, 0.5)
    chosen = np.array(
        [
            assign(ids, cluster, stratum, ratio=ratio, seed=seed, folds=folds)
            for seed in range(2 * folds)
        ]
    )
    for some in (chosen[:folds], chosen[folds:]):
        assert ((some == 2).sum(axis=0) == 1).all()
    for number in np.unique(cluster):
        assert (chosen[:, cluster == number] == chosen[:, cluster == number][:, :1]).all()
    if count > 100:
        shares = np.bincount(chosen[1], minlength=3) / count
        np.testing.assert_allclose(shares, ratio, atol=0.15)
        assert (chosen[0] != chosen[folds]).any()  # another order


@pytest.mark.parametrize("folds", [-1, 1, 4])
def test_a_test_that_is_no_fold_is_refused(folds):
    with pytest.raises(ValueError, match="folds=.* must be 0, or 2 or more"):
        assign(*rows(10), ratio=(0.7, 0.1, 0.2), seed=0, folds=folds)


def test_strata_of_one_image_do_not_all_fall_to_train():
    ids, cluster, _ = rows(500, copies=1)
    chosen = assign(ids, cluster, np.arange(500), ratio=RATIO, seed=0)
    np.testing.assert_allclose(np.bincount(chosen) / 500, RATIO, atol=0.05)


@pytest.mark.parametrize("ratio", [(0.8, 0.2), (0.8, 0.1, 0.2), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_a_ratio_that_is_none_is_refused(ratio):
    ids, cluster, stratum = rows(10)
    with pytest.raises(ValueError, match="three positive shares"):
        assign(ids, cluster, stratum, ratio=ratio, seed=0)

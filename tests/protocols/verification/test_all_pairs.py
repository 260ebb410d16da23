"""All pairs in blocks, against all pairs scored one by one."""

import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from fairjax.core.comparisons import UNKNOWN, Embeddings
from fairjax.metrics import verification
from fairjax.metrics.subject_bootstrap import draw_people
from fairjax.metrics.verification import InsufficientDataError
from fairjax.protocols.verification import all_pairs, pair_blocks
from fairjax.protocols.verification.all_pairs import count_all_pairs, resampled_all_pairs

FMRS = (1e-2, 0.5, 1e-9, 1e-1, 1e-3)  # in no order, one that no pair can resolve


def embeddings(people=24, images=4, seed=0):
    """Entries of +-1 in 64 dimensions: length 8, so that cosines are exact, and tie often."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(people) * 7 + 3, images)
    group = np.repeat(np.arange(people) % 3, images)
    group[: 2 * images] = UNKNOWN
    vectors = np.repeat(rng.choice([-1.0, 1.0], size=(people, 64)), images, axis=0)
    vectors = np.where(rng.random(vectors.shape) < 0.2, -vectors, vectors)
    order = rng.permutation(len(subject))
    ids = np.arange(len(subject)).astype(str)
    return Embeddings(ids, subject[order], group[order], ("a", "b", "c"), vectors[order])


def one_by_one(e, person):
    """Score, mated, subjects and groups of every pair but those of one person under two numbers."""
    rows = [
        (
            e.embedding[i] @ e.embedding[j] / 64,
            e.subject[i] == e.subject[j],
            e.subject[[i, j]],
            np.sort(e.group[[i, j]]),
        )
        for i, j in combinations(range(len(e)), 2)
        if e.subject[i] == e.subject[j] or person[i] != person[j]
    ]
    return (np.array(column) for column in zip(*rows, strict=True))


@pytest.mark.parametrize("kept", [5, 1 << 24])
@pytest.mark.parametrize("block", [7, 4096])
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("rule", ["at_most", "ceil_ge", "cifp_strict"])
def test_counts_are_those_of_pairs_scored_one_by_one(monkeypatch, kept, block, within, rule):
    monkeypatch.setattr(pair_blocks, "BLOCK", block)
    monkeypatch.setattr(all_pairs, "MOST_KEPT", kept)
    e = embeddings()
    person = np.where(e.subject == 10 * 7 + 3, 5 * 7 + 3, e.subject)  # two numbers, one person
    found = count_all_pairs(e, fmrs=FMRS, person=person, within_groups=within, rule=rule)
    score, mated, subject, group = one_by_one(e, person)
    inside = (group[:, 0] == group[:, 1]) & (group[:, 0] >= 0)
    pool = score[~mated & (inside if within else True)].astype(np.float32)
    assert found.excluded == 16
    assert found.pairs == (~mated).sum()
    for p, target in enumerate(FMRS):
        try:
            expected = verification.threshold_at_fmr(pool, fmr=target, rule=rule)
        except InsufficientDataError:
            assert np.isnan(found.threshold[p]) and np.isnan(found.group_fmr()[p]).all()
            continue
        assert found.threshold[p] == expected
        accepted = score >= expected
        for a in range(3):
            for b in range(a, 3):
                cell = (group == [a, b]).all(axis=1) & ~mated
                assert found.nonmated[a, b] == found.nonmated[b, a] == cell.sum()
                assert found.false_matches[p, a, b] == found.false_matches[p, b, a]
                assert found.false_matches[p, a, b] == (cell & accepted).sum()
            own = mated & (group[:, 0] == a)
            assert found.mated[a] == own.sum()
            assert found.false_nonmatches[p, a] == (own & ~accepted).sum()
        for k, who in enumerate(found.person):
            shown = (subject == who).any(axis=1)
            assert found.person_nonmated[k] == (shown & ~mated).sum()
            assert found.person_false_matches[p, k] == (shown & ~mated & accepted).sum()
            assert found.person_mated[k] == (shown & mated).sum()
            assert found.person_false_nonmatches[p, k] == (shown & mated & ~accepted).sum()


def test_a_resample_counts_the_pairs_of_people_who_are_copied():
    e, fmrs = embeddings(), (1e-2, 1e-9, 0.4)
    people = np.unique(e.subject)
    stratum = np.array([e.group[e.subject == one][0] % 4 for one in people])  # unknown: the last
    draws = draw_people(stratum, resamples=6, seed=5)
    assert draws.max() > 2 and draws.min() == 0
    found = list(resampled_all_pairs(e, fmrs=fmrs, resamples=6, seed=5))
    for weights, counted in zip(draws, found, strict=True):
        rows, subject, person = [], [], []
        for one, times in zip(people, weights.tolist(), strict=True):
            own = np.flatnonzero(e.subject == one)
            for copy in range(times):
                rows += own.tolist()
                subject += [100 * one + copy] * len(own)
                person += [one] * len(own)
        copied = Embeddings(
            np.arange(len(rows)).astype(str),
            np.array(subject),
            e.group[rows],
            e.groups,
            e.embedding[rows],
        )
        expected = count_all_pairs(copied, fmrs=fmrs, person=np.array(person))
        for name in (
            "threshold",
            "nonmated",
            "false_matches",
            "mated",
            "false_nonmatches",
            "person_nonmated",
            "person_false_matches",
            "person_mated",
            "person_false_nonmatches",
        ):
            np.testing.assert_array_equal(getattr(counted, name), getattr(expected, name), name)
        assert (counted.person == expected.person // 100).all()
        assert np.isnan(counted.threshold[1]) and counted.false_matches[0].sum() > 0


@pytest.mark.parametrize("kept", [0, 1 << 24])
def test_equal_cosines_are_accepted_or_rejected_together(monkeypatch, kept):
    monkeypatch.setattr(all_pairs, "MOST_KEPT", kept)
    subject = np.arange(5)
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [-1, 0]], np.float32)
    e = Embeddings(subject.astype(str), subject, subject * 0, ("a",), vectors)
    # the ten cosines: 1 three times, 0 four times, -1 three times
    found = count_all_pairs(e, fmrs=(0.2, 0.3, 0.6, 0.7, 0.9), thresholds=(-1.0, 0.0, 1.5))
    above_one = np.nextafter(np.float32(1), np.float32(2))
    assert found.threshold.tolist() == [above_one, 1, 1, 0, 0, -1, 0, 1.5]
    assert found.false_matches[:, 0, 0].tolist() == [0, 3, 3, 7, 7, 10, 7, 0]


def test_memory_does_not_grow_with_the_number_of_pairs(monkeypatch):
    monkeypatch.setattr(pair_blocks, "BLOCK", 32)
    monkeypatch.setattr(all_pairs, "MOST_KEPT", 1 << 10)
    peaks = []
    for people in (100, 400):  # sixteen times as many pairs
        e = embeddings(people=people, images=2)
        tracemalloc.start()
        assert count_all_pairs(e, fmrs=[0.5, 1e-3]).pairs > people**2
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0], "tables of 512 KiB a pass, and what grows with the images"


def test_no_pair_is_missing_or_twice():
    e = embeddings()
    found = count_all_pairs(e, fmrs=[0.1])
    n = len(e)
    assert found.pairs + found.mated.sum() == n * (n - 1) // 2
    assert found.person_nonmated.sum() == 2 * found.pairs
    assert found.group_fmr().shape == (1, 3)
    assert found.person_fnmr().shape == (1, 24)


def test_the_order_of_images_plays_no_part():
    e = embeddings()
    order = np.random.default_rng(5).permutation(len(e))
    shuffled = Embeddings(
        e.ids[order], e.subject[order], e.group[order], e.groups, e.embedding[order]
    )
    one, other = (count_all_pairs(x, fmrs=FMRS) for x in (e, shuffled))
    assert np.array_equal(one.false_matches, other.false_matches)
    assert np.array_equal(one.person_false_nonmatches, other.person_false_nonmatches)


def test_what_is_no_set_of_images_is_refused():
    e = embeddings()
    with pytest.raises(ValueError, match="two images"):
        count_all_pairs(
            Embeddings(e.ids[:1], e.subject[:1], e.group[:1], e.groups, e.embedding[:1]),
            fmrs=[0.1],
        )
    broken = e.embedding.copy()
    broken[3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        count_all_pairs(Embeddings(e.ids, e.subject, e.group, e.groups, broken), fmrs=[0.1])


@pytest.mark.slow
def test_a_million_pairs_are_counted_within_two_gibibytes():
    import resource

    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(300), 5)  # 1,500 images: 1.1 million pairs
    e = Embeddings(
        np.arange(1500).astype(str),
        subject,
        subject % 4,
        tuple("abcd"),
        rng.normal(size=(1500, 512)).astype(np.float32),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = count_all_pairs(e, fmrs=[1e-4, 0.5])
    assert found.pairs > 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # KiB

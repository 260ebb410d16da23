"""Searches of a gallery: by hand, and against a plain loop over probes and sizes."""

import numpy as np
import pytest

from fairjax.metrics.identification import NOWHERE, Searches, search
from fairjax.metrics.verification import InsufficientDataError


def by_hand():
    return Searches(
        person=np.array([0, 1, 2, 7, 8, 9]),
        group=np.zeros(6, np.int64),
        mated=np.array([True, True, True, False, False, False]),
        top=np.array([0.9, 0.6, 0.5, 0.8, 0.3, -np.inf]),
        found=np.array([0, 5, 2, 5, 5, -1]),
        mate=np.array([0.9, 0.4, 0.5, -np.inf, -np.inf, -np.inf]),
        rank=np.array([1, 2, 1, NOWHERE, NOWHERE, NOWHERE]),
    )


def test_rates_by_hand():
    searches = by_hand()
    assert searches.fnir(-np.inf, rank=1).rate == pytest.approx(1 / 3)
    assert searches.fnir(-np.inf, rank=2).errors == 0
    assert searches.fnir(0.5).errors == 1 and searches.fnir(0.55).errors == 2
    assert searches.fnir(0.45, rank=1).errors == 1
    assert searches.fpir(0.5).rate == pytest.approx(1 / 3)
    assert searches.fpir(0.3).errors == 2
    assert searches.fpir(-1e9).errors == 2  # a search without a candidate is no false positive
    assert searches.fpir(0.5).people == 4  # three probes' people, and the person found twice


def test_a_threshold_keeps_the_false_positives_at_the_target():
    searches = by_hand()
    assert searches.threshold(0.34) == 0.8
    assert searches.fpir(searches.threshold(0.67)).errors == 2
    with pytest.raises(InsufficientDataError):
        searches.threshold(0.1)


def test_searching_agrees_with_a_plain_loop():
    rng = np.random.default_rng(0)
    people, dim = 12, 6
    gallery = rng.normal(size=(people, dim))
    person = np.concatenate([np.repeat(np.arange(people), 2), [20, 21, 22]])
    probes = np.concatenate([np.repeat(gallery, 2, axis=0), rng.normal(size=(3, dim))])
    probes = probes + 0.9 * rng.normal(size=probes.shape)
    enrolled = rng.permutation(people)
    sizes = [3, 8, 12]
    found = list(
        search(
            probes,
            gallery[enrolled],
            person=person,
            group=person % 2,
            enrolled=enrolled,
            sizes=sizes,
        )
    )
    for size, got in zip(sizes, found, strict=True):
        members = enrolled[:size].tolist()
        expected = []
        for k, who in enumerate(person.tolist()):
            if who < people and who not in members:
                continue
            cosine = [
                probes[k] @ gallery[m] / np.linalg.norm(probes[k]) / np.linalg.norm(gallery[m])
                for m in members
            ]
            best = int(np.argmax(cosine))
            if who in members:
                mine = cosine[members.index(who)]
                rank = 1 + sum(c >= mine for c, m in zip(cosine, members, strict=True) if m != who)
            else:
                mine, rank = -np.inf, NOWHERE
            expected.append((who, who in members, cosine[best], members[best], mine, rank))
        who, mated, top, best, mate, rank = map(np.array, zip(*expected, strict=True))
        np.testing.assert_array_equal(got.person, who)
        np.testing.assert_array_equal(got.group, who % 2)
        np.testing.assert_array_equal(got.mated, mated)
        np.testing.assert_allclose(got.top, top, atol=1e-12)
        np.testing.assert_array_equal(got.found, best)
        np.testing.assert_allclose(got.mate, mate, atol=1e-12)
        np.testing.assert_array_equal(got.rank, rank)
    misses = [one.take(np.isin(one.person, enrolled[:3])).fnir(-np.inf, rank=1) for one in found]
    assert misses[0].errors <= misses[1].errors <= misses[2].errors  # larger galleries are harder


def test_a_mate_that_ties_ranks_behind():
    (got,) = search(
        np.array([[1.0, 0.0]]),
        np.array([[1.0, 0.0], [1.0, 0.0]]),
        person=np.array([1]),
        group=np.array([0]),
        enrolled=np.array([0, 1]),
        sizes=[2],
    )
    assert got.rank[0] == 2 and got.mate[0] == got.top[0]

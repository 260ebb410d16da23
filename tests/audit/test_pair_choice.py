"""Which pairs of embeddings are compared: every pair once, or a sample of each kind."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from fairjax.audit import pair_choice
from fairjax.audit.layout import People
from fairjax.audit.pair_choice import choose_pairs
from fairjax.audit.tables import InputError

IDS = [f"i{k:02d}" for k in range(24)]  # 12 people of two images, in two groups
SUBJECT = {name: f"p{k // 2}" for k, name in enumerate(IDS)}
GROUP = ["XY"[k // 2 % 2] for k in range(24)]
PEOPLE = People("v.npz", "image", SUBJECT, {"group": dict(zip(IDS, GROUP, strict=True))})


def choose(ids=IDS, people=PEOPLE, sample=None, seed=0):
    groups = [GROUP[IDS.index(name)] for name in ids]
    return choose_pairs(ids, people, groups, sample, seed, Path("v.npz"))


def names_of(pairs, ids=IDS):
    return {frozenset((ids[a], ids[b])) for a, b in pairs.tolist()}


def test_every_pair_comes_once():
    pairs = choose()
    assert names_of(pairs) == {frozenset(pair) for pair in itertools.combinations(IDS, 2)}
    assert len(pairs) == 24 * 23 // 2


@pytest.mark.parametrize("people", [None, People("v.npz", "image", {}, {})])
def test_without_people_nothing_can_be_chosen(people):
    for sample in (None, 5):
        with pytest.raises(InputError, match=r"v\.npz: all pairs \(or a sample\) need to know who"):
            choose(people=people, sample=sample)


def test_more_pairs_than_memory_holds_are_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(pair_choice, "MOST_PAIRS", 276)
    assert len(choose()) == 276
    monkeypatch.setattr(pair_choice, "MOST_PAIRS", 275)
    with pytest.raises(InputError, match="24 images make 276 pairs, more than 275; take --sample"):
        choose()
    assert len(choose(sample=2)) > 0


@pytest.mark.parametrize("sample", [1, 3, 1000])
def test_a_sample_has_at_most_so_many_pairs_of_each_kind(sample):
    pairs = choose(sample=sample)
    assert len(names_of(pairs)) == len(pairs)
    mated = np.array([SUBJECT[IDS[a]] == SUBJECT[IDS[b]] for a, b in pairs.tolist()])
    kinds = [frozenset((GROUP[a], GROUP[b])) for a, b in pairs.tolist()]
    for kind in (frozenset("X"), frozenset("Y"), frozenset("XY")):
        inside = np.array([own == kind for own in kinds])
        there = {1: 6, 2: 0}[len(kind)], {1: 60, 2: 144}[len(kind)]  # 6 people of 2 images a group
        assert (inside & mated).sum() == min(sample, there[0])
        assert (inside & ~mated).sum() == min(sample, there[1])


def test_a_sample_follows_the_seed_and_not_the_order_of_the_files():
    shuffled = [IDS[k] for k in np.random.default_rng(1).permutation(24)]
    one, other = choose(sample=3), choose(ids=shuffled, sample=3)
    assert names_of(one) == names_of(other, shuffled)
    assert names_of(choose(sample=3, seed=1)) != names_of(one)

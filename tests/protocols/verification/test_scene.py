"""Resamples by couples of people against pairs weighed one by one; the parts of the pairs."""

import numpy as np
import pytest
from scored_pairs import scored_pairs

from fairjax.protocols.verification import scene as verification_scene
from fairjax.protocols.verification.scene import make_scene


@pytest.mark.parametrize("cells", [1, 1 << 22])  # one resample a block, and all in one
def test_counts_of_a_resample_are_those_of_pairs_weighed_one_by_one(monkeypatch, cells):
    monkeypatch.setattr(verification_scene, "BLOCK_CELLS", cells)
    c = scored_pairs(people=8, pairs=60)
    scene = make_scene(c, attribute="group", resamples=9, level=0.95, seed=0)
    rows = np.random.default_rng(0).permutation(len(c))[:200]
    key = np.arange(200) % 5
    found = np.concatenate(list(scene.resampled_counts(rows, key, keys=5)))
    expected = np.zeros((9, 5))
    for b in range(9):
        times = scene.draws.weights[b].astype(int)
        for row, k in zip(rows, key, strict=True):
            one, other = scene.draws.person[row]
            expected[b, k] += times[one] if c.mated[row] else times[one] * times[other]
    assert found.tolist() == expected.tolist()


def test_every_pair_of_known_groups_lies_in_one_part():
    c = scored_pairs()
    scene = make_scene(c, attribute="group", resamples=1, level=0.95, seed=0)
    rows = np.concatenate([part.rows for part in [*scene.own, *scene.across]])
    assert sorted(rows) == list(range(len(c)))
    assert [dict(part.group) for part in scene.across] == [
        {"group": a, "other_group": b} for a, b in ("ab", "ac", "bc")
    ]
    assert scene.everyone.people == len(np.unique(c.subject))
    for part in scene.own:
        assert c.mated[part.mated.rows].all() and not c.mated[part.nonmated.rows].any()

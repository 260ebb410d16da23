"""What needs no threshold, against scikit-learn and resamples taken one by one."""

import numpy as np
import pytest
from scored_pairs import scored_pairs
from sklearn.metrics import roc_auc_score

from fairjax.metrics import clustered, verification
from fairjax.protocols.verification.rates import (
    at_fmr,
    operating_points,
    rates_at_point,
    resampled_rates,
    threshold_free,
)
from fairjax.protocols.verification.scene import make_scene


@pytest.mark.parametrize(
    ("target", "name"),
    [(1e-3, "FMR 1e-3"), (0.1, "FMR 1e-1"), (0.0125, "FMR 1.25e-2"), (3e-7, "FMR 3e-7")],
)
def test_operating_points_are_named_by_their_target(target, name):
    assert at_fmr(target) == name


def test_values_without_a_threshold():
    c = scored_pairs()
    scene = make_scene(c, attribute="group", resamples=20, level=0.95, seed=0)
    found = {(n.measure.name, n.measure.group.get("group")): n for n in threshold_free(c, scene)}
    for g, name in enumerate([None, *c.groups], -1):
        own = (c.group == g).all(axis=1) if name else np.ones(len(c), bool)
        auc = found["auc", name].measure
        assert auc.value == pytest.approx(roc_auc_score(c.mated[own], c.score[own]))
        assert auc.n == own.sum()
        mated, nonmated = c.score[own & c.mated], c.score[own & ~c.mated]
        eer = found["eer", name].measure
        assert eer.value == verification.equal_error_rate(mated, nonmated)[0]
        gap = mated.mean() - nonmated.mean()
        d_prime = gap / np.sqrt((mated.var() + nonmated.var()) / 2)
        assert found["d_prime", name].measure.value == pytest.approx(d_prime)


def test_resampled_values_are_those_of_pairs_taken_as_often_as_drawn():
    c = scored_pairs(("a",), people=10, pairs=100)
    scene = make_scene(c, attribute="group", resamples=5, level=0.95, seed=0)
    everyone = {n.measure.name: n.resampled for n in threshold_free(c, scene)[:3]}
    for b in range(5):
        times = scene.draws.weights[b].astype(int)[scene.draws.person]
        weights = np.where(c.mated, times[:, 0], times[:, 0] * times[:, 1])
        copies = np.repeat(np.arange(len(c)), weights)
        score, mated = c.score[copies], c.mated[copies]
        # every score has a bin of its own here, so nothing is lost to binning
        assert everyone["auc"][b] == pytest.approx(roc_auc_score(mated, score))
        eer, _ = verification.equal_error_rate(score[mated], score[~mated])
        assert everyone["eer"][b] == pytest.approx(eer)
        d_prime = verification.d_prime(score[mated], score[~mated])
        assert everyone["d_prime"][b] == pytest.approx(d_prime)


def test_where_errors_are_few_the_likeliest_ones_say_how_much_they_cluster():
    c = scored_pairs(("a", "b"), people=20, pairs=200)
    scene = make_scene(c, attribute="group", resamples=5, level=0.95, seed=0)
    asked = dict(fmrs=(), rule="at_most", source="")
    thresholds = (0.2, 0.45)  # at one few mated pairs are errors, at the other few non-mated ones
    points = operating_points(c, thresholds=thresholds, **asked)
    drawn = resampled_rates(c, points, scene, "at_most")
    low, high = (rates_at_point(c, *at, scene) for at in zip(points, drawn, strict=True))
    for (everyone, *_), mated in ((high["fmr"], False), (low["fnmr"], True)):
        rows = np.flatnonzero(c.mated == mated)
        couples = clustered.dyads(c.subject[rows])
        effect, wrong = (
            clustered.likeliest_design_effect(c.score[rows], couples, mated=kind)
            for kind in (mated, not mated)
        )
        assert 0 < everyone.rate.errors < 30
        assert everyone.rate.likeliest_effect == pytest.approx(effect)
        assert abs(effect - wrong) > 0.01
    for everyone, *_ in (low["fmr"], high["fnmr"]):
        assert everyone.rate.errors > 30 and np.isnan(everyone.rate.likeliest_effect)

from dataclasses import replace

import numpy as np
import pytest

from fairjax.audit import outputs, run
from fairjax.audit.loaded import Loaded, independent
from fairjax.audit.tables import InputError


def nameless(pairs: int, seed: int = 0) -> Loaded:
    """Pairs of unknown people: independent, half of them mated, FMR 10 % and FNMR 20 % at 0.5."""
    rng = np.random.default_rng(seed)
    mated = np.arange(pairs) % 2 == 0
    score = np.where(mated, rng.random(pairs) < 0.8, rng.random(pairs) < 0.1) * 0.6
    score = score + 0.1 * rng.random(pairs)
    group = np.repeat(rng.integers(2, size=(pairs, 1)), 2, axis=1)
    return Loaded(
        by="group",
        groups=("X", "Y"),
        scores={"score": score},
        mated=mated,
        subject=independent(mated),
        group=group,
        fold=np.zeros(pairs, np.int32),
        has_subjects=False,
        has_images=False,
    )


def test_pairs_of_unknown_people_have_binomial_intervals_and_no_people():
    results = run.measure(nameless(4000), run.Settings(fmrs=[0.1], resamples=1000))
    found = results.get("fmr", at="FMR 1e-1", group="X")
    assert "bootstrap" in found.method
    half = 1.96 * np.sqrt(found.value * (1 - found.value) / found.n)
    # the resampled threshold holds the mean of both groups' rates in place, but an interval is
    # never narrower than that of independent trials
    assert (found.interval[1] - found.interval[0]) / 2 == pytest.approx(half, rel=0.05)
    assert found.n_clusters is None
    assert [row["subjects"] for row in results.arrays["adequacy"]] == [None, None]
    assert "DO NOT SAY WHO" in results.limits[0]


def test_many_pairs_of_unknown_people_are_not_resampled(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "MOST_NAMELESS", 100)
    results = run.measure(nameless(4000), run.Settings(fmrs=[0.1]))
    found = results.get("fmr", at="FMR 1e-1", group="X")
    assert found.interval is not None and "effective trials" in found.method
    outputs.write(tmp_path, results, title="t")
    with pytest.raises(InputError, match="Give the subjects"):
        run.measure(nameless(4000), run.Settings(tolerances={"fmr_gini": 0.1}))


def test_the_hash_of_pairs_knows_neither_order_nor_scores():
    loaded = nameless(50)
    order = np.random.default_rng(0).permutation(50)
    shuffled = Loaded(
        by="group",
        groups=("X", "Y"),
        scores={"other": loaded.scores["score"][order] + 1},
        mated=loaded.mated[order],
        subject=loaded.subject[order][:, ::-1],
        group=loaded.group[order],
        fold=loaded.fold[order],
        has_subjects=True,
        has_images=False,
    )
    assert run.pairs_hash(loaded) == run.pairs_hash(shuffled)
    assert run.pairs_hash(loaded) != run.pairs_hash(nameless(48))


def test_settings_out_of_range_are_one_line():
    with pytest.raises(InputError, match="a tolerance for 'nope'"):
        run.measure(nameless(100), run.Settings(fmrs=[0.1], tolerances={"nope": 1.0}, resamples=5))
    with pytest.raises(InputError, match="add a column 'fold'"):
        run.measure(nameless(100), run.Settings(protocol="lfw"))


def test_protocols_of_scores_alone_put_an_uncentred_variant_first():
    loaded = nameless(400)
    fold = (np.arange(400) // 2 % 4).astype(np.int32)
    folds = replace(loaded, fold=fold, kinds={"score": "cosine"})
    results = run.measure(folds, run.Settings(fmrs=[0.1], protocol="rfw", resamples=20))
    assert results.get("accuracy", group="X").rule.startswith("uncentred")
    centred = results.get("accuracy_rfw_official", group="X")
    assert centred.value is None and "only scores were given" in centred.note

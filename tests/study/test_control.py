"""Runs of verification in a study: rates over all pairs in resamples, and controls with noise."""

import json

import numpy as np
import pytest

from fairjax.config import base_config, protocol
from fairjax.config.study import Column, Floor, Noise, Row, Study
from fairjax.core.comparisons import Embeddings, Pairs
from fairjax.core.results import load_results, save_results
from fairjax.data.formats.pairs import draw_pairs
from fairjax.protocols.verification.all_pairs import count_all_pairs, resampled_all_pairs
from fairjax.run.build import build_scoring
from fairjax.run.score import read_predictions, score, write_predictions
from fairjax.run.workdir import WorkdirError
from fairjax.study import expand, paired
from fairjax.study.control import make_control
from fairjax.study.numbers import value_of

PEOPLE, IMAGES, GROUPS = 48, 4, ("amber", "cobalt")
AT = "FMR 1e-1 of all pairs"
ACCURACY = Column("Accuracy", "accuracy_mean", across="group")
RATIO = Column("Ratio", "fmr", {"group": "amber"}, at=AT, over_others=True)
BIAS = Column("People", "fmr_bias_degree", across="person", at=AT)
STUDY = Study(
    "S",
    "",
    (Row("Good"), Row("Bad"), Row("Noisy", noise=Noise("Good", "Bad"))),
    (ACCURACY, RATIO, BIAS),
    seeds=(0,),
    floor=Floor("Accuracy", "Good", 1.0),
)


def tree():
    config = base_config()
    config.eval.protocol = protocol("lfw", resamples=5, fmrs=(0.1,), bias_fmrs=(0.1,))
    return config


def finished(folder, spread):
    """A finished run whose pictures of a person lie `spread` around the person."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(PEOPLE), IMAGES)
    own = rng.normal(size=(PEOPLE, 16))
    own[::2] = 0.6 * own[::2] + 0.8  # amber people are alike
    embedding = own[person] + spread * rng.normal(size=(len(person), 16))
    columns = {
        "id": np.array([f"{k}.png" for k in range(len(person))]),
        "cluster": person,
        "group": person % 2,
        "embedding": embedding.astype(np.float32),
    }
    pairs = draw_pairs(person, person % 2, folds=2, per_fold=30, seed=0)
    write_predictions(folder / "predictions.npz", columns, pairs)
    config = tree()
    group = {"values": GROUPS, "low": 0, "high": 1, "unit": "", "assigned_by": "nobody"}
    for name, kept in (
        ("config", config.to_dict()),
        ("data", {"hash": "0", "attributes": {"group": group}}),
        ("environment", {"fairjax": "0", "git_revision": None, "command": "the line"}),
        ("outcome", {"evaluated_step": 3, "parameters": 7}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(kept))
    results = score(build_scoring(config.to_dict()), folder)
    save_results(folder / "results.json", results)
    return results


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    finished(workdir / "good-seed0", 0.7)
    finished(workdir / "bad-seed0", 1.6)
    config = tree()
    with config.unlocked():
        config.study = STUDY
    return {run.row: run for run in expand(config, workdir, overrides={})}


def embeddings_of(folder):
    columns, _ = read_predictions(folder / "predictions.npz")
    names = ("id", "cluster", "group")
    return Embeddings(*(columns[name] for name in names), GROUPS, columns["embedding"])


def test_a_ratio_over_the_other_groups_is_of_their_rates(runs):
    folder = runs["Good"].folder
    counted = count_all_pairs(embeddings_of(folder), fmrs=(0.1,))
    amber, cobalt = counted.group_fmr()[0]
    assert amber > cobalt > 0
    found = value_of(load_results(folder / "results.json"), RATIO)
    assert found == pytest.approx(amber / cobalt)


def test_rates_over_all_pairs_are_those_of_each_resample(runs):
    folder = runs["Good"].folder
    found = paired.resampled_values([folder], STUDY.columns, resamples=6)
    resamples = resampled_all_pairs(
        embeddings_of(folder), fmrs=(0.1,), resamples=6, seed=paired.SEED
    )
    rates = [counted.group_fmr()[0] for counted in resamples]
    np.testing.assert_allclose(found["Ratio"], [amber / cobalt for amber, cobalt in rates])
    assert np.ptp(found["Ratio"]) > 0 and np.ptp(found["People"]) > 0
    assert np.ptp(found["Accuracy"]) > 0  # of the list


def test_noise_makes_a_run_just_no_more_accurate_than_another(runs):
    run = runs["Noisy"]
    assert run.needs == ("good-seed0", "bad-seed0")
    make_control(run, STUDY)
    assert run.done
    good, bad, noisy = (
        value_of(load_results(runs[name].folder / "results.json"), ACCURACY)
        for name in ("Good", "Bad", "Noisy")
    )
    assert good > bad + 5 and bad - 5 < noisy <= bad
    assert paired.fingerprint(run.folder) == paired.fingerprint(runs["Good"].folder)
    outcome = json.loads((run.folder / "outcome.json").read_text())
    assert outcome["parameters"] == 7 and outcome["noise_length"] > 0


def test_no_noise_where_the_other_is_as_accurate(runs, tmp_path):
    good = runs["Good"].folder
    run = runs["Noisy"].__class__(
        "same-seed0", "Same", 0, tmp_path / "same", tree().to_dict(), (), (good, good)
    )
    make_control(run, STUDY)
    before, after = (embeddings_of(folder).embedding for folder in (good, run.folder))
    before = before / np.linalg.norm(before, axis=1, keepdims=True)
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_a_run_without_embeddings_has_nothing_to_add_noise_to(runs, tmp_path):
    broken = tmp_path / "broken"
    finished(broken, 0.7)
    columns, pairs = read_predictions(broken / "predictions.npz")
    del columns["embedding"]
    write_predictions(broken / "predictions.npz", columns, pairs)
    run = runs["Noisy"].__class__(
        "x-seed0", "X", 0, tmp_path / "x", tree().to_dict(), (), (broken, runs["Bad"].folder)
    )
    with pytest.raises(WorkdirError, match="has no embeddings of pairs"):
        make_control(run, STUDY)


def test_folds_are_pooled_and_no_image_may_be_in_two(runs, tmp_path):
    folder = runs["Good"].folder
    with pytest.raises(WorkdirError, match="compares pairs, which folds cannot pool"):
        paired.pooled_results([folder, folder])
    rows = np.arange(4)
    columns = {"id": rows.astype(str), "cluster": rows, "group": rows % 2}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_predictions(tmp_path / name / "predictions.npz", columns, None)
    with pytest.raises(WorkdirError, match="test an image twice"):
        paired.pooled_results([tmp_path / "one", tmp_path / "two"])
    assert isinstance(read_predictions(folder / "predictions.npz")[1], Pairs)

"""A run's numbers in resamples of the test's people, by hand."""

import json
import shutil
from dataclasses import astuple

import numpy as np
import pytest

from fairjax import config
from fairjax.config.study import Column
from fairjax.core.comparisons import Pairs
from fairjax.data.dataset import Attribute
from fairjax.metrics import bootstrap
from fairjax.run.score import write_predictions
from fairjax.study import paired

PEOPLE = 40


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    n, gender = 2 * PEOPLE, np.arange(2 * PEOPLE) // 2 % 2
    right = rng.random(n) < 0.7
    return {
        "id": np.array([f"{k}.jpg" for k in range(n)]),
        "cluster": np.arange(n) // 2,
        "group": np.arange(n) // 2 % 3,
        "gender": gender,
        "prob_gender": np.eye(2)[np.where(right, gender, 1 - gender)],
    }


@pytest.fixture
def folder(tmp_path, columns):
    """A finished run as far as its numbers need it."""
    tree = config.base_config()
    tree.eval.protocol.resamples = 500
    (tmp_path / "config.json").write_text(json.dumps(tree.to_dict()))
    attribute = {"low": 0, "high": 1, "unit": "", "assigned_by": "nobody"}
    attributes = {
        "gender": {**attribute, "values": ["male", "female"]},
        "group": {**attribute, "high": 2, "values": ["a", "b", "c"]},
    }
    (tmp_path / "data.json").write_text(json.dumps({"hash": "0", "attributes": attributes}))
    write_predictions(tmp_path / "predictions.npz", columns, None)
    return tmp_path


def test_each_resample_s_number_is_that_of_the_rows_it_repeats(folder, columns):
    wanted = (
        Column("All", "gender_accuracy"),
        Column("A", "gender_accuracy", {"group": "a"}),
        Column("None", "speed"),
    )
    found = paired.resampled_values([folder], wanted, resamples=5)
    right = columns["prob_gender"].argmax(axis=1) == columns["gender"]
    draws = bootstrap.draw(columns["cluster"], resamples=5, seed=paired.SEED)
    weights = draws.weights[columns["cluster"]].astype(float)
    assert (weights.sum(axis=0) == 2 * PEOPLE).all() and weights.max() > 1
    np.testing.assert_allclose(found["All"], 100 * right @ weights / weights.sum(axis=0))
    first = columns["group"] == 0
    np.testing.assert_allclose(
        found["A"], 100 * right[first] @ weights[first] / weights[first].sum(axis=0)
    )
    assert np.isnan(found["None"]).all() and found["None"].shape == (5,)


def test_a_pair_is_repeated_as_often_as_the_resample_holds_its_people():
    rng, people = np.random.default_rng(1), np.repeat(np.arange(12), 2)
    first, second = np.triu_indices(24, 1)
    mated = people[first] == people[second]
    pairs = Pairs(first, second, mated, rng.integers(2, size=len(mated)))
    columns = {"cluster": people, "group": people % 2}
    attribute = {"group": Attribute(("a", "b"), 0, 1, "", "nobody")}
    for _, drawn in paired._rows("group", columns, pairs, attribute, 4):
        times = np.zeros((24, 24), int)
        np.add.at(times, (drawn.first, drawn.second), 1)
        own = np.array([times[2 * k, 2 * k + 1] for k in range(12)])  # of its mated pair
        assert own.sum() == 12 and own.max() > 1
        for one, other, same in zip(first, second, mated, strict=True):
            expected = own[people[one]] if same else own[people[one]] * own[people[other]]
            assert times[one, other] == expected
        assert (drawn.mated == (people[drawn.first] == people[drawn.second])).all()


def test_a_fingerprint_is_of_people_images_and_pairs_alone(folder, columns):
    path = folder / "predictions.npz"
    rows = np.arange(4)
    pairs = Pairs(rows, rows + 4, rows % 2 == 0, 0 * rows)
    seen = [paired.fingerprint(folder)]
    write_predictions(path, {**columns, "prob_gender": columns["prob_gender"][::-1]}, None)
    assert paired.fingerprint(folder) == seen[0]
    for changed, compared in (
        ({**columns, "id": columns["id"][::-1]}, None),
        ({**columns, "cluster": columns["cluster"][::-1]}, None),
        (columns, pairs),
        (columns, Pairs(*astuple(pairs)[:3], 0 * rows + 1)),
    ):
        write_predictions(path, changed, compared)
        seen.append(paired.fingerprint(folder))
    assert len(set(seen)) == 5


def test_rates_over_all_pairs_of_a_run_without_pairs_are_undefined(folder):
    over = Column("Ratio", "fmr", {"group": "a"}, at="FMR 1e-1 of all pairs", over_others=True)
    wanted = (over, Column("All", "gender_accuracy"))
    found = paired.resampled_values([folder], wanted, resamples=3)
    assert np.isnan(found["Ratio"]).all() and not np.isnan(found["All"]).any()


def test_resamples_are_the_same_for_every_run_on_the_same_people(folder, columns, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("other"))
    wrong = {**columns, "prob_gender": columns["prob_gender"][:, ::-1]}
    write_predictions(other / "predictions.npz", wrong, None)
    one, two = (
        paired.resampled_values([at], (Column("All", "gender_accuracy"),), resamples=6)["All"]
        for at in (folder, other)
    )
    np.testing.assert_allclose(one + two, 100.0)  # every face is right in one of them
    assert np.ptp(one) > 0


def test_folds_are_measured_together_however_unequal(folder, columns, tmp_path):
    parts, cut = [], 2 * 10
    for name, rows in (("one", slice(None, cut)), ("two", slice(cut, None))):
        part = tmp_path / name
        shutil.copytree(folder, part, ignore=shutil.ignore_patterns("one", "two"))
        kept = {key: column[rows] for key, column in columns.items()}
        if name == "two":
            kept["extra"] = np.zeros(len(kept["id"]))  # which the other fold lacks
        write_predictions(part / "predictions.npz", kept, None)
        parts.append(part)
    whole = paired.pooled_results([folder], resamples=20)
    pooled = paired.pooled_results(parts, resamples=20)
    assert pooled.measures == whole.measures
    assert paired.pooled_results([folder]).get("gender_accuracy").method.endswith("500 resamples")
    wanted = (Column("All", "gender_accuracy"),)
    np.testing.assert_array_equal(
        paired.resampled_values(parts, wanted, resamples=4)["All"],
        paired.resampled_values([folder], wanted, resamples=4)["All"],
    )

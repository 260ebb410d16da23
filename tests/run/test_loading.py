"""A run's folder is all that predicting needs."""

import json
import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from every_entry import GROUPS, PEOPLE, PIXELS, tiny_dataset, tiny_settings
from run_folder import write_run

from fairjax.config.errors import ConfigError
from fairjax.methods import METHODS
from fairjax.models.preprocess import hide_patches, normalise
from fairjax.run.loading import MODEL_FILE, describe_model, load_run, make_forward
from fairjax.run.workdir import WorkdirError


def pictures(n=3, seed=5):
    drawn = np.random.default_rng(seed).integers(0, 256, (n, PIXELS, PIXELS, 3), np.uint8)
    return jnp.asarray(drawn)


def test_the_description_holds_targets_and_input_and_names_no_training_person():
    settings, dataset = tiny_settings("classify", "resnet"), tiny_dataset()
    described = describe_model(settings, dataset)
    age = dataset.splits["train"].labels["age"]
    assert described["targets"]["age"]["mean"] == pytest.approx(age.mean())
    assert described["targets"]["age"]["std"] == pytest.approx(age.std())
    assert described["targets"]["age"]["unit"] == "years"
    assert tuple(described["targets"]["race"]["values"]) == GROUPS
    assert described["input"]["image_size"] == PIXELS
    assert described["input"]["std"] == [0.229, 0.224, 0.225]
    hidden = {**dataset.splits["test"].labels}
    hidden["identity"] = np.full_like(hidden["identity"], -1)
    test = {"test": replace(dataset.splits["test"], labels=hidden)}
    unknown = replace(dataset, splits={**dataset.splits, **test})
    identity = describe_model(settings, unknown)["targets"]["identity"]
    assert identity["values"] == [] and identity["classes"] == PEOPLE


def test_a_copied_run_predicts_what_the_method_predicts(tmp_path):
    method, variables = write_run(tmp_path / "run", "classify", "resnet")
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    run = load_run(tmp_path / "elsewhere")
    images = pictures()
    found = jax.jit(make_forward(run))(run.variables, images)
    expected = method.predict(variables, {"image": images, "mask": jnp.ones(3, bool)})
    assert {"embedding", "pred_age", "prob_gender"} <= set(found)
    np.testing.assert_allclose(found["pred_age"], expected["pred_age"], rtol=1e-4)
    np.testing.assert_allclose(found["prob_gender"], expected["prob_gender"], rtol=1e-4)
    assert found["embedding"].ndim == 2  # the features, although the config does not save them


def test_the_average_of_the_weights_is_read_where_there_is_one(tmp_path):
    method, variables = write_run(tmp_path / "run", "cosine_margin", "resnet", averaged=True)
    images = pictures()
    run = load_run(tmp_path / "run")
    expected = method.predict(variables, {"image": images, "mask": jnp.ones(3, bool)})
    found = jax.jit(make_forward(run))(run.variables, images)["embedding"]
    np.testing.assert_allclose(found, expected["embedding"], atol=1e-5)


@pytest.mark.parametrize(
    ("method", "backbone"),
    [
        ("debface", "resnet"),
        ("group_dro", "resnet"),
        ("masked_autoencoder", "vit"),
        ("simclr", "vit"),
        ("time_frequency", "tfc"),
    ],
)
def test_methods_of_every_kind_embed(method, backbone, tmp_path):
    write_run(tmp_path / "run", method, backbone)
    run = load_run(tmp_path / "run")
    found = jax.eval_shape(make_forward(run), run.variables, pictures())
    assert found["embedding"].shape[0] == 3 and found["embedding"].ndim == 2
    assert not [name for name in found if name.startswith("loss")]


def test_a_method_of_ones_own_is_asked_for_by_its_config_file(tmp_path, monkeypatch):
    write_run(tmp_path / "run", "classify", "resnet")
    monkeypatch.delitem(METHODS, "classify")
    with pytest.raises(ConfigError, match="'classify' is not known; .* name that file with --conf"):
        load_run(tmp_path / "run")


def test_a_model_that_needs_labels_to_predict_is_refused(tmp_path):
    write_run(tmp_path / "run", "gac", "gac")
    assert "needs the label 'group'" in refused(make_forward, load_run(tmp_path / "run"))


def test_flip_is_the_runs_own_unless_another_is_asked_for(tmp_path):
    write_run(tmp_path / "run", "cosine_margin", "resnet")
    images = pictures()

    def embedded(flip):
        run = load_run(tmp_path / "run", flip=flip)
        return np.asarray(jax.jit(make_forward(run))(run.variables, images)["embedding"])

    own, none, joined = embedded(""), embedded("none"), embedded("concat")
    mirrored = np.asarray(
        jax.jit(make_forward(run := load_run(tmp_path / "run", flip="none")))(
            run.variables, images[:, :, ::-1]
        )["embedding"]
    )
    dim = none.shape[1]
    assert joined.shape == (3, 2 * dim)
    # unnormalised embeddings are joined, so that the halves keep their directions
    for half, alone in ((joined[:, :dim], none), (joined[:, dim:], mirrored)):
        length = np.linalg.norm(half, axis=1, keepdims=True)
        np.testing.assert_allclose(half / length, alone, atol=1e-5)
    halves = joined[:, :dim] + joined[:, dim:]
    np.testing.assert_allclose(
        own, halves / np.linalg.norm(halves, axis=1, keepdims=True), atol=1e-5
    )


def test_flip_of_a_model_without_one_joins_both_features(tmp_path):
    write_run(tmp_path / "run", "classify", "resnet")
    images = pictures()
    plain, fused = (load_run(tmp_path / "run", flip=flip) for flip in ("none", "sum"))
    one, other = (
        np.asarray(make_forward(plain)(plain.variables, x)["embedding"])
        for x in (images, images[:, :, ::-1])
    )
    total = one + other
    found = np.asarray(make_forward(fused)(fused.variables, images)["embedding"])
    np.testing.assert_allclose(
        found, total / np.linalg.norm(total, axis=1, keepdims=True), atol=1e-5
    )


def test_hidden_patches_travel_with_the_run(tmp_path):
    write_run(tmp_path / "run", "classify", "resnet")
    path = tmp_path / "run" / MODEL_FILE
    described = json.loads(path.read_text())
    hidden = [True, False, False, True]
    described["input"]["hidden"] = hidden
    path.write_text(json.dumps(described))
    images = pictures()
    run = load_run(tmp_path / "run")
    covered = hide_patches(
        normalise(images, kind="imagenet"), np.array(hidden), kind="imagenet", value="mean"
    )
    variables = {
        name: tree["backbone"] for name, tree in run.variables.items() if "backbone" in tree
    }
    expected = run.settings.backbone.apply(variables, covered, train=False)
    found = make_forward(run)(run.variables, images)["embedding"]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def refused(function, *arguments, **context):
    with pytest.raises(WorkdirError) as caught:
        function(*arguments, **context)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_finished_run_is_refused_in_one_line(tmp_path):
    write_run(tmp_path / "run", "classify", "resnet", finished=False)
    assert "not finished" in refused(load_run, tmp_path / "run")
    assert "--step 7" in refused(load_run, tmp_path / "run")
    assert load_run(tmp_path / "run", step=7).step == 7
    assert "there are 7" in refused(load_run, tmp_path / "run", step=3)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    assert "no checkpoint" in refused(load_run, tmp_path / "run")
    write_run(tmp_path / "other", "classify", "resnet")
    (tmp_path / "other" / MODEL_FILE).write_text("{")
    assert "model.json" in refused(load_run, tmp_path / "other")
    (tmp_path / "study.json").write_text("{}")
    assert "study" in refused(load_run, tmp_path)

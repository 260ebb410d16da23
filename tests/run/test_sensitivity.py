"""Attention becomes a map: by hand, exactly over batches and devices, and by group."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.core.settings import SensitivitySettings
from fairjax.core.types import Target
from fairjax.data.dataset import Examples
from fairjax.methods import METHODS
from fairjax.models.masking import read_map
from fairjax.models.preprocess import normalise
from fairjax.models.vit import ViT
from fairjax.run import sharding
from fairjax.run.sensitivity import attention_of, collect, patch_weights, save, symmetrised

SIZE, ROWS = 16, 22  # 2 x 2 patches of 8 pixels; not a multiple of the batch


def preprocess(images):
    return normalise(images, kind="half")


@pytest.fixture(scope="module")
def scene():
    backbone = ViT(dim=8, depth=3, heads=2, patch=8)
    task = dict(kind="classes", attribute="race", weight=1.0)
    method = METHODS["classify"](
        backbone=backbone,
        targets={"race": Target(("A", "B", "C"), 0.0, 1.0)},
        preprocess=preprocess,
        tasks={"race": task},
        label_smoothing=0.0,
        dropout=0.0,
        hidden=0,
        mixup=0.0,
        save_features=False,
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (ROWS, SIZE, SIZE, 3), dtype=np.uint8)
    race = rng.integers(0, 2, ROWS).astype(np.int32)  # nobody is C
    examples = Examples(
        ids=np.arange(ROWS).astype(str),
        labels={"race": race},
        cluster=np.arange(ROWS),
        read=lambda rows: images[rows],
    )
    batch = {"image": jnp.asarray(images), "race": jnp.asarray(race), "mask": jnp.ones(ROWS, bool)}
    params, _ = method.init(jax.random.key(3), batch)
    return backbone, method, {"params": params}, examples, batch


def gathered(scene, mesh=None, **changes):
    backbone, method, variables, examples, _ = scene
    return collect(
        backbone=backbone,
        method=method,
        variables=variables,
        preprocess=preprocess,
        examples=examples,
        values=3,
        mesh=mesh or sharding.make_mesh(),
        batch_size=8,
        image_size=SIZE,
        cache_mb=16,
        settings=SensitivitySettings(attribute="race", **changes),
    )


def by_hand(scene):
    """[images, layers, heads, tokens, tokens], all images at once."""
    backbone, _, variables, _, batch = scene
    images, params = preprocess(batch["image"]), variables["params"]["backbone"]
    attention = jax.jit(attention_of, static_argnums=0)(backbone.clone(maps=True), params, images)
    return np.moveaxis(np.asarray(attention, np.float64), 1, 0)


def test_the_map_is_the_mean_over_layers_heads_and_images_of_the_class_tokens_row(scene):
    found, attention = gathered(scene), by_hand(scene)
    assert found.overall.dtype == np.float64
    expected = attention[:, :, :, 0, 1:].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(found.overall, expected / expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(found.by_layer.sum(axis=1), 1.0)
    first = attention[:, 0, :, 0, 1:].mean(axis=(0, 1))
    np.testing.assert_allclose(found.by_layer[0], first / first.sum(), rtol=1e-5)


def test_maps_by_value_use_that_values_images_and_nobody_has_none(scene):
    found, attention = gathered(scene), by_hand(scene)
    race = scene[3].labels["race"]
    np.testing.assert_array_equal(found.n, np.bincount(race, minlength=3))
    expected = attention[race == 1][:, :, :, 0, 1:].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(found.by_value[1], expected / expected.sum(), rtol=1e-5)
    assert np.isnan(found.by_value[2]).all()


@pytest.mark.parametrize("changes", [{}, {"layers": "last"}, {"symmetrise": True}])
def test_the_noise_is_how_much_each_image_moves_a_values_difference_from_everyone(scene, changes):
    found, attention = gathered(scene, **changes), by_hand(scene)
    race = scene[3].labels["race"]
    weights = attention[:, :, :, 0, 1:].mean(axis=2)  # [images, layers, patches]
    weights = weights[:, -1] if "layers" in changes else weights.sum(axis=1)
    weights = symmetrised(weights) if "symmetrise" in changes else weights
    size = weights.sum(axis=1, keepdims=True)
    everyone = (weights - found.overall * size) / size.sum()
    for value in (0, 1):
        own = (race == value)[:, None]
        moved = own * (weights - found.by_value[value] * size) / (size * own).sum() - everyone
        expected = np.sqrt((moved**2).sum(axis=0))
        np.testing.assert_allclose(found.noise[value], expected, rtol=2e-2)
    assert np.isnan(found.noise[2]).all()


def test_only_images_that_are_classified_rightly_count_when_asked(scene):
    found = gathered(scene, images="correct")
    _, method, variables, examples, batch = scene
    decided = np.asarray(method.predict(variables, batch)["prob_race"].argmax(axis=1))
    right = decided == examples.labels["race"]
    assert 0 < right.sum() < ROWS
    assert found.n.sum() == right.sum()


def test_one_device_gives_what_four_give(scene):
    one = jax.make_mesh(
        (1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:1]
    )
    np.testing.assert_allclose(gathered(scene, one).overall, gathered(scene).overall, rtol=1e-6)


def test_rollout_multiplies_layers_from_the_first_to_the_last(scene):
    attention = by_hand(scene).mean(axis=2)
    flow = np.eye(5)
    for layer in range(3):
        flow = (attention[:, layer] + np.eye(5)) / 2 @ flow
    expected = flow[:, 0, 1:].mean(axis=0)
    found = gathered(scene, source="rollout")
    np.testing.assert_allclose(found.overall, expected / expected.sum(), rtol=1e-5)
    assert found.by_layer.shape == (1, 4)


def test_patches_can_be_asked_instead_of_the_class_token():
    attention = jnp.arange(1.0, 10.0).reshape(1, 1, 1, 3, 3)  # class token and two patches
    np.testing.assert_allclose(patch_weights(attention, "cls")[0, 0], [2.0, 3.0])
    np.testing.assert_allclose(patch_weights(attention, "mean_query")[0, 0], [6.5, 7.5])


def test_the_last_layer_alone(scene):
    found = gathered(scene, layers="last")
    np.testing.assert_allclose(found.overall, gathered(scene).by_layer[-1], rtol=1e-6)


def test_a_saved_map_is_what_a_masked_autoencoder_reads(scene, tmp_path):
    found = gathered(scene, symmetrise=True)
    np.testing.assert_allclose(found.overall[0::2], found.overall[1::2])  # 2 x 2 patches
    save(tmp_path / "map.npz", found, values=("A", "B", "C"), provenance={"source": "cls"})
    np.testing.assert_array_equal(read_map(str(tmp_path / "map.npz")), found.overall)
    with np.load(tmp_path / "map.npz") as stored:
        assert json.loads(str(stored["made"])) == {"source": "cls"}
        assert stored["values"].tolist() == ["A", "B", "C"]
        assert sorted(stored["rank"]) == [0, 1, 2, 3]


def test_a_symmetric_map_is_the_mean_with_its_mirror_image():
    np.testing.assert_allclose(symmetrised(np.array([1.0, 3.0, 0.0, 4.0])), [2.0, 2.0, 2.0, 2.0])

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import (
    TARGETS,
    Stage,
    is_finite,
    losses_without_rows,
    make_batch,
    preprocess,
    train,
    value_and_gradient,
)

from fairjax.losses import CosFace
from fairjax.methods import METHODS
from fairjax.models.attention_map import attention_map
from fairjax.models.vit import ViT


def build(targets=TARGETS, **settings):
    defaults = {"margin": CosFace(scale=16.0, margin=0.1), "erase_regions": 2}
    return METHODS["gabn"](
        backbone=Stage(), targets=targets, preprocess=preprocess, **{**defaults, **settings}
    )


def mean(aux, name):
    total, count = aux.scalars[name]
    return float(total) / float(count)


@pytest.mark.parametrize("adversary", ["reversal", "uniform", "to_reference"])
def test_loss_and_gradients_are_finite_and_reach_every_part(key, adversary):
    method = build(adversary=adversary, adversary_ramp_epochs=0.0, erase_after_epochs=0.0)
    loss, aux, gradient, _ = value_and_gradient(method, make_batch(), key)
    assert is_finite((loss, aux, gradient))
    for part in ("backbone", "discriminator", "head"):
        assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient[part])) > 0


def test_the_map_is_grad_cam_of_the_target_cosine_by_hand(key):
    method, batch = build(erase_regions=0), make_batch()
    _, aux, _, params = value_and_gradient(method, batch, key)
    kernel = np.asarray(params["head"]["kernel"], np.float64)
    kernel /= np.linalg.norm(kernel, axis=1, keepdims=True)
    conv, dense = params["backbone"]["Conv_0"], params["backbone"]["Dense_0"]
    maps = jax.lax.conv_general_dilated(
        preprocess(batch["image"]),
        conv["kernel"],
        (2, 2),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    maps = np.maximum(np.asarray(maps, np.float64) + np.asarray(conv["bias"]), 0)
    weights = np.asarray(dense["kernel"], np.float64)
    x = maps.reshape(12, -1) @ weights + np.asarray(dense["bias"])
    length = np.linalg.norm(x, axis=1, keepdims=True)
    own = kernel[np.asarray(batch["identity"])]
    cosine = (x / length * own).sum(1, keepdims=True)
    gradient = ((own - cosine * x / length) / length) @ weights.T  # d cosine / d map
    gradient = gradient.reshape(maps.shape)
    cam = np.maximum((gradient.mean((1, 2), keepdims=True) * maps).sum(-1), 0)
    cam /= cam.sum((1, 2), keepdims=True) + 1e-6
    entropy = -(cam * np.log(np.where(cam > 0, cam, 1))).sum((1, 2))
    for number, group in enumerate("ABC"):
        rows = np.asarray(batch["group"]) == number
        np.testing.assert_allclose(
            mean(aux, f"map_entropy_{group}"), entropy[rows].mean(), rtol=2e-3
        )
    of_group = [cam[np.asarray(batch["group"]) == number].mean(0) for number in range(3)]
    np.testing.assert_allclose(
        mean(aux, "map_distance_B"), 0.5 * np.abs(of_group[1] - of_group[0]).sum(), rtol=2e-3
    )


def test_the_reversed_gradient_is_minus_strength_times_the_discriminators(key):
    batch = {**make_batch(), "epoch": jnp.float32(1)}

    def of_backbone(weight, ramp):
        method = build(adversary_weight=weight, adversary_ramp_epochs=ramp, erase_regions=0)
        gradient = value_and_gradient(method, batch, key)[2]
        return gradient["backbone"]["Conv_0"]["kernel"], gradient["discriminator"]

    none, of_discriminator = of_backbone(0.0, 0.0)
    one, same = of_backbone(1.0, 0.0)
    ramped, _ = of_backbone(1.0, 4.0)  # a quarter of the way
    assert float(jnp.abs(one - none).max()) > 1e-5
    np.testing.assert_allclose(ramped - none, (one - none) / 4, atol=1e-6)
    for a, b in zip(*map(jax.tree.leaves, (of_discriminator, same)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)  # the weight does not slow the discriminator


def test_first_order_treats_the_maps_gradient_as_constant(key):
    f, g = jax.random.normal(key, (2, 1, 3, 3, 2))

    def total(scale, second_order):
        maps = attention_map(f, g * scale, kind="grad_x_input", second_order=second_order)
        return (maps * jnp.arange(9.0).reshape(1, 3, 3)).sum()

    slope = jax.grad(lambda s: total(s * jnp.ones((1, 1, 1, 2)).at[..., 0].set(1), False))
    assert float(slope(1.0)) == 0
    tilted = jax.grad(lambda s: total(jnp.array([s, 1.0]).reshape(1, 1, 1, 2), True))
    assert abs(float(tilted(1.0))) > 1e-3


def test_second_order_changes_the_backbones_gradient(key):
    def of_backbone(second_order):
        method = build(
            adversary_weight=1.0,
            adversary_ramp_epochs=0.0,
            erase_regions=0,
            second_order=second_order,
        )
        loss, _, gradient, _ = value_and_gradient(method, make_batch(), key)
        return loss, gradient["backbone"]["Conv_0"]["kernel"]

    (first_loss, first), (second_loss, second) = of_backbone(False), of_backbone(True)
    np.testing.assert_allclose(first_loss, second_loss, rtol=1e-6)
    assert float(jnp.abs(first - second).max()) > 1e-5


@pytest.mark.parametrize("where", ["input", "map"])
def test_erasing_starts_after_its_epochs_and_takes_information(key, where):
    method = build(erase_where=where, erase_after_epochs=2.0, adversary_weight=0.0)
    before = value_and_gradient(method, {**make_batch(), "epoch": jnp.float32(1.9)}, key)
    after = value_and_gradient(method, {**make_batch(), "epoch": jnp.float32(2)}, key)
    assert before[1].scalars["loss_erased"][1] == 0
    erased = mean(after[1], "loss_erased")
    np.testing.assert_allclose(float(after[0]) - float(before[0]), erased, rtol=1e-5)
    assert erased != pytest.approx(mean(after[1], "loss_identity"), rel=1e-4)


def test_unknown_and_absent_groups_give_no_nan_and_are_left_out(key):
    batch = make_batch()
    batch["group"] = jnp.where(batch["group"] == 2, -1, batch["group"])  # C absent, a third unknown
    method = build(adversary_ramp_epochs=0.0, erase_after_epochs=0.0)
    loss, aux, gradient, _ = value_and_gradient(method, batch, key)
    assert is_finite((loss, gradient))
    assert float(aux.scalars["discriminator_accuracy"][1]) == 8
    assert float(aux.scalars["map_distance_C"][1]) == 0
    batch["group"] = jnp.full_like(batch["group"], -1)
    loss, aux, gradient, _ = value_and_gradient(method, batch, key)
    assert not losses_without_rows(aux)
    assert is_finite((loss, gradient))


def test_predictions_are_unit_embeddings(key):
    method, batch = build(), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    columns = jax.jit(method.predict)({"params": params, **model_state}, batch)
    assert columns["embedding"].shape == (12, 8)
    np.testing.assert_allclose(jnp.linalg.norm(columns["embedding"], axis=1), 1.0, rtol=1e-5)


def test_a_backbone_without_such_a_map_is_refused(key):
    with pytest.raises(ValueError, match="exposes no map 'stage_3'"):
        jax.jit(build(layer="stage_3").init)(key, make_batch())
    vit = ViT(dim=8, depth=1, heads=2, patch=4)  # of fused attention, whose maps are not exposed
    method = METHODS["gabn"](backbone=vit, targets=TARGETS, preprocess=preprocess)
    with pytest.raises(
        ValueError, match="to differentiate twice; gabn needs .*'iresnet', 'gac' or"
    ):
        jax.jit(method.init)(key, make_batch())


def test_erasing_the_whole_map_is_refused(key):
    with pytest.raises(ValueError, match="erase_regions=16 must be below the 16 positions of the"):
        jax.jit(build(erase_regions=16).init)(key, make_batch())


def one_sided_people():
    """People of group A differ in their left half alone, those of B in their right half."""
    rng = np.random.default_rng(0)
    people = np.arange(32) % 4
    images = np.full((32, 8, 8, 3), 128) + rng.integers(-10, 11, (32, 8, 8, 3))
    faces = rng.integers(0, 256, (4, 8, 4, 3))
    for row, who in enumerate(people):
        images[row, :, slice(0, 4) if who < 2 else slice(4, 8)] = faces[who]
    return make_batch(
        rows=32,
        image=images.clip(0, 255).astype(np.uint8),
        identity=people.astype(np.int32),
        group=(people // 2).astype(np.int32),
    )


def test_the_adversary_keeps_the_discriminator_from_telling_the_groups_apart():
    """What it is for, on three starts; the distance between mean maps doesn't fall here."""

    def accuracy(weight, seed):
        method = build(
            attention="abs_grad",  # whose maps always sum to 1
            adversary_weight=weight,
            adversary_ramp_epochs=1.0,
            discriminator_lr=3e-3,
            erase_regions=0,
        )
        _, logged = train(method, one_sided_people(), jax.random.key(seed), steps=80, lr=0.02)
        return np.mean([row["discriminator_accuracy"] for row in logged[-30:]])

    told, fooled = (np.mean([accuracy(w, seed) for seed in range(3)]) for w in (0.0, 3.0))
    assert told > 0.95
    assert fooled < 0.7


def test_pictures_show_faces_and_the_mean_map_of_each_group(key):
    # Maps of absolute gradients sum to 1; one of Grad-CAM may be empty.
    method, batch = build(attention="abs_grad"), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    _, aux = jax.jit(method.loss)(params, model_state, batch, key)
    seen = aux.model_state["maps"]["mean"]
    assert seen.shape == (3, 4, 4)
    # A hundredth of each group's mean map.
    np.testing.assert_allclose(seen.sum(axis=(1, 2)), 0.01, rtol=1e-3)
    faces = batch["image"][:2]
    shown = jax.jit(method.pictures)({"params": params, **aux.model_state}, faces)
    np.testing.assert_array_equal(shown["face"], faces)
    attention = shown["attention (abs_grad)"]
    assert attention.shape == faces.shape and (attention != faces).any()
    of_groups = shown["mean attention in training: A, B, C"]
    assert of_groups.shape == (3, 8, 8, 3) and of_groups.dtype == jnp.uint8

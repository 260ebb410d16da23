import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from grouped_example import TARGETS, is_finite, make_batch, preprocess

from fairjax.losses import ArcFace
from fairjax.losses.group_adaptive import mask_distance
from fairjax.methods import METHODS
from fairjax.models.gac import GacNet
from fairjax.models.iresnet import UNITS


def build(backbone=None, **settings):
    return METHODS["gac"](
        backbone=backbone or GacNet(depth=18, width=4, dim=8, dropout=0.0),
        targets=TARGETS,
        preprocess=preprocess,
        margin=ArcFace(scale=8.0, margin=0.1),
        **settings,
    )


@pytest.fixture(scope="module", autouse=True)
def two_units():
    """A network of two stages of one unit each, which compiles in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(UNITS, 18, (1, 1))
        yield


@pytest.fixture(scope="module")
def started():
    """Parameters and state of a fresh model, by the label."""
    key, batch = jax.random.key(0), make_batch(size=16)
    return jax.jit(build().init)(key, batch)


def masks_of(params):
    return {path: leaf for path, leaf in flatten_dict(params).items() if path[-1] == "masks"}


def parted(params, *, by):
    """Parameters whose groups' masks point in other directions, in the first layer alone."""
    flat = flatten_dict(params)
    first = min(masks_of(params))
    signs = jnp.where(jnp.arange(flat[first][0].size).reshape(flat[first][0].shape) % 2, 1.0, -1.0)
    flat[first] = jnp.stack([signs, by * signs, jnp.ones_like(signs)])
    return unflatten_dict(flat), first


def test_five_steps_part_the_masks_and_lower_the_loss(started, key):
    params, model_state = started
    batch = make_batch(size=16)
    batch["group"] = batch["group"].at[0].set(-1)  # goes with the first group
    method = build(spread_weight=0.01)
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    losses, scalars = [], {}
    for _ in range(5):
        (loss, aux), gradient = step(params, model_state, batch, key)
        assert is_finite((loss, aux.scalars, gradient))
        model_state = aux.model_state
        params = jax.tree.map(lambda p, g: p - 0.02 * g, params, gradient)
        scalars = {name: float(total / n) for name, (total, n) in aux.scalars.items()}
        losses.append(scalars["loss"])
    expected = (
        scalars["loss_identity"] + 0.5 * scalars["attention_loss"] + 0.01 * scalars["spread_gap"]
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    assert losses[-1] < losses[0]
    assert scalars["mask_cosine"] < 1 - 1e-6  # they were one
    assert scalars["fused_layers"] == 0


def test_masks_start_alike(started):
    for masks in masks_of(started[0]).values():
        np.testing.assert_allclose(mask_distance(masks), -1.0, rtol=1e-5)


def test_fusion_waits_for_its_epoch_and_spares_layers_that_have_parted(started):
    params, first = parted(started[0], by=-1.0)  # cosines -1, 0, 0: distance 1/3
    state = started[1]
    after_epoch = build(first_check=3, check_every=2, tau=-0.2).after_epoch
    for epoch, due in ((1, False), (2, False), (3, True), (4, False), (5, True)):
        moved, fused = after_epoch(params, state, jnp.int32(epoch))
        marks = flatten_dict(fused["fusion"])
        assert sum(map(int, marks.values())) == (len(marks) - 1 if due else 0)
        assert not marks[(*first[:-1], "shared")]
        np.testing.assert_array_equal(masks_of(moved)[first], masks_of(params)[first])


@pytest.mark.parametrize("fusion", ["resync", "permanent"])
def test_a_fused_layer_gets_the_mean_mask_and_permanent_ones_no_second_mean(started, fusion):
    params, first = parted(started[0], by=0.5)  # cosines 1, 0, 0: distance -1/3
    after_epoch = build(first_check=1, tau=-0.2, fusion=fusion).after_epoch
    moved, state = after_epoch(params, started[1], jnp.int32(1))
    before, after = masks_of(params)[first], masks_of(moved)[first]
    for mask in after:
        np.testing.assert_allclose(mask, before.mean(axis=0), rtol=1e-6)
    assert bool(flatten_dict(state["fusion"])[(*first[:-1], "shared")]) == (fusion == "permanent")
    flat = flatten_dict(moved)
    flat[first] = flat[first].at[0].mul(1.5)  # the one mask that is still trained
    again, _ = after_epoch(unflatten_dict(flat), state, jnp.int32(2))
    kept = 1.5 if fusion == "permanent" else (1.5 + 1 + 1) / 3
    np.testing.assert_allclose(masks_of(again)[first][0], kept * after[0], rtol=1e-5)


def test_without_fusion_nothing_happens_after_an_epoch():
    assert build(fusion="off").after_epoch is None


def test_a_classifier_tells_the_group_where_the_label_is_missing(key):
    batch = make_batch(size=16)
    by_label, by_image = build(), build(group_from="classifier")
    params, state = jax.eval_shape(by_image.init, key, batch)
    assert "classifier" in params
    columns = jax.eval_shape(
        by_image.predict, {"params": params, **state}, {"image": batch["image"]}
    )
    assert columns["embedding"].shape == (12, 8)
    _, aux = jax.eval_shape(by_image.loss, params, state, batch, key)
    assert {"loss_group", "group_accuracy"} <= aux.scalars.keys()
    params, state = jax.eval_shape(by_label.init, key, batch)
    with pytest.raises(KeyError, match="group"):
        jax.eval_shape(by_label.predict, {"params": params, **state}, {"image": batch["image"]})

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fairjax.losses import nt_xent
from fairjax.methods import METHODS
from fairjax.models.preprocess import normalise
from fairjax.models.resnet import ResNet
from fairjax.models.tfc import TFC

RECIPE = dict(
    objective="code",
    within=0.2,
    across=1.0,
    margin=1.0,
    temperature=0.2,
    poly=False,
    frequency_view="perturb",
    share=0.1,
    strength=0.1,
    joint_norm=False,
)
NETWORK = dict(
    width=4, stages=1, stem="imagenet", dim=8, layers=1, hidden=8, projection=4, dropout=0.0
)


def build(backbone=None, **changes):
    return METHODS["time_frequency"](
        backbone=backbone or TFC(**NETWORK),
        targets={},
        preprocess=lambda x: normalise(x, kind="half"),
        **{**RECIPE, **changes},
    )


def make_batch(rows=8):
    images = np.random.default_rng(0).integers(0, 256, (2, rows, 16, 16, 3))
    one, other = jnp.asarray(images, jnp.uint8)
    return {"image": one, "image_2": other, "mask": jnp.ones(rows, bool)}


@pytest.fixture(scope="module")
def scene():
    batch = make_batch()
    return batch, *jax.jit(build().init)(jax.random.key(0), batch)


def value(method, scene, key, **changes):
    batch, params, state = scene
    return jax.jit(method.loss)(params, state, {**batch, **changes}, key)


def test_the_code_objective_is_the_weighted_sum_of_its_parts(scene, key):
    loss, aux = value(build(), scene, key)
    mean = {name: float(total / n) for name, (total, n) in aux.scalars.items()}
    expected = 0.2 * (mean["time_loss"] + mean["frequency_loss"]) + mean["across_loss"]
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)
    assert {"time_feature_std", "frequency_uniformity", "across_alignment"} <= set(mean)


def test_the_paper_objective_weighs_the_hinges_instead(scene, key):
    loss, aux = value(build(objective="paper", within=0.5, across=0.5), scene, key)
    mean = {name: float(total / n) for name, (total, n) in aux.scalars.items()}
    parts = mean["time_loss"] + mean["frequency_loss"] + mean["margins_loss"]
    np.testing.assert_allclose(float(loss), 0.5 * parts, rtol=1e-5)


def test_predictions_are_the_losses_of_the_networks_own_views(scene):
    """With nothing to perturb, by going through the backbone by hand."""
    batch, params, state = scene
    columns = jax.jit(build(share=0.0).predict)({"params": params, **state}, batch)
    backbone = TFC(**NETWORK)
    variables = {"params": params["backbone"], "batch_stats": state["batch_stats"]["backbone"]}

    def views(images):
        cells = backbone.apply(variables, images, train=False, method="cells")
        spectrum = backbone.apply(variables, cells, method="spectrum")
        time = backbone.apply(variables, cells, train=False, method="in_time")
        return time, backbone.apply(variables, spectrum, train=False, method="in_frequency")

    (t, f), (t2, _) = (views(normalise(batch[k], kind="half")) for k in ("image", "image_2"))
    loss = partial(nt_xent, mask=batch["mask"], temperature=0.2)
    np.testing.assert_allclose(columns["loss_time"], loss(t.high, t2.high), rtol=1e-4)
    np.testing.assert_allclose(columns["loss_across"], loss(t.low, f.low), rtol=1e-4)
    np.testing.assert_allclose(columns["alignment_frequency"], 0.0, atol=1e-5)
    features = backbone.apply(variables, normalise(batch["image"], kind="half"), train=False)
    np.testing.assert_allclose(features, jnp.concatenate([t.low, f.low], axis=1), rtol=1e-4)


def test_the_second_view_may_give_the_other_spectrum(scene, key):
    _, perturbed = value(build(), scene, key)
    _, second = value(build(frequency_view="second"), scene, key)
    same = [float(a.scalars["time_loss"][0]) for a in (perturbed, second)]
    other = [float(a.scalars["frequency_loss"][0]) for a in (perturbed, second)]
    np.testing.assert_allclose(*same, rtol=1e-5)
    assert abs(other[0] - other[1]) > 1e-3


def test_joint_statistics_are_moved_once_and_apart_ones_twice(scene, key):
    moved = [
        value(build(joint_norm=joint), scene, key)[1].model_state["batch_stats"]["backbone"]
        for joint in (True, False)
    ]
    means = [
        stats["time_projector"]["norm"]["var"] for stats in moved
    ]  # from 1 towards the batch's
    assert (means[1] < means[0]).all()


def test_a_padded_image_is_nobodys_negative_at_evaluation(scene):
    batch, params, state = scene
    predict = jax.jit(build(share=0.0).predict)
    mask = jnp.arange(8) < 6
    spoilt = {k: batch[k].at[6:].set(0) for k in ("image", "image_2")}
    variables = {"params": params, **state}
    one = predict(variables, {**batch, "mask": mask})
    other = predict(variables, {**batch, **spoilt, "mask": mask})
    np.testing.assert_allclose(one["loss"][:6], other["loss"][:6], rtol=1e-4)
    assert not np.allclose(one["loss"][:6], predict(variables, batch)["loss"][:6], rtol=1e-3)


def test_four_devices_give_the_loss_of_one(scene, key):
    batch, params, state = scene
    loss = jax.jit(build().loss)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    one, aux = loss(params, state, batch, key)
    four, spread_aux = loss(
        *jax.device_put((params, state), whole), jax.device_put(batch, spread), key
    )
    np.testing.assert_allclose(one, four, rtol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        aux.model_state,
        spread_aux.model_state,
    )


def test_one_view_another_backbone_and_unknown_words_are_refused(scene, key):
    batch, params, state = scene
    one_view = {name: batch[name] for name in ("image", "mask")}
    with pytest.raises(ValueError, match="set config.input.views=2"):
        jax.jit(build().loss)(params, state, one_view, key)
    with pytest.raises(ValueError, match="name='tfc'"):
        build(backbone=ResNet(18))
    with pytest.raises(ValueError, match="objective='best' is not known; known: code, paper"):
        build(objective="best")

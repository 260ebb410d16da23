import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fairjax.core.types import Target
from fairjax.heads import Head
from fairjax.losses import MARGINS
from fairjax.methods import METHODS
from fairjax.models.preprocess import normalise
from fairjax.optim import decay_mask
from fairjax.run.state import init_state
from fairjax.run.steps import make_train_step

PEOPLE = Target(tuple("abcde"), mean=0.0, std=1.0)
AGE = Target((), mean=30.0, std=10.0)
COSFACE = MARGINS["cosface"](scale=16.0, margin=0.2)
HEAD = Head(name="dense", chunk=8, rate=0.5)
STATEFUL = {
    "curricularface": MARGINS["curricularface"](scale=16.0, margin=0.3, momentum=0.5),
    "adaface": MARGINS["adaface"](scale=16.0, margin=0.3, concentration=0.333, momentum=0.5),
}


class Corner(nn.Module):
    """A linear layer on the pixels: the smallest backbone that tells left from right."""

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.Dense(4)(x.reshape(len(x), -1))
        return nn.BatchNorm(use_running_average=not train)(x)


def build(margin=COSFACE, tta="sum", targets=None, label="identity", margin_ramp_epochs=0.0):
    return METHODS["cosine_margin"](
        backbone=Corner(),
        targets=targets or {"identity": PEOPLE, "age": AGE},
        preprocess=lambda x: normalise(x, kind="half"),
        label=label,
        margin=margin,
        head=HEAD,
        tta=tta,
        margin_ramp_epochs=margin_ramp_epochs,
    )


def make_batch(rows=8):
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.integers(0, 256, (rows, 6, 6, 3)), jnp.uint8),
        "identity": jnp.asarray(rng.integers(0, 5, rows), jnp.int32),
        "mask": jnp.ones(rows, bool),
    }


def test_the_loss_is_the_cross_entropy_of_margined_cosines(key):
    method, batch = build(), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    loss, aux = jax.jit(method.loss)(params, model_state, batch, key)

    kernel = np.asarray(params["backbone"]["Dense_0"]["kernel"], np.float64)
    pixels = np.asarray(batch["image"], np.float64).reshape(8, -1) / 127.5 - 1
    x = pixels @ kernel
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    weights = np.asarray(params["head"]["kernel"], np.float64)
    cosines = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (
        weights / np.linalg.norm(weights, axis=1, keepdims=True)
    ).T
    logits, own = 16 * cosines, (np.arange(8), np.asarray(batch["identity"]))
    logits[own] -= 16 * 0.2
    expected = np.log(np.exp(logits).sum(1)) - logits[own]
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-4)
    total, count = aux.scalars["target_cosine"]
    np.testing.assert_allclose(total / count, cosines[own].mean(), atol=1e-4)
    total, count = aux.scalars["margined_cosine"]
    np.testing.assert_allclose(total / count, cosines[own].mean() - 0.2, atol=1e-4)
    others = np.exp(16 * cosines).sum(1) - np.exp(16 * cosines[own])
    total, count = aux.scalars["impostor_cosine"]
    np.testing.assert_allclose(total / count, (np.log(others) / 16).mean(), atol=1e-4)


def test_chance_is_the_loss_of_right_angles(key):
    # Of 5 people: the other four's logits are 0, the own one's -16 x 0.2, or -16 sin(0.3).
    by_cosface = np.log(4 + np.exp(-3.2)) + 3.2
    assert build().chance == {"loss": pytest.approx(by_cosface)}
    arcface = build(MARGINS["arcface"](scale=16.0, margin=0.3))
    angle = -16 * np.sin(0.3)
    assert arcface.chance == {"loss": pytest.approx(np.log(4 + np.exp(angle)) - angle)}
    assert build(STATEFUL["adaface"]).chance == {}


def test_twenty_steps_lower_the_loss(key):
    method, batch, tx = build(), make_batch(), optax.sgd(0.05, momentum=0.9)
    state = init_state(method, tx, key, batch, averaged=False)
    step = jax.jit(make_train_step(method, tx, accumulate=1, ema_decay=0.0, steps_per_epoch=4.0))
    losses = []
    for _ in range(20):
        state, scalars = step(state, batch, key)
        losses.append(float(scalars["loss"]))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", STATEFUL)
def test_a_margins_numbers_live_in_the_models_state_and_move(key, name):
    method, batch = build(STATEFUL[name]), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    _, aux = jax.jit(method.loss)(params, model_state, batch, key)
    assert jax.tree.structure(aux.model_state) == jax.tree.structure(dict(model_state))
    before, after = model_state["margin"], aux.model_state["margin"]
    assert all(float(before[name]) != float(after[name]) for name in before)
    columns = jax.jit(method.predict)({"params": params, **aux.model_state}, batch)
    assert np.isfinite(columns["embedding"]).all()


def test_a_margin_without_numbers_adds_nothing_to_the_state(key):
    _, model_state = jax.jit(build().init)(key, make_batch())
    assert model_state.keys() == {"batch_stats"}


def test_padded_rows_change_neither_loss_nor_gradient(key):
    method, batch = build(), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    mask = jnp.arange(8) < 6
    poisoned = {**batch, "identity": batch["identity"].at[6:].set(-1), "mask": mask}
    relabelled = {**batch, "identity": batch["identity"].at[6:].set(3), "mask": mask}
    grad = jax.jit(jax.value_and_grad(lambda p, b: method.loss(p, model_state, b, key)[0]))
    first, second = grad(params, poisoned), grad(params, relabelled)
    np.testing.assert_allclose(first[0], second[0], rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), first[1], second[1])


def test_a_label_outside_the_head_gives_nan_not_a_wrong_loss(key):
    method, batch = build(), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    for wrong in (5, -1):
        batch["identity"] = batch["identity"].at[0].set(wrong)
        assert np.isnan(jax.jit(method.loss)(params, model_state, batch, key)[0])


def test_the_embedding_of_a_face_is_that_of_its_mirror_image_unless_it_is_seen_once(key):
    batch = make_batch()
    mirrored = {**batch, "image": batch["image"][:, :, ::-1]}
    for tta, dim, same in (("sum", 4, True), ("concat", 8, False), ("none", 4, False)):
        method = build(tta=tta)
        params, model_state = jax.jit(method.init)(key, batch)
        predict = jax.jit(method.predict)
        embedding = predict({"params": params, **model_state}, batch)["embedding"]
        reflected = predict({"params": params, **model_state}, mirrored)["embedding"]
        assert embedding.shape == (8, dim)
        np.testing.assert_allclose(jnp.linalg.norm(embedding, axis=1), np.ones(8), rtol=1e-5)
        assert np.allclose(embedding, reflected, atol=1e-5) == same
        if tta == "concat":
            swapped = jnp.concatenate([reflected[:, 4:], reflected[:, :4]], axis=1)
            np.testing.assert_allclose(embedding, swapped, atol=1e-5)


def test_predict_needs_no_labels(key):
    method, batch = build(), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    unlabelled = {"image": batch["image"], "mask": batch["mask"]}
    columns = jax.jit(method.predict)({"params": params, **model_state}, unlabelled)
    assert columns.keys() == {"embedding"}


def test_class_weights_decay_and_the_margins_numbers_are_no_parameters(key):
    params, _ = jax.jit(build(STATEFUL["adaface"]).init)(key, make_batch())
    assert params["head"]["kernel"].shape == (5, 4)
    assert decay_mask(params, norms=False)["head"]["kernel"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label": "person"}, "label='person' is not in this dataset; it has: identity, age"),
        ({"label": "age"}, "label='age' names 0 classes"),
        ({"tta": "flip"}, "tta='flip' is not known; known: sum, concat, none"),
    ],
)
def test_what_does_not_fit_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        build(**settings)


def loss_and_gradient(method, batch, key):
    params, model_state = jax.jit(method.init)(key, batch)
    step = jax.jit(jax.value_and_grad(lambda p: method.loss(p, model_state, batch, key)[0]))
    return step(params)


@pytest.mark.parametrize(
    ("name", "epoch", "margin"),
    [
        ("cosface", 0.0, 0.0),
        ("cosface", 1.0, 0.05),
        ("cosface", 4.0, 0.2),
        ("arcface", 0.0, 0.0),
        ("arcface", 9.0, 0.2),
    ],
)
def test_a_growing_margin_is_that_of_its_epoch(key, name, epoch, margin):
    whole = build(margin=MARGINS[name](scale=16.0, margin=0.2), margin_ramp_epochs=4.0)
    then = build(margin=MARGINS[name](scale=16.0, margin=margin))
    batch = {**make_batch(), "epoch": jnp.float32(epoch)}
    found, expected = (loss_and_gradient(method, batch, key) for method in (whole, then))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), *(found, expected)
    )


def test_a_growing_margin_says_how_far_it_is(key):
    method = build(margin_ramp_epochs=4.0)
    batch = {**make_batch(), "epoch": jnp.float32(1.0)}
    params, model_state = jax.jit(method.init)(key, batch)
    scalars = jax.jit(method.loss)(params, model_state, batch, key)[1].scalars
    total, count = scalars["margin_strength"]
    assert total / count == 0.25
    assert "penalty_strength" not in scalars


@pytest.mark.parametrize("epochs", [-1.0, float("inf"), float("nan")])
def test_a_ramp_of_no_length_is_refused(epochs):
    with pytest.raises(ValueError, match="margin_ramp_epochs=.* must be 0 or more"):
        build(margin_ramp_epochs=epochs)

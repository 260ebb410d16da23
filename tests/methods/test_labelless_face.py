import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import TARGETS, Stage, is_finite, planted_people, preprocess, train

from fairjax.losses import ArcFace, CosFace
from fairjax.methods import METHODS
from fairjax.methods.labelless_face import coefficients

MARGINS = {
    "cosface": CosFace(scale=16.0, margin=0.2),
    "arcface": ArcFace(scale=16.0, margin=0.3),
}


def build(name="labelless_face", margin="arcface", **settings):
    return METHODS[name](
        backbone=Stage(),
        targets=TARGETS,
        preprocess=preprocess,
        margin=MARGINS.get(margin, margin),
        tta="none",
        **settings,
    )


def test_coefficients_by_hand():
    recognised, images = jnp.array([4.0, 1.0, 0.0, 0.0]), jnp.array([4.0, 2.0, 4.0, 0.0])
    got = coefficients(recognised, images, jnp.array([1.0, 1.0, 1.0, 1.3]), 2.0, 0.5)
    # Shares 1, 0.5, 0, and a person without an image; the mean over three people is 0.5.
    expected = [2 / (1 + np.exp(2 * 0.5 * 0.5)), 1.0, 2 / (1 + np.exp(2 * -0.5)), 1.3]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("margin", MARGINS)
def test_each_persons_margin_is_the_margin_times_the_coefficient(key, margin):
    batch, method = planted_people(), build(margin=margin)
    params, model_state = jax.jit(method.init)(key, batch)
    plain = build("cosine_margin", margin=margin)
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    (loss, aux), gradient = step(params, model_state, batch, key)
    plain_state = {k: v for k, v in model_state.items() if k != "extension"}
    expected, _ = jax.jit(plain.loss)(params, plain_state, batch, key)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)  # all coefficients are 1
    assert is_finite(gradient)
    factors = jnp.array([0.5, 1.0, 1.5, 1.0, 1.0, 2.0])
    state = {**model_state, "extension": {**model_state["extension"], "coefficient": factors}}
    (loss, _), gradient = step(params, state, batch, key)
    x = Stage().apply({"params": params["backbone"]}, preprocess(batch["image"]), train=True)
    x, w = np.asarray(x, np.float64), np.asarray(params["head"]["kernel"], np.float64)
    x, w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, w))
    c, own = x @ w.T, np.eye(6, dtype=bool)[np.asarray(batch["identity"])]
    m = MARGINS[margin].margin * np.asarray(factors)[np.asarray(batch["identity"])]
    u = c[own] - m if margin == "cosface" else np.cos(np.arccos(c[own]) + m)
    logits = 16 * np.where(own, u[:, None], c)
    rows = np.log(np.exp(logits).sum(1)) - 16 * u
    np.testing.assert_allclose(loss, rows.mean(), rtol=1e-4)
    assert is_finite(gradient)


def test_an_epoch_is_counted_and_then_moves_the_margins(key):
    batch, method = planted_people(images=2), build()
    batch["mask"] = batch["mask"].at[-1].set(False)
    params, model_state = jax.jit(method.init)(key, batch)
    _, aux = jax.jit(method.loss)(params, model_state, batch, key)
    counted = aux.model_state["extension"]
    assert counted["images"].tolist() == [2, 2, 2, 2, 2, 1]
    assert counted["recognised"].sum() == aux.scalars["recognised"][0]
    assert counted["coefficient"].tolist() == [1.0] * 6
    _, moved = method.after_epoch(params, aux.model_state, jnp.int32(1))
    moved = moved["extension"]
    assert not moved["images"].any() and not moved["recognised"].any()
    expected = coefficients(
        counted["recognised"], counted["images"], counted["coefficient"], 2.0, 0.5
    )
    np.testing.assert_allclose(moved["coefficient"], expected)


def test_people_who_are_hard_to_tell_get_the_larger_margins(key):
    batch = planted_people(alike=0.97, noise=60.0)
    state, _ = train(build(), batch, key, steps=8, lr=0.02, steps_per_epoch=8.0)
    coefficient = np.asarray(state.model_state["extension"]["coefficient"])
    assert coefficient[4:].mean() > coefficient[:4].mean()
    assert coefficient.min() > 0 and coefficient.max() < 2

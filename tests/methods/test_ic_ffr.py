import jax
import jax.numpy as jnp
import numpy as np
from grouped_example import (
    TARGETS,
    Stage,
    is_finite,
    pair_cosines,
    planted_people,
    preprocess,
    train,
)

from fairjax.losses import CosFace
from fairjax.methods import METHODS

MARGIN = CosFace(scale=16.0, margin=0.1)
SETTINGS = {"gamma_u": 0.2, "tpr_at_fpr": 0.1}


def build(name="ic_ffr", **settings):
    own = SETTINGS if name == "ic_ffr" else {}
    return METHODS[name](
        backbone=Stage(),
        targets=TARGETS,
        preprocess=preprocess,
        margin=MARGIN,
        tta="none",
        **{**own, **settings},
    )


def arrays(method, batch, key):
    """Parameters, state, unit embeddings and cosines with class weights, in float64."""
    params, model_state = jax.jit(method.init)(key, batch)
    x = Stage().apply({"params": params["backbone"]}, preprocess(batch["image"]), train=True)
    x, w = np.asarray(x, np.float64), np.asarray(params["head"]["kernel"], np.float64)
    x, w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, w))
    return params, model_state, x, x @ w.T


def test_the_loss_is_that_of_the_equations_by_numpy(key):
    batch, method = planted_people(noise=80.0), build()
    params, model_state, x, c = arrays(method, batch, key)
    (loss, aux), gradient = jax.jit(jax.value_and_grad(method.loss, has_aux=True))(
        params, model_state, batch, key
    )
    people = np.asarray(batch["identity"])
    n, classes = c.shape
    own = np.eye(classes, dtype=bool)[people]
    t = c[own]
    # The FPR penalty's released form: k of the cosines that do not exceed the row's target.
    usable = ~own & (c <= t[:, None])
    k = int(np.ceil(0.2 * usable.sum() - 1e-9))
    threshold = np.sort(c[usable])[-k]
    chosen = usable & (c > threshold)
    q = (1 + t) * np.where(chosen, c**2, 0).sum(1) / np.maximum(chosen.sum(1), 1)
    assert q.any(), "the FPR penalty selects nothing"
    # The TPR penalty: pairs below the threshold of all non-target cosines.
    k = int(np.ceil(0.1 * n * (classes - 1) - 1e-9))
    threshold = np.sort(c[~own])[-k]
    p, same = x @ x.T, people[:, None] == people[None]
    mu = p[same & (p >= threshold)].mean()
    missed = same & (p < threshold)
    assert missed.any(), "no pair is missed"
    pen = (1 + t) * np.where(missed, (mu - p) ** 2, 0).sum(1) / same.sum(1)
    logits = np.where(own, (t - 0.1 - 0.5 * q - 0.5 * pen)[:, None], c) * 16
    expected = np.log(np.exp(logits).sum(1)) - logits[own]
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-4)
    np.testing.assert_allclose(aux.scalars["tpr_threshold"][0], threshold, rtol=1e-4)
    np.testing.assert_allclose(
        aux.scalars["tpr_mean"][0] / n,
        ((same & (p >= threshold)).sum(1) / same.sum(1)).mean(),
        rtol=1e-5,
    )
    assert is_finite(gradient)


def test_without_the_penalties_weights_it_is_cosface(key):
    batch = planted_people(noise=80.0)
    method, plain = build(fpr_weight=0.0, tpr_weight=0.0), build("cosine_margin")
    params, model_state = jax.jit(method.init)(key, batch)
    loss, _ = jax.jit(method.loss)(params, model_state, batch, key)
    expected, _ = jax.jit(plain.loss)(params, model_state, batch, key)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_without_a_row_nothing_is_learned(key):
    batch = planted_people()
    batch["mask"] = jnp.zeros_like(batch["mask"])
    method = build()
    params, model_state = jax.jit(method.init)(key, batch)
    (loss, _), gradient = jax.jit(jax.value_and_grad(method.loss, has_aux=True))(
        params, model_state, batch, key
    )
    assert loss == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))


def test_people_differ_less_in_how_alike_their_images_are_than_with_the_fpr_penalty_alone(key):
    batch = planted_people(images=4, noise=60.0)
    people = np.asarray(batch["identity"])
    same = (people[:, None] == people[None]) & ~np.eye(len(people), dtype=bool)
    spread, least = {}, {}
    for weight in (0.0, 1.0):
        method = build(tpr_weight=weight, tpr_at_fpr=0.02)
        state, _ = train(method, batch, key, steps=8, lr=0.02)
        cosines = pair_cosines(method, state, batch)
        means = [cosines[same & (people == k)[:, None]].mean() for k in range(6)]
        spread[weight], least[weight] = np.std(means), min(means)
    assert spread[1.0] < 0.8 * spread[0.0], spread
    assert least[1.0] > least[0.0], least

import jax
import jax.numpy as jnp
import numpy as np
from grouped_example import (
    TARGETS,
    Stage,
    is_finite,
    make_batch,
    pair_cosines,
    planted_people,
    preprocess,
    train,
)

from fairjax.losses import CosFace
from fairjax.methods import METHODS

MARGIN = CosFace(scale=16.0, margin=0.1)


def build(name="uss", **settings):
    return METHODS[name](
        backbone=Stage(norm=True),
        targets=TARGETS,
        preprocess=preprocess,
        margin=MARGIN,
        tta="none",
        **({"pair_scale": 16.0} if name == "uss" else {}),
        **settings,
    )


def step_of(method, batch, key):
    params, model_state = jax.jit(method.init)(key, batch)
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    return params, model_state, lambda state: step(params, state, batch, key)


def directions(method, params, model_state, batch):
    """Unit embeddings as the training step sees them, which has batch statistics."""
    x, _ = Stage(norm=True).apply(
        {"params": params["backbone"], "batch_stats": model_state["batch_stats"]["backbone"]},
        preprocess(batch["image"]),
        train=True,
        mutable=["batch_stats"],
    )
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_the_pairs_loss_is_that_of_the_equation_and_starts_at_the_impostors_threshold(key):
    batch, method = planted_people(images=2), build()
    params, model_state, step = step_of(method, batch, key)
    (loss, aux), gradient = step(model_state)
    x = directions(method, params, model_state, batch)
    cosines = x[::2] @ x[1::2].T  # six people, two images each
    others = ~np.eye(6, dtype=bool)
    start = np.mean([np.log(np.exp(16 * c[o]).sum()) for c, o in zip(cosines, others, strict=True)])
    genuine = np.log1p(np.exp(start - 16 * (np.diag(cosines) - 0.1)))
    impostor = np.where(others, np.log1p(np.exp(16 * cosines - start)), 0).sum(1)
    total, count = aux.scalars["loss_pairs"]
    assert count == 6
    np.testing.assert_allclose(total / count, (genuine + impostor).mean(), rtol=1e-4)
    margin_total, rows = aux.scalars["loss_identity"]
    np.testing.assert_allclose(loss, margin_total / rows + total / count, rtol=1e-5)
    np.testing.assert_allclose(aux.scalars["loss"][0] / aux.scalars["loss"][1], loss, rtol=1e-6)
    np.testing.assert_allclose(aux.scalars["pair_threshold"][0], start / 16, rtol=1e-4)
    assert is_finite(gradient) and gradient["extension"]["threshold"] != 0
    (_, again), _ = step(aux.model_state)
    np.testing.assert_allclose(
        again.model_state["extension"]["start"], aux.model_state["extension"]["start"]
    )


def test_people_with_one_image_and_padding_have_no_pair(key):
    batch = make_batch(rows=6)  # six people, one image each
    method = build()
    _, model_state, step = step_of(method, batch, key)
    (loss, aux), gradient = step(model_state)
    assert aux.scalars["loss_pairs"] == (0, 0)
    assert not aux.model_state["extension"]["started"]
    assert gradient["extension"]["threshold"] == 0 and is_finite(gradient)
    np.testing.assert_allclose(loss, aux.scalars["loss_identity"][0] / 6, rtol=1e-6)


def test_the_memory_holds_the_last_image_of_each_person_and_is_compared_with(key):
    batch = planted_people(images=2)
    batch["mask"] = batch["mask"].at[11].set(False)  # the second image of the last person
    method = build(partners="memory")
    params, model_state, step = step_of(method, batch, key)
    (_, aux), gradient = step(model_state)
    assert aux.scalars["loss_pairs"] == (0, 0), "there is no memory yet"
    assert is_finite(gradient)
    x = directions(method, params, model_state, batch)
    memory = aux.model_state["extension"]["memory"]
    np.testing.assert_allclose(memory, x[[1, 3, 5, 7, 9, 10]], atol=1e-5)
    (_, second), gradient = step(aux.model_state)
    total, count = second.scalars["loss_pairs"]
    assert count == 11
    cosines, own = x[:11] @ np.asarray(memory).T, np.eye(6, dtype=bool)[np.arange(11) // 2]
    start = np.mean([np.log(np.exp(16 * c[~o]).sum()) for c, o in zip(cosines, own, strict=True)])
    rows = np.where(
        own,
        np.log1p(np.exp(start - 16 * (cosines - 0.1))),
        np.log1p(np.exp(16 * cosines - start)),
    )
    np.testing.assert_allclose(total / count, rows.sum(1).mean(), rtol=1e-4)
    assert is_finite(gradient) and gradient["extension"]["threshold"] != 0


def test_the_pairs_loss_waits_for_its_start(key):
    batch = planted_people(images=2)
    method = build(start_epochs=1.0)
    _, model_state, step = step_of(method, batch, key)
    assert step(model_state)[0][1].scalars["loss_pairs"] == (0, 0)
    batch["epoch"] = jnp.float32(1)
    _, model_state, step = step_of(method, batch, key)
    assert step(model_state)[0][1].scalars["loss_pairs"][1] == 6


def best_errors(cosines, genuine, impostor):
    """The least share of pairs that one threshold for everybody gets wrong, both kinds alike."""
    thresholds = np.unique(cosines[genuine | impostor])
    return min((cosines[genuine] < t).mean() + (cosines[impostor] >= t).mean() for t in thresholds)


def test_one_threshold_for_everybody_makes_fewer_errors_than_with_cosface(key):
    batch = planted_people(images=4, alike=0.85, noise=60.0)
    people = np.asarray(batch["identity"])
    same = people[:, None] == people[None]
    genuine, impostor = same & ~np.eye(len(people), dtype=bool), ~same
    errors = {}
    for name in ("uss", "cosine_margin"):
        method = build(name)
        state, logged = train(method, batch, key, steps=25, lr=0.02)
        errors[name] = best_errors(pair_cosines(method, state, batch), genuine, impostor)
    assert errors["uss"] < errors["cosine_margin"], errors

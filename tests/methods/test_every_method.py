"""What every method promises, whatever it learns; see `fairjax.core.types.Method`.

A method joins by its line in `fairjax.methods.METHODS`. "loss" in its log is the value that is
minimised; its terms are logged under other names. Its own optimisers are replaced by SGD here, so
that steps can be compared: Adam turns rounding into whole steps.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from every_entry import ROWS, batch, build_method, settings_of_method, tiny_dataset, with_sgd

from fairjax.core.types import Method
from fairjax.methods import METHODS
from fairjax.optim.freeze import belongs, name_of
from fairjax.run import sharding
from fairjax.run.checkpoint import Checkpoints
from fairjax.run.recipe import Recipe, make_recipe

# One method of each kind: supervised, with a memory, with margins that move between epochs, with
# adversaries, of two views, and of hidden patches. The others are tried with all tests (`-m ''`):
# their own files hold their own mathematics.
KINDS = ("classify", "uss", "labelless_face", "gabn", "time_frequency", "masked_autoencoder")
RATE, DECAY = 0.05, 0.01
KEY = jax.random.key(7)


@pytest.fixture(
    scope="module",
    params=[n if n in KINDS else pytest.param(n, marks=pytest.mark.exhaustive) for n in METHODS],
)
def name(request):
    """One method after the other, so that the programs of one alone are in memory."""
    yield request.param
    for cached in (made, loss_of, predict_of, recipe_of):
        cached.cache_clear()
    jax.clear_caches()


@functools.cache
def made(name: str) -> tuple[Method, dict]:
    """A tiny method and its variables, on the host."""
    return build_method(name), jax.device_get(recipe_of(name).create(KEY).variables)


@functools.cache
def loss_of(name: str):
    """`(variables, batch, key) -> ((loss, aux), gradients)` of a method, compiled."""
    method, _ = made(name)

    def loss(params, model_state, rows, key):
        return method.loss(params, model_state, {**rows, "epoch": jnp.float32(1)}, key)

    compiled = jax.jit(jax.value_and_grad(loss, has_aux=True))

    def call(variables, rows, key=KEY):
        model_state = dict(variables)
        return compiled(model_state.pop("params"), model_state, rows, key)

    return call


@functools.cache
def predict_of(name: str):
    """`(variables, batch) -> columns` of a method, compiled."""
    return jax.jit(made(name)[0].predict)


def own_part(name: str, path: tuple) -> str:
    """The part with an optimiser of its own that a parameter belongs to; "" for none."""
    own = made(name)[0].own_optimizers
    return next((part for part in own if belongs(name_of(path), part)), "")


def stays(name: str, path: tuple) -> bool:
    """Whether the method's own optimiser keeps a parameter as it is."""
    if not (part := own_part(name, path)):
        return False
    own = made(name)[0].own_optimizers[part](optax.constant_schedule(1.0))
    one = np.ones(3, np.float32)
    return not np.any(own.update(one, own.init(one), one)[0])


def after_sgd(name: str, params, gradients):
    """Parameters after a step of the run's SGD with decay, and of own optimisers without."""

    def one(path, p, g):
        decay = 0.0 if own_part(name, path) or p.ndim < 2 else DECAY
        return p - RATE * (g + decay * p)

    return jax.tree_util.tree_map_with_path(one, params, gradients)


@functools.cache
def recipe_of(name: str, *, dtype: str = "float32", accumulate: int = 1) -> Recipe:
    """The method's recipe for a run over all four devices."""
    return make_recipe(
        with_sgd(settings_of_method(name, dtype), accumulate=accumulate),
        tiny_dataset(),
        sharding.make_mesh(),
        total_steps=100,
        steps_per_epoch=1.0,
    )


def steps(name, state, batches, *, frozen=(), **which):
    """The state and the scalars after a step with each batch, over all four devices."""
    recipe, mesh = recipe_of(name, **which), sharding.make_mesh()
    key = jax.device_put(KEY, sharding.replicated(mesh))
    scalars = {}
    with jax.set_mesh(mesh):
        for rows in batches:
            state, scalars = recipe.step_with_frozen(frozen)(
                state, sharding.global_batch(mesh, rows), key
            )
    return state, scalars


def start(name, **which):
    """A state an epoch in, every array its own: a step takes the state that it is given.

    The weights are as they start, but ramps over epochs have begun.
    """
    state = recipe_of(name).create(KEY)
    for one, other in zip(
        jax.tree.leaves(state),
        jax.tree.leaves(recipe_of(name, **which).abstract_state),
        strict=True,
    ):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
    return dataclasses.replace(state, step=state.step + 1)


def assert_finite(tree):
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(tree)):
        assert np.isfinite(leaf).all(), name_of(path)


def assert_same(one, other, **tolerance):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), one, other)


def test_the_loss_is_a_scalar_that_its_log_agrees_with_and_its_gradients_are_finite(name):
    _, variables = made(name)
    (loss, aux), gradients = loss_of(name)(variables, batch())
    assert loss.shape == () and loss.dtype == jnp.float32
    assert_finite((loss, gradients))
    total, count = aux.scalars["loss"]
    np.testing.assert_allclose(total / count, loss, rtol=1e-5)
    learning = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(gradients)):
        if leaf.any():
            assert not stays(name, path), f"{name_of(path)} is frozen and has a gradient"
            learning.add(path[0].key)
        elif stays(name, path):
            learning.add(path[0].key)
    assert learning == gradients.keys(), "a part learns nothing"
    assert jax.tree.structure(aux.model_state) == jax.tree.structure(
        {key: tree for key, tree in variables.items() if key != "params"}
    )


def test_black_images_that_are_all_alike_have_finite_gradients(name):
    _, variables = made(name)
    black = {key: 0 * rows if "image" in key else rows for key, rows in batch().items()}
    assert_finite(loss_of(name)(variables, black))


def test_padding_changes_neither_loss_nor_gradient_nor_log(name):
    """Labels of padding never count; its pictures do in batch statistics alone."""
    _, variables = made(name)
    rows, other = batch(), batch(seed=1)
    rows["mask"] = np.arange(ROWS) < 5
    swapped = {key: np.concatenate([rows[key][:5], other[key][5:]]) for key in rows}
    swapped["mask"] = rows["mask"]
    if "batch_stats" in variables:
        swapped |= {key: rows[key] for key in rows if "image" in key}
    (loss, aux), gradients = loss_of(name)(variables, rows)
    (again, aux_again), gradients_again = loss_of(name)(variables, swapped)
    np.testing.assert_allclose(loss, again, rtol=1e-6)
    assert_same(gradients, gradients_again, rtol=1e-5, atol=1e-7)
    assert_same(aux.scalars, aux_again.scalars, rtol=1e-5, atol=1e-6)
    (whole, _), _ = loss_of(name)(variables, batch())
    assert loss != whole, "the mask is not read"


def test_groups_that_are_absent_or_unknown_give_no_nan(name):
    """Nor a logged loss of no row, 0 / 0, at which a run would stop."""
    _, variables = made(name)
    rows = batch()
    for group in (np.zeros(ROWS, np.int32), np.full(ROWS, -1, np.int32)):
        group[0] = 0
        rows |= {"group": group, "race": group}
        (loss, aux), gradients = loss_of(name)(variables, rows)
        assert_finite((loss, gradients, aux.model_state, aux.scalars))
        for term, (_, count) in aux.scalars.items():
            assert count > 0 or not term.endswith("loss"), term


def test_without_a_row_the_loss_is_zero_and_teaches_nothing(name):
    method, variables = made(name)
    blank = {**batch(), "mask": np.zeros(ROWS, bool)}
    (loss, _), gradients = jax.device_get(loss_of(name)(variables, blank))
    assert loss == 0 or (method.loss_of == "batch" and np.isfinite(loss))
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradients))


def test_predictions_are_finite_one_row_an_image_and_padding_changes_none(name):
    _, variables = made(name)
    rows, other = batch(), batch(seed=1)
    rows["mask"] = np.arange(ROWS) < 5
    padded = {key: np.concatenate([rows[key][:5], other[key][5:]]) for key in rows}
    padded["mask"] = rows["mask"]
    columns, again = predict_of(name)(variables, rows), predict_of(name)(variables, padded)
    assert columns
    for column, values in columns.items():
        assert len(values) == ROWS, column
        assert np.isfinite(values).all(), column
        np.testing.assert_allclose(values[:5], again[column][:5], rtol=1e-5, atol=1e-6)


def test_a_step_on_four_devices_is_that_on_one(name):
    assert sharding.make_mesh().size == 4
    before = jax.device_get(start(name))
    variables = {"params": before.params, **before.model_state}
    after, scalars = steps(name, start(name), [batch()])
    folded = jax.random.fold_in(jax.random.fold_in(KEY, 1), 0)
    (loss, aux), gradients = loss_of(name)(variables, batch(), folded)
    np.testing.assert_allclose(scalars["loss"], loss, rtol=1e-4)
    params, model_state = after_sgd(name, before.params, gradients), aux.model_state
    if after_epoch := made(name)[0].after_epoch:
        params, model_state = after_epoch(params, model_state, jnp.int32(2))
    assert_same(jax.device_get(after.params), params, rtol=1e-4, atol=1e-5)
    assert_same(jax.device_get(after.model_state), model_state, rtol=1e-4, atol=1e-5)


def test_two_steps_saved_and_two_more_are_four(name, tmp_path):
    batches = [batch(seed) for seed in range(4)]
    whole, _ = steps(name, start(name), batches)
    half, _ = steps(name, start(name), batches[:2])
    recipe = recipe_of(name)
    with Checkpoints(tmp_path, keep_last=1, keep_best=0, best_metric="loss") as checkpoints:
        checkpoints.save(half, step=3, config={}, position={}, metrics=None)
        checkpoints.wait()
        restored, _ = checkpoints.restore(recipe.abstract_state)
    resumed, _ = steps(name, restored, batches[2:])
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(whole), jax.device_get(resumed))


def test_frozen_parts_stay_and_the_rest_learns_from_micro_batches_in_bfloat16(name):
    which = {"dtype": "bfloat16", "accumulate": 2}
    before = jax.device_get(start(name, **which))
    part = next(iter(sorted(before.params)))
    after, scalars = steps(name, start(name, **which), [batch()], frozen=(part,), **which)
    after = jax.device_get(after)
    assert np.isfinite(scalars["loss"])
    assert_finite(after)
    nothing = jax.tree.map(np.zeros_like, before.params)
    decayed = after_sgd(name, before.params, nothing)  # weight decay is the optimiser's
    assert_same(after.params[part], decayed[part], rtol=1e-6)
    for collection in before.model_state.keys() & after.model_state.keys():
        kept = before.model_state[collection].get(part, {})
        jax.tree.map(
            np.testing.assert_array_equal, kept, after.model_state[collection].get(part, {})
        )
    learning = {part}
    for path, leaf in jax.tree_util.tree_leaves_with_path(after.params):
        alone = functools.reduce(lambda tree, key: tree[key.key], path, decayed)
        assert leaf.dtype == np.float32, name_of(path)
        if stays(name, path) or not np.allclose(leaf, alone, rtol=1e-6, atol=1e-9):
            learning.add(path[0].key)
    assert learning == after.params.keys()

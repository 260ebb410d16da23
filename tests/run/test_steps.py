from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from every_entry import batch as image_batch
from every_entry import settings_of_method, tiny_dataset

from fairjax.core.types import Aux, Method
from fairjax.run import sharding
from fairjax.run.recipe import make_recipe
from fairjax.run.state import init_state
from fairjax.run.steps import make_predict_step, make_train_step


def linear_method():
    """Fits y = w.x, with a running mean of the inputs: small enough to work by hand."""

    def init(key, batch):
        return {"w": jnp.zeros(2)}, {"stats": {"mean": jnp.zeros(2)}}

    def loss(params, model_state, batch, key):
        error = batch["x"] @ params["w"] - batch["y"]
        value = jnp.mean(jnp.square(error))
        mean = 0.9 * model_state["stats"]["mean"] + 0.1 * jnp.mean(batch["x"], axis=0)
        noise = jax.random.uniform(key)
        scalars = {"loss": (value, jnp.float32(1)), "noise": (noise, jnp.float32(1))}
        return value, Aux({"stats": {"mean": mean}}, scalars)

    def predict(variables, batch):
        return {"pred_y": batch["x"] @ variables["params"]["w"]}

    return Method(init, loss, predict)


def batch(rows=8):
    rng = np.random.default_rng(0)
    return {
        "x": jnp.asarray(rng.normal(size=(rows, 2)), jnp.float32),
        "y": jnp.asarray(rng.normal(size=rows), jnp.float32),
    }


def run(steps, *, accumulate=1, ema_decay=0.0, rows=8, key, wrap=lambda step: step):
    method, tx = linear_method(), optax.sgd(0.1)
    state = init_state(method, tx, key, {}, averaged=ema_decay > 0)
    step = wrap(
        make_train_step(method, tx, accumulate=accumulate, ema_decay=ema_decay, steps_per_epoch=4.0)
    )
    scalars = None
    for _ in range(steps):
        state, scalars = step(state, batch(rows), key)
    return state, scalars


def test_one_sgd_step_by_hand(key):
    state, scalars = run(1, key=key)
    data = batch()
    gradient = -2 * data["x"].T @ data["y"] / 8
    np.testing.assert_allclose(state.params["w"], -0.1 * gradient, rtol=1e-5)
    np.testing.assert_allclose(scalars["loss"], np.mean(data["y"] ** 2), rtol=1e-6)
    np.testing.assert_allclose(scalars["grad_norm"], np.linalg.norm(gradient), rtol=1e-5)
    assert int(state.step) == 1


def test_accumulated_micro_batches_equal_one_large_batch(key):
    whole, _ = run(3, key=key)
    parts, _ = run(3, accumulate=4, key=key)
    np.testing.assert_allclose(whole.params["w"], parts.params["w"], rtol=1e-5)


def test_a_scalar_of_which_the_batch_has_no_rows_is_nan(key):
    method = linear_method()

    def loss(params, model_state, batch, key):
        value, aux = method.loss(params, model_state, batch, key)
        return value, aux._replace(scalars={"nobody": (jnp.float32(0), jnp.float32(0))})

    tx = optax.sgd(0.1)
    step = make_train_step(
        replace(method, loss=loss), tx, accumulate=1, ema_decay=0.0, steps_per_epoch=4.0
    )
    _, scalars = step(init_state(method, tx, key, {}, averaged=False), batch(), key)
    assert np.isnan(scalars["nobody"])
    assert np.isfinite(scalars["grad_norm"])


def test_jit_equals_eager(key):
    eager, _ = run(2, key=key)
    jitted, _ = run(2, key=key, wrap=jax.jit)
    np.testing.assert_allclose(eager.params["w"], jitted.params["w"], rtol=1e-6)


def test_each_step_draws_anew_and_a_resumed_step_draws_the_same(key):
    method, tx = linear_method(), optax.sgd(0.1)
    step = make_train_step(method, tx, accumulate=1, ema_decay=0.0, steps_per_epoch=4.0)
    first = init_state(method, tx, key, {}, averaged=False)
    second, one = step(first, batch(), key)
    _, two = step(second, batch(), key)
    _, two_again = step(second, batch(), key)
    assert float(one["noise"]) != float(two["noise"]) == float(two_again["noise"])


def test_the_moving_average_is_warmed_up_and_is_what_predicts(key):
    state, _ = run(1, ema_decay=0.9, key=key)
    decay = min(0.9, 1 / 10)
    np.testing.assert_allclose(
        state.average["params"]["w"], (1 - decay) * state.params["w"], rtol=1e-5
    )
    assert state.variables is state.average
    data = {**batch(), "index": jnp.arange(8), "mask": jnp.ones(8, bool)}
    columns = make_predict_step(linear_method())(state.variables, data)
    np.testing.assert_allclose(
        columns["pred_y"], data["x"] @ state.average["params"]["w"], rtol=1e-5
    )


@pytest.mark.parametrize("accumulate", [1, 2])
def test_four_devices_equal_one(key, accumulate):
    mesh = sharding.make_mesh()
    assert mesh.size == 4
    whole, by_batch = sharding.replicated(mesh), sharding.by_batch(mesh)
    spread, _ = run(
        3,
        accumulate=accumulate,
        key=key,
        wrap=lambda step: jax.jit(step, in_shardings=(whole, by_batch, whole), out_shardings=whole),
    )
    alone, _ = run(3, accumulate=accumulate, key=key)
    np.testing.assert_allclose(spread.params["w"], alone.params["w"], rtol=1e-5)
    np.testing.assert_allclose(
        spread.model_state["stats"]["mean"], alone.model_state["stats"]["mean"], rtol=1e-5
    )


def counting_method():
    """Logs the epoch that the loss sees, and counts the calls of `after_epoch` in its state."""

    def init(key, batch):
        state = {"calls": jnp.int32(0), "last": jnp.int32(-1), "passed": jnp.bool_(False)}
        return {"w": jnp.ones(())}, {"epochs": state}

    def loss(params, model_state, batch, key):
        value = params["w"] * jnp.mean(batch["x"])
        return value, Aux(model_state, {"epoch": (batch["epoch"], jnp.float32(1))})

    def after_epoch(params, model_state, epoch):
        calls = model_state["epochs"]["calls"] + 1
        state = {"calls": calls, "last": epoch, "passed": jnp.bool_(True)}
        return {"w": params["w"] + 100.0}, {"epochs": state}

    return Method(init, loss, lambda variables, batch: {}, after_epoch=after_epoch)


def count_epochs(key, *, steps, steps_per_epoch, accumulate=1, ema_decay=0.0, resume_at=()):
    """For each step the epoch seen by the loss, calls so far, and the number given last."""
    method, tx = counting_method(), optax.sgd(0.0)
    state, rows = init_state(method, tx, key, {}, averaged=ema_decay > 0), []
    step = None
    for number in range(steps):
        if step is None or number in resume_at:
            state = jax.tree.map(jnp.asarray, jax.device_get(state))
            step = jax.jit(
                make_train_step(
                    method,
                    tx,
                    accumulate=accumulate,
                    ema_decay=ema_decay,
                    steps_per_epoch=steps_per_epoch,
                )
            )
        state, scalars = step(state, batch(), key)
        counted = state.model_state["epochs"]
        rows.append((float(scalars["epoch"]), int(counted["calls"]), int(counted["last"])))
    return rows, state


@pytest.mark.parametrize("accumulate", [1, 2])
def test_after_epoch_runs_once_at_the_end_of_each_epoch(key, accumulate):
    rows, state = count_epochs(key, steps=6, steps_per_epoch=2.0, accumulate=accumulate)
    assert [calls for _, calls, _ in rows] == [0, 1, 1, 2, 2, 3]
    assert [last for _, _, last in rows] == [-1, 1, 1, 2, 2, 3]
    if accumulate == 1:
        assert [epoch for epoch, _, _ in rows] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    np.testing.assert_allclose(state.params["w"], 301.0)  # its parameters are kept, too


def test_an_epoch_that_is_no_whole_number_of_steps_ends_with_the_step_that_completes_it(key):
    rows, _ = count_epochs(key, steps=8, steps_per_epoch=2.5)
    assert [last for _, _, last in rows] == [-1, -1, 1, 1, 2, 2, 2, 3]
    rows, _ = count_epochs(key, steps=3, steps_per_epoch=0.5)  # a batch larger than the data
    assert [last for _, _, last in rows] == [2, 4, 6]


def test_a_run_resumed_within_an_epoch_or_at_its_end_goes_on_alike(key):
    whole, _ = count_epochs(key, steps=7, steps_per_epoch=3.0)
    resumed, _ = count_epochs(key, steps=7, steps_per_epoch=3.0, resume_at=(2, 3, 4))
    assert whole == resumed


def test_the_moving_average_keeps_flags_and_whole_numbers_as_they_are(key):
    _, state = count_epochs(key, steps=2, steps_per_epoch=2.0, ema_decay=0.9)
    kept = state.average["epochs"]
    assert kept["passed"].dtype == bool
    assert bool(kept["passed"])
    assert kept["calls"].dtype == jnp.int32
    assert int(kept["calls"]) == 1


def test_global_batch_spreads_rows_over_the_devices():
    mesh = sharding.make_mesh()
    rows = np.arange(8, dtype=np.int32)
    spread = sharding.global_batch(mesh, {"row": rows})["row"]
    assert [shard.data.tolist() for shard in spread.addressable_shards] == [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
    ]
    np.testing.assert_array_equal(spread, rows)


def test_an_optimiser_spread_over_the_devices_takes_the_same_steps_in_less_memory(key):
    settings, mesh = settings_of_method("classify"), sharding.make_mesh()
    ended = {}
    for spread in (False, True):
        train = replace(settings.train, shard_optimizer=spread)
        recipe = make_recipe(
            replace(settings, train=train),
            tiny_dataset(),
            mesh,
            total_steps=9,
            steps_per_epoch=1.0,
        )
        state = recipe.create(key)
        with jax.set_mesh(mesh):
            for seed in range(2):
                rows = sharding.global_batch(mesh, image_batch(seed))
                state, _ = recipe.step_with_frozen(())(
                    state, rows, jax.device_put(key, sharding.replicated(mesh))
                )
        ended[spread] = state
    whole, spread = (
        sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(ended[k].opt_state))
        for k in (False, True)
    )
    assert spread < 0.4 * whole  # a quarter, and what four devices cannot share
    for one, other in zip(*map(jax.tree.leaves, (ended[False], ended[True])), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fairjax import optim

PARAMS = {"kernel": jnp.full((2, 2), 2.0), "bias": jnp.full(2, 2.0)}
GRADS = {"kernel": jnp.full((2, 2), 1.0), "bias": jnp.full(2, 1.0)}
SETTINGS = {
    "sgd": {"momentum": 0.9, "nesterov": False},
    "adamw": {"b1": 0.9, "b2": 0.999},
    "lars": {"momentum": 0.9, "trust_coefficient": 0.001},
    "lamb": {"b1": 0.9, "b2": 0.999},
}


def build(name, *, lr=0.1, weight_decay=0.0, norms=False):
    mask = functools.partial(optim.decay_mask, norms=norms)
    return optim.OPTIMIZERS[name](
        lr=lambda step: lr, weight_decay=weight_decay, mask=mask, **SETTINGS[name]
    )


def step(tx, params=PARAMS, grads=GRADS, steps=1):
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params


def test_every_optimizer_is_tried():
    assert SETTINGS.keys() == optim.OPTIMIZERS.keys()


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_a_step_goes_downhill(name):
    after = step(build(name))
    assert all(
        (a < b).all() for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(PARAMS), strict=True)
    )


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_weight_decay_leaves_biases_alone_unless_asked(name):
    plain, decayed = step(build(name)), step(build(name, weight_decay=0.5))
    np.testing.assert_array_equal(plain["bias"], decayed["bias"])
    assert not np.allclose(plain["kernel"], decayed["kernel"]) or name in ("lars", "lamb")


def test_norms_and_biases_decay_when_asked():
    plain, decayed = step(build("sgd")), step(build("sgd", weight_decay=0.5, norms=True))
    assert (decayed["bias"] < plain["bias"]).all()


def test_sgd_by_hand_decay_joins_the_gradient_before_the_momentum():
    # g = 1 + 0.5 * 2 = 2, w = 2 - 0.1 * 2 = 1.8; then g = 1.9, m = 0.9 * 2 + 1.9 = 3.7.
    after = step(build("sgd", weight_decay=0.5), steps=2)
    np.testing.assert_allclose(after["kernel"], 1.8 - 0.1 * 3.7, rtol=1e-6)


def test_cosine_warms_up_and_comes_down():
    lr = optim.cosine(
        peak_lr=1.0, total_steps=100, steps_per_epoch=10.0, warmup_epochs=1.0, final_factor=0.1
    )
    assert float(lr(0)) == 0.0
    np.testing.assert_allclose([lr(5), lr(10), lr(55), lr(100)], [0.5, 1.0, 0.55, 0.1], rtol=1e-5)


def test_cosine_without_warm_up_starts_at_its_peak():
    lr = optim.cosine(
        peak_lr=2.0, total_steps=10, steps_per_epoch=10.0, warmup_epochs=0.0, final_factor=0.0
    )
    np.testing.assert_allclose([lr(0), lr(10)], [2.0, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("total_steps", "warmup_epochs", "rates"),
    [
        (4, 0.26, [0.0, 1 / 3, 2 / 3, 1.0]),  # 2.6 steps are three
        (4, 0.4, [0.0, 1 / 3, 2 / 3, 1.0]),  # the peak is reached, at the last step
        (4, 9.0, [0.0, 1 / 3, 2 / 3, 1.0]),
        (1, 0.4, [1.0]),  # nothing to warm up in
        (4, 0.04, [1.0, 0.5 + 0.5 * np.cos(np.pi / 4), 0.5, 0.5 - 0.5 * np.cos(np.pi / 4)]),
        (4, 0.1, [0.0, 1.0, 0.75, 0.25]),  # half a cosine over the three steps that are left
    ],
)
def test_cosine_reaches_its_peak_where_the_warm_up_ends(total_steps, warmup_epochs, rates):
    lr = optim.cosine(
        peak_lr=1.0,
        total_steps=total_steps,
        steps_per_epoch=10.0,
        warmup_epochs=warmup_epochs,
        final_factor=0.0,
    )
    np.testing.assert_allclose([lr(step) for step in range(total_steps)], rates, atol=1e-6)


@pytest.mark.parametrize(
    ("warmup_epochs", "rates"),
    [
        (0.0, [0.2] * 3 + [0.1] * 3),
        (0.2, [0.0, 0.1, 0.2, 0.1, 0.1, 0.1]),
        (0.36, [0.0, 0.05, 0.1, 0.075, 0.1, 0.1]),  # 3.6 steps are four, longer than the first rate
    ],
)
def test_steps_warm_up_to_the_rate_that_holds_then(warmup_epochs, rates):
    lr = optim.steps(
        peak_lr=0.2,
        total_steps=6,
        steps_per_epoch=10.0,
        at_epochs=(0.3,),
        factor=0.5,
        warmup_epochs=warmup_epochs,
    )
    np.testing.assert_allclose([lr(step) for step in range(6)], rates, rtol=1e-5, atol=1e-8)


def test_steps_drop_once_the_epoch_has_passed():
    lr = optim.steps(
        peak_lr=0.1,
        total_steps=40,
        steps_per_epoch=10.0,
        at_epochs=(2.0, 3.0),
        factor=0.1,
        warmup_epochs=0.0,
    )
    np.testing.assert_allclose([lr(19), lr(20), lr(30)], [0.1, 0.01, 0.001], rtol=1e-5)


def test_clipping_bounds_the_global_norm():
    clipped = optim.clipped(build("sgd", lr=1.0), clip_norm=1.0)
    moved = jax.tree.map(jnp.subtract, PARAMS, step(clipped))
    norm = np.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(moved)))
    np.testing.assert_allclose(norm, 1.0, rtol=1e-5)
    untouched = optim.clipped(build("sgd", lr=1.0), clip_norm=0.0)
    np.testing.assert_allclose(step(untouched)["bias"], 1.0)


VIT = {
    "backbone": {
        "embed": {"kernel": jnp.ones((2, 2))},
        "block_0": {"up": {"kernel": jnp.ones((2, 2))}},
        "block_1": {"up": {"kernel": jnp.ones((2, 2))}},
        "pooled_norm": {"scale": jnp.ones(2)},
    },
    "head_age": {"kernel": jnp.ones((2, 2))},
}


def moved(tx, params=VIT):
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    return jax.tree.map(lambda u: float(-u.ravel()[0]), updates)


def test_layers_move_less_the_deeper_they_lie():
    steps = moved(optim.layer_decayed(optax.sgd(1.0), VIT, factor=0.5))
    backbone = steps["backbone"]
    assert backbone["embed"]["kernel"] == 0.5**3
    assert backbone["block_0"]["up"]["kernel"] == 0.5**2
    assert backbone["block_1"]["up"]["kernel"] == 0.5
    assert backbone["pooled_norm"]["scale"] == steps["head_age"]["kernel"] == 1.0


def test_layer_decay_needs_layers():
    with pytest.raises(ValueError, match="needs a backbone of blocks"):
        optim.layer_decayed(optax.sgd(1.0), PARAMS, factor=0.5)


def test_frozen_parameters_stay_and_keep_no_state():
    tx = optim.frozen(build("adamw", lr=1.0, weight_decay=0.5), VIT, parts=("backbone",))
    steps = moved(tx)
    assert not any(jax.tree.leaves(steps["backbone"]))
    assert steps["head_age"]["kernel"] > 0
    sizes = [leaf.size for leaf in jax.tree.leaves(tx.init(VIT)) if leaf.ndim]
    assert sizes == [4, 4]  # the two moments of the head


@pytest.mark.parametrize(
    ("parts", "said"),
    [(("back",), "'back' is no part"), (("backbone", "head_age"), "leaves no parameter")],
)
def test_freezing_nothing_or_everything_is_refused(parts, said):
    with pytest.raises(ValueError, match=said):
        optim.frozen(optax.sgd(1.0), VIT, parts=parts)


def test_a_released_part_waits_and_then_moves_as_if_it_had_just_begun():
    rates = optax.linear_schedule(1.0, 0.0, 10)
    make = functools.partial(optax.adam, b2=0.99)
    tx = optim.released(make, rates, VIT, parts=("backbone",), starts=(3,), factor=0.5)
    alone = make(lambda count: 0.5 * rates(count + 3))
    state, own = tx.init(VIT), alone.init(VIT["backbone"])
    gradients = jax.tree.map(jnp.ones_like, VIT)
    for step in range(6):
        updates, state = tx.update(gradients, state, VIT)
        if step < 3:
            assert not any(leaf.any() for leaf in jax.tree.leaves(updates["backbone"]))
        else:
            expected, own = alone.update(gradients["backbone"], own, VIT["backbone"])
            jax.tree.map(np.testing.assert_allclose, updates["backbone"], expected)
        np.testing.assert_allclose(updates["head_age"]["kernel"], -rates(step), rtol=1e-4)


def test_parts_further_down_move_less():
    parts, starts = ("backbone/block_1", "backbone/embed|backbone/block_0"), (0, 0)
    tx = optim.released(optax.sgd, lambda _: 1.0, VIT, parts=parts, starts=starts, factor=0.3)
    steps = moved(tx)
    np.testing.assert_allclose(steps["backbone"]["block_1"]["up"]["kernel"], 0.3)
    np.testing.assert_allclose(steps["backbone"]["embed"]["kernel"], 0.09)
    assert steps["head_age"]["kernel"] == 1.0
    with pytest.raises(ValueError, match=r"unfreeze.parts: 'back' is no part"):
        optim.released(optax.sgd, lambda _: 1.0, VIT, parts=("back",), starts=(1,), factor=1.0)


TWO_PARTS = {"backbone": {"block_0": {"kernel": jnp.ones(2)}}, "adversary": {"kernel": jnp.ones(2)}}


def with_adversary(tx, *, lr=1.0, part="adversary"):
    own = {part: lambda schedule: optax.sgd(lambda step: lr * schedule(step))}
    return optim.with_own_optimizers(tx, lambda step: 0.5, TWO_PARTS, own=own)


def test_an_own_optimizer_moves_its_part_alone_and_sees_no_clipping():
    grads = {
        "backbone": {"block_0": {"kernel": jnp.array([3.0, 4.0])}},
        "adversary": {"kernel": jnp.array([300.0, 400.0])},
    }
    tx = with_adversary(optim.clipped(optax.sgd(0.1), clip_norm=1.0))
    updates, _ = tx.update(grads, tx.init(TWO_PARTS), TWO_PARTS)
    # The norm that is clipped is 5: the adversary's gradient is not counted.
    np.testing.assert_allclose(updates["backbone"]["block_0"]["kernel"], [-0.06, -0.08], rtol=1e-6)
    np.testing.assert_allclose(updates["adversary"]["kernel"], [-150.0, -200.0], rtol=1e-6)


def test_an_own_optimizer_goes_with_layer_decay_and_weight_decay():
    tx = optim.OPTIMIZERS["sgd"](
        lr=lambda step: 1.0,
        weight_decay=0.1,
        mask=functools.partial(optim.decay_mask, norms=True),
    )
    tx = with_adversary(optim.layer_decayed(tx, TWO_PARTS, factor=0.5))
    zeros = jax.tree.map(jnp.zeros_like, TWO_PARTS)
    updates, _ = tx.update(zeros, tx.init(TWO_PARTS), TWO_PARTS)
    # One block of one: half the step. The adversary does not decay.
    np.testing.assert_allclose(updates["backbone"]["block_0"]["kernel"], [-0.05] * 2, rtol=1e-6)
    np.testing.assert_allclose(updates["adversary"]["kernel"], [0.0] * 2)


def test_layer_decay_goes_with_frozen_parts():
    tx = optim.layer_decayed(optax.sgd(1.0), TWO_PARTS, factor=0.5)
    updates = step(optim.frozen(tx, TWO_PARTS, parts=("adversary",)), TWO_PARTS, TWO_PARTS)
    np.testing.assert_allclose(updates["backbone"]["block_0"]["kernel"], [0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(updates["adversary"]["kernel"], [1.0] * 2)


def test_an_own_optimizer_of_no_part_is_refused():
    with pytest.raises(ValueError, match="'judge' is no part of the parameters"):
        with_adversary(optax.sgd(0.1), part="judge")

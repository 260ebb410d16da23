import jax
import jax.numpy as jnp
import numpy as np
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

from fairjax.methods import METHODS

TASKS = {"gender": {"kind": "classes", "attribute": "gender"}}


def build(norm=False, **settings):
    return METHODS["adversarial_removal"](
        backbone=Stage(norm=norm), targets=TARGETS, preprocess=preprocess, tasks=TASKS, **settings
    )


def at(epoch, batch=None):
    return {**(batch or make_batch()), "epoch": jnp.float32(epoch)}


def test_the_loss_is_the_tasks_plus_the_adversarys(key):
    loss, aux, gradient, _ = value_and_gradient(build(), at(0), key)
    mean = {name: float(total / count) for name, (total, count) in aux.scalars.items()}
    np.testing.assert_allclose(loss, mean["gender_loss"] + mean["loss_adversary"], rtol=1e-5)
    assert is_finite(gradient)


def test_the_backbone_gets_the_adversarys_gradient_reversed_and_ramped(key):
    def gradient_of(epoch, strength):
        gradient = value_and_gradient(build(strength=strength, ramp_epochs=4.0), at(epoch), key)[2]
        return gradient["backbone"]["Conv_0"]["kernel"], gradient["objective"]["adversary"]

    task, adversary = gradient_of(0, 1.0)  # nothing is reversed yet
    full, same = gradient_of(4, 1.0)
    half, _ = gradient_of(2, 1.0)
    doubled, _ = gradient_of(9, 2.0)
    assert float(jnp.abs(full - task).max()) > 1e-3
    np.testing.assert_allclose(half - task, (full - task) / 2, atol=1e-6)
    np.testing.assert_allclose(doubled - task, 2 * (full - task), atol=1e-6)
    for a, b in zip(*map(jax.tree.leaves, (adversary, same)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)

    def adversary_loss(kernel):  # an independent route: the adversary's loss, differentiated
        method = build(strength=0.0)
        params, model_state = jax.jit(method.init)(key, at(0))
        params["backbone"]["Conv_0"]["kernel"] = kernel
        aux = jax.jit(method.loss)(params, model_state, at(0), key)[1]
        total, count = aux.scalars["loss_adversary"]
        return float(total / count)

    kernel = jax.jit(build().init)(key, at(0))[0]["backbone"]["Conv_0"]["kernel"]
    place, step = (1, 1, 0, 0), 1e-2
    slope = adversary_loss(kernel.at[place].add(step)) - adversary_loss(kernel.at[place].add(-step))
    np.testing.assert_allclose((task - full)[place], slope / (2 * step), rtol=0.05, atol=1e-4)


def test_unknown_and_absent_groups_give_no_nan(key):
    batch = make_batch()
    batch["group"] = jnp.where(batch["group"] == 2, -1, batch["group"])
    loss, aux, gradient, _ = value_and_gradient(build(), at(9, batch), key)
    assert is_finite((loss, gradient))
    assert float(aux.scalars["loss_adversary"][1]) == 8
    batch["group"] = jnp.full_like(batch["group"], -1)
    loss, aux, gradient, _ = value_and_gradient(build(), at(9, batch), key)
    assert not losses_without_rows(aux)
    assert is_finite((loss, gradient))


def test_the_reversed_gradient_takes_the_adversary_towards_chance(key):
    """The group is a colour, the gender brightness: the one can go and the other stay."""
    rng = np.random.default_rng(0)
    group, gender = np.arange(48) % 2, np.arange(48) // 2 % 2
    images = 64 + 96 * gender[:, None, None, None] + rng.integers(-20, 21, (48, 8, 8, 3))
    images[group == 0, :, :, 0] += 50
    batch = make_batch(
        rows=48,
        image=images.clip(0, 255).astype(np.uint8),
        group=group.astype(np.int32),
        gender=gender.astype(np.int32),
    )

    def last(strength):
        method = build(
            norm=True,  # bounds what the backbone can gain
            strength=strength,
            ramp_epochs=2.0,
            adversary_lr=1e-2,
        )
        _, logged = train(method, batch, key, steps=150, lr=0.01)
        tail = logged[-50:]
        return {name: np.mean([row[name] for row in tail]) for name in tail[0]}

    told, removed = last(0.0), last(1.0)
    assert told["adversary_accuracy"] > 0.95
    assert removed["adversary_accuracy"] < 0.75  # chance is 0.5
    assert removed["loss_adversary"] > np.log(2)
    assert removed["gender_loss"] < 0.3

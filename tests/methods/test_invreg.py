import jax
import jax.numpy as jnp
import numpy as np
from grouped_example import (
    TARGETS,
    Stage,
    is_finite,
    make_batch,
    preprocess,
    train,
    value_and_gradient,
)

from fairjax.core.types import EXTENSION
from fairjax.losses import ArcFace
from fairjax.losses.invariant import learn_partition, partition_objective
from fairjax.methods import METHODS

MARGIN = ArcFace(scale=8.0, margin=0.2)


def build(**settings):
    defaults = {"margin": MARGIN, "penalty": "none", "partition_epochs": (1, 3)}
    return METHODS["invreg"](
        backbone=Stage(), targets=TARGETS, preprocess=preprocess, **{**defaults, **settings}
    )


def with_partition(model_state, soft, learned):
    partition = {
        **model_state[EXTENSION],
        "soft": jnp.asarray(soft, jnp.float32),
        "learned": jnp.asarray(learned, jnp.float32),
    }
    return {**model_state, EXTENSION: partition}


def test_the_penalty_is_that_of_the_logits_by_another_route(key):
    """Mean over learned partitions and environments of the squared weighted mean slope."""
    method, batch = build(weight=2.0, growth=1.5, growth_from=0.0), make_batch(epoch=np.float32(2))
    params, state = jax.jit(method.init)(key, batch)
    soft = np.random.default_rng(0).dirichlet([1, 1], (2, 6)).astype(np.float32)
    without = jax.jit(method.loss)(params, with_partition(state, soft, [0, 0]), batch, key)
    one = jax.jit(method.loss)(params, with_partition(state, soft, [1, 0]), batch, key)
    both = jax.jit(method.loss)(params, with_partition(state, soft, [1, 1]), batch, key)

    x = jax.jit(build(tta="none").predict)({"params": params, **state}, batch)["embedding"]
    kernel = np.asarray(params["head"]["kernel"], np.float64)
    cosine = np.asarray(x, np.float64) @ (kernel / np.linalg.norm(kernel, axis=1)[:, None]).T
    rows, people = np.arange(12), np.asarray(batch["identity"])
    angle = np.arccos(cosine[rows, people])
    cosine[rows, people] = np.where(
        angle + 0.2 <= np.pi, np.cos(angle + 0.2), cosine[rows, people] - 0.2 * np.sin(0.2)
    )
    z = 8 * cosine
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    loss = -np.log(p[rows, people]).mean()
    slope = (p * z).sum(1) - z[rows, people]
    weight = soft[:, people]  # [partitions, rows, environments]
    mean = (weight * slope[None, :, None]).sum(1) / weight.sum(1)
    strength = 2.0 * 1.5**2 * 0.2
    np.testing.assert_allclose(without[0], loss, rtol=1e-4)
    np.testing.assert_allclose(one[0], loss + strength * (mean[0] ** 2).mean(), rtol=1e-4)
    np.testing.assert_allclose(both[0], loss + strength * (mean**2).mean(), rtol=1e-4)


def test_partitions_are_learned_after_their_epochs_from_what_the_loss_collected(key):
    method, batch = build(), make_batch()
    params, state = jax.jit(method.init)(key, batch)
    _, aux = jax.jit(method.loss)(params, state, batch, key)
    state = aux.model_state
    # Six people, two images each: person k stands in rows k and k + 6, both of parity k.
    np.testing.assert_array_equal(
        state[EXTENSION]["counts"], [[2, 0, 2, 0, 2, 0], [0, 2, 0, 2, 0, 2]]
    )
    batch = {name: jnp.roll(x, 1, axis=0) if x.ndim else x for name, x in batch.items()}
    state = jax.jit(method.loss)(params, state, batch, key)[1].model_state
    np.testing.assert_array_equal(state[EXTENSION]["counts"], 2)
    params_after, early = jax.jit(method.after_epoch)(params, state, jnp.int32(2))
    jax.tree.map(np.testing.assert_array_equal, params, params_after)
    np.testing.assert_array_equal(early[EXTENSION]["learned"], 0)
    np.testing.assert_array_equal(early[EXTENSION]["sums"], 0)  # an epoch begins anew
    _, first = jax.jit(method.after_epoch)(params, state, jnp.int32(1))
    np.testing.assert_array_equal(first[EXTENSION]["learned"], [1, 0])
    soft = np.asarray(first[EXTENSION]["soft"])
    np.testing.assert_allclose(soft.sum(axis=2), 1, rtol=1e-5)
    assert np.abs(soft[0] - 0.5).max() > 0.3
    np.testing.assert_array_equal(soft[1], 0.5)


SETTINGS = {"temperature": 0.3, "variance_weight": 0.2, "balance_weight": 1.0}


def test_learning_raises_the_objective_and_keeps_environments_of_like_size(key):
    rng = np.random.default_rng(0)
    first = rng.normal(size=(24, 8))
    apart = np.where(np.arange(24) % 2, 0.1, 2.0)  # every other person is hard to find again
    second = first + apart[:, None] * rng.normal(size=first.shape)
    first, second = (
        jnp.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), jnp.float32)
        for x in (first, second)
    )
    known = jnp.arange(24) < 22
    soft = learn_partition(
        key, first, second, known, environments=2, epochs=60, batch=24, rate=0.5, **SETTINGS
    )
    np.testing.assert_array_equal(soft[22:], 0.5)

    def objective(partition):
        return float(partition_objective(first, second, partition, known, **SETTINGS))

    start = jax.nn.softmax(jax.random.normal(key, (24, 2)))
    assert objective(soft) > max(objective(start), objective(jnp.full((24, 2), 0.5)))
    assert 0.25 < soft[:22, 0].mean() < 0.75


def test_objective_by_hand_for_one_environment():
    """With one environment it is the contrastive loss: no variance, no entropy."""
    first, second = jnp.eye(3), jnp.eye(3)[:, [1, 0, 2]]
    value = partition_objective(first, second, jnp.ones((3, 1)), jnp.ones(3, bool), **SETTINGS)
    z = np.eye(3)[[1, 0, 2]] / 0.3
    expected = np.mean(np.log(np.exp(z).sum(1)) - np.diag(z))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_training_with_the_penalty_lowers_it(key):
    """The claim: slopes of the environments fall below those of training without the penalty."""
    batch, ends = make_batch(), {}
    for weight in (0.0, 5.0):
        method = build(weight=weight, growth=1.0, partition_epochs=(1,), penalty_factor=1.0)
        _, logged = train(method, batch, key, steps=30, lr=0.05, steps_per_epoch=5.0)
        ends[weight] = logged[-1]["invariance"]
        assert np.isnan(logged[0]["invariance"])  # no partition yet: 0 / 0 in the log
    assert ends[5.0] < 0.5 * ends[0.0]


def test_the_fpr_penalty_enters_the_loss_and_the_logits(key):
    batch = make_batch()
    plain, *_ = value_and_gradient(build(), batch, key)
    loss, aux, gradient, _ = value_and_gradient(build(penalty="tface"), batch, key)
    assert loss > plain and is_finite(gradient)
    assert aux.scalars["loss_identity"][0] > 12 * plain

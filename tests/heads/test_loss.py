"""One loss whatever the head: dense, in shards, in chunks; and what no device may hold or send."""

import functools
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fairjax import losses
from fairjax.core.types import DATA_AXIS, MODEL_AXIS
from fairjax.heads import Head, MarginLoss
from fairjax.heads.sample import draw
from fairjax.heads.shard import Shard
from fairjax.losses import FprPenalty
from fairjax.models.cosine_head import unit

BATCH, CLASSES, DIM = 16, 200, 8
MARGINS = {
    "softmax": {},
    "cosface": {"margin": 0.2},
    "arcface": {"margin": 0.3, "fallback": "linear", "grad": "exact"},
    "curricularface": {"margin": 0.3, "momentum": 0.5},
    "adaface": {"margin": 0.3, "concentration": 0.333, "momentum": 0.5},
    "magface": {"low": 1.0, "high": 9.0, "low_margin": 0.2, "high_margin": 0.5, "weight": 3.0},
}
# Every margin and every variant, on every number of shards. The chunks of `make_head` divide no
# shard, so that the last overlaps its neighbour.
CASES = [
    ("sharded", 2, "softmax", None),
    ("sharded", 2, "adaface", "tface"),
    ("sharded", 4, "curricularface", "paper"),
    ("sharded", 4, "magface", "mean_sq"),
    ("streamed", 1, "arcface", None),
    ("streamed", 1, "magface", "mean_sq"),
    ("streamed", 2, "cosface", "paper"),
    ("streamed", 2, "adaface", "tface"),
    ("streamed", 4, "curricularface", "paper"),
]


def make_head(name):
    return Head(name=name, chunk=24, rate=0.25)


def make_mesh(shards, devices=4):
    return jax.make_mesh(
        (devices // shards, shards),
        (DATA_AXIS, MODEL_AXIS),
        axis_types=(AxisType.Auto,) * 2,
        devices=jax.devices()[:devices],
    )


@functools.cache
def arrays():
    rng = np.random.default_rng(0)
    kernel = 0.01 * rng.standard_normal((CLASSES, DIM), np.float32)
    labels = rng.integers(0, CLASSES, BATCH).astype(np.int32)
    labels[1] = labels[0]  # two images of a person
    labels[2], labels[3] = 0, CLASSES - 1
    x = rng.standard_normal((BATCH, DIM), np.float32)
    x[::2] += 200 * kernel[labels[::2]]
    labels[-1], mask = -1, np.arange(BATCH) < BATCH - 2  # padding
    return kernel, x, labels, mask


def padded(kernel, rows):
    return np.pad(kernel, ((0, rows - len(kernel)), (0, 0)))


def make_step(head, margin, variant, *, classes=CLASSES):
    margin = losses.MARGINS[margin](scale=16.0, **MARGINS[margin])
    penalty = variant and FprPenalty(
        variant=variant, gamma_u=0.03, alpha=1.0, alpha_mode="one_plus_target", power=2.0
    )
    state = {name: 0.3 + value for name, value in margin.init_state().items()}
    losses_of = MarginLoss(head, margin, classes, penalty)

    def loss(kernel, x, labels, mask, key):
        outcome = losses_of(kernel, unit(x), labels, mask, state, key)
        return jnp.sum(jnp.where(mask, outcome.loss, 0.0)), outcome

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))


def run(head, margin, variant, mesh, key):
    """Loss and outcome, and the gradients by class weights and embeddings, of all real rows."""
    kernel, x, labels, mask = arrays()
    kernel = padded(kernel, head.rows(CLASSES))
    step = make_step(head, margin, variant)
    if mesh is None:
        (loss, outcome), grads = step(kernel, x, labels, mask, key)
    else:
        kernel = jax.device_put(kernel, NamedSharding(mesh, head.partition))
        with jax.set_mesh(mesh):
            (loss, outcome), grads = step(kernel, x, labels, mask, key)
        assert grads[0].sharding.is_equivalent_to(kernel.sharding, 2)
    assert not np.asarray(grads[0])[CLASSES:].any(), "a class that is none has a gradient"
    outcome = outcome._replace(
        loss=outcome.loss[mask],
        target=outcome.target[mask],
        penalty=outcome.penalty and (outcome.penalty.threshold, outcome.penalty.fpr[mask]),
    )
    return loss, outcome, grads[0][:CLASSES], grads[1]


def close(a, b):
    size = max(float(np.abs(np.asarray(b)).max()), 1e-6)
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * size)


@pytest.fixture(scope="module")
def dense():
    @functools.cache
    def once(margin, variant):
        return run(make_head("dense"), margin, variant, None, jax.random.key(0))

    return once


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("name", ["dense", "streamed"])
def test_an_embedding_and_a_class_of_zeros_get_no_gradient(key, name, margin):
    kernel, x, labels, mask = arrays()
    x, kernel = x.copy(), kernel.copy()
    x[1], kernel[labels[4]] = 0, 0
    head = make_head(name)
    _, grads = make_step(head, margin, None)(
        padded(kernel, head.rows(CLASSES)), x, labels, mask, key
    )
    np.testing.assert_array_equal(grads[0][labels[4]], np.zeros(DIM))
    np.testing.assert_array_equal(grads[1][1], np.zeros(DIM))
    for gradient in grads:
        assert 0 < np.abs(gradient).max() < 1e4


@pytest.mark.parametrize(("name", "shards", "margin", "variant"), CASES)
def test_losses_and_gradients_are_the_dense_heads(key, dense, name, shards, margin, variant):
    got = run(make_head(name), margin, variant, make_mesh(shards), key)
    expected = dense(margin, variant)
    if variant:
        assert float(jnp.max(expected[1].penalty[1])) > 0, "the penalty selects nothing"
    jax.tree.map(close, got, expected)


@functools.cache
def compiled(name, shards, variant, batch=64, classes=4096, dim=8):
    """The step on shapes alone, its embeddings spread as a backbone leaves them."""
    head, mesh = Head(name=name, chunk=128, rate=0.25), make_mesh(shards)
    by_batch = NamedSharding(mesh, PartitionSpec((DATA_AXIS, MODEL_AXIS)))
    kernel = jax.ShapeDtypeStruct(
        (head.rows(classes), dim), jnp.float32, sharding=NamedSharding(mesh, head.partition)
    )
    x, labels, mask = (
        jax.ShapeDtypeStruct((batch, *shape), dtype, sharding=by_batch)
        for shape, dtype in (((dim,), jnp.float32), ((), jnp.int32), ((), jnp.bool_))
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    with jax.set_mesh(mesh):
        step = make_step(head, "cosface", variant, classes=classes)
        return step.lower(kernel, x, labels, mask, key).compile()


def sizes(text):
    """The numbers in each array that a line of a compiled program names."""
    found = re.findall(r"\b(?:pred|[a-z]+\d+)\[([\d,]*)\]", text)
    return [math.prod(map(int, filter(None, shape.split(",")))) for shape in found]


def exchanged(text):
    """The numbers in the largest array that devices send one another."""
    kinds = "all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute"
    results = re.findall(rf" = (.*?) (?:{kinds})(?:-start)?\(", text)
    assert results
    return max(max(sizes(result)) for result in results)


@pytest.mark.parametrize(
    ("name", "variant"), [("sharded", "paper"), ("streamed", "tface"), ("sampled", None)]
)
def test_no_device_holds_batch_by_classes_or_sends_more_than_batch_by_dim(name, variant):
    text = compiled(name, 4, variant).as_text()
    assert exchanged(text) <= 64 * 8
    assert max(sizes(text)) <= (64 * 4096) // 4
    if name == "streamed":
        assert max(sizes(text)) < 64 * 4096 // 8  # the weights, and arrays of [batch, chunk]


def test_the_dense_head_sends_the_gradient_of_its_weights():
    text = compiled("dense", 1, None).as_text()
    assert exchanged(text) >= 4096 * 8, "the counting of what is sent sees nothing"


def test_the_workspace_of_a_streamed_head_is_a_few_chunks():
    memory = compiled("streamed", 1, "paper", classes=65_536).memory_analysis()
    gradient, chunk = 4 * 65_536 * 8, 4 * 64 * 128
    assert memory.temp_size_in_bytes < gradient + 16 * chunk < 4 * 64 * 65_536 / 6


@pytest.mark.slow
def test_eight_devices_equal_one(dense, tmp_path):
    case = ("curricularface", "paper")
    code = (
        "import jax; jax.config.update('jax_num_cpu_devices', 8); import numpy as np; "
        "from heads import test_loss as t; "
        f"r = t.run(t.make_head('streamed'), *{case}, t.make_mesh(8, 8), jax.random.key(0)); "
        f"np.savez({str(tmp_path / 'eight.npz')!r}, *jax.tree.leaves(r))"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths},
    )
    with np.load(tmp_path / "eight.npz") as eight:
        for got, expected in zip(eight.values(), jax.tree.leaves(dense(*case)), strict=True):
            close(got, expected)


def test_a_sample_of_everything_is_the_sharded_head(key, dense):
    head = Head(name="sampled", chunk=1, rate=1.0)
    got = run(head, "arcface", None, make_mesh(2), key)
    jax.tree.map(close, got, dense("arcface", None))


def test_the_loss_of_a_sample_is_the_softmax_over_it(key):
    head, (kernel, x, labels, mask) = make_head("sampled"), arrays()
    rows = padded(kernel, head.rows(CLASSES))
    place = jnp.where(labels < 0, len(rows), labels)
    shard = Shard(jnp.asarray(rows), place, jnp.arange(len(rows)) < CLASSES)
    sample = draw(shard, 64, jax.random.fold_in(key, 0))  # a quarter of 256
    (_, outcome), (kernel_grad, _) = make_step(head, "cosface", None)(rows, x, labels, mask, key)
    chosen = np.asarray(sample.kernel)[np.asarray(sample.counted)].astype(np.float64)
    unit_x, unit_w = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, chosen))
    for row in np.flatnonzero(mask):
        logits = 16.0 * unit_w @ unit_x[row]
        own = np.flatnonzero((chosen == kernel[labels[row]]).all(1))
        logits[own] -= 16.0 * 0.2
        np.testing.assert_allclose(
            outcome.loss[row], np.log(np.exp(logits).sum()) - logits[own[0]], rtol=1e-4
        )
    moved = np.asarray(kernel_grad).any(axis=1)
    inside = (rows[:, None] == chosen.astype(np.float32)[None]).all(2).any(1)
    np.testing.assert_array_equal(moved, inside)


def test_a_penalty_on_a_sample_is_refused():
    with pytest.raises(ValueError, match="'sampled' leaves out cosines that the FPR penalty"):
        make_step(make_head("sampled"), "cosface", "paper")


def test_a_label_that_is_no_class_makes_the_sum_nan_and_padding_does_not():
    of_three = MarginLoss(Head(), losses.CosFace(), 3)
    each, labels = jnp.array([1.0, 2.0, 4.0]), jnp.array([0, 2, -1])
    total, count = of_three.summed(each, labels, jnp.array([True, True, False]))
    assert (float(total), float(count)) == (3.0, 2.0)
    for wrong in (-1, 3):
        total, _ = of_three.summed(each, labels.at[2].set(wrong), jnp.ones(3, bool))
        assert np.isnan(total)

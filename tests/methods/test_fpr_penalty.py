import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.core.types import Target
from fairjax.heads import Head
from fairjax.losses import MARGINS
from fairjax.methods import METHODS, fpr_penalty
from fairjax.run import sharding

TARGETS = {
    "identity": Target(tuple(map(str, range(12))), mean=0.0, std=1.0),
    "group": Target(("north", "south"), mean=0.0, std=1.0),
}
COSFACE = MARGINS["cosface"](scale=16.0, margin=0.2)
HEAD = Head(name="dense", chunk=8, rate=0.5)


class Linear(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        return nn.Dense(6)(x.reshape(len(x), -1))


def build(**changes):
    settings = dict(
        variant="paper",
        gamma_u=0.1,
        alpha=1.0,
        alpha_mode="constant",
        power=2.0,
        label="identity",
        margin=COSFACE,
        head=HEAD,
        tta="none",
        log_groups="group",
    )
    return METHODS["fpr_penalty"](
        backbone=Linear(),
        targets=TARGETS,
        preprocess=lambda x: x.astype(jnp.float32) / 255 - 0.5,
        **{**settings, **changes},
    )


def make_batch(rows=16):
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.integers(0, 256, (rows, 4, 4, 3)), jnp.uint8),
        "identity": jnp.asarray(rng.integers(0, 12, rows), jnp.int32),
        "group": jnp.asarray(np.arange(rows) % 4 == 0, jnp.int32),
        "mask": jnp.ones(rows, bool),
    }


def run(method, batch, key):
    params, model_state = jax.jit(method.init)(key, batch)
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    (loss, aux), grads = step(params, model_state, batch, key)
    means = {name: float(total / count) for name, (total, count) in aux.scalars.items()}
    return loss, grads, means


def test_without_strength_it_is_the_plain_margin(key):
    batch = make_batch()
    plain = METHODS["cosine_margin"](
        backbone=Linear(),
        targets=TARGETS,
        preprocess=lambda x: x.astype(jnp.float32) / 255 - 0.5,
        label="identity",
        margin=COSFACE,
        head=HEAD,
        tta="none",
    )
    params, model_state = jax.jit(plain.init)(key, batch)
    step = jax.jit(jax.value_and_grad(plain.loss, has_aux=True))
    (expected, _), grads = step(params, model_state, batch, key)
    loss, got, _ = run(build(alpha=0.0), batch, key)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, grads)
    assert float(run(build(), batch, key)[0]) > float(expected)


@pytest.mark.parametrize("head", ["dense", "streamed"])
@pytest.mark.parametrize(("epoch", "alpha"), [(0.0, 0.0), (1.0, 0.25), (4.0, 1.0), (9.0, 1.0)])
def test_a_growing_penalty_is_that_of_its_epoch(key, head, epoch, alpha):
    """The paper's shift is proportional to alpha."""
    head = Head(name=head, chunk=8, rate=0.5)
    batch = {**make_batch(), "epoch": jnp.float32(epoch)}
    loss, grads, means = run(build(ramp_epochs=4.0, head=head), batch, key)
    expected, expected_grads, _ = run(build(alpha=alpha, head=head), batch, key)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6), grads, expected_grads
    )
    assert means["penalty_strength"] == alpha


def test_margin_and_penalty_grow_apart(key):
    batch = {**make_batch(), "epoch": jnp.float32(1.0)}
    loss, _, means = run(build(ramp_epochs=2.0, margin_ramp_epochs=4.0), batch, key)
    smaller = MARGINS["cosface"](scale=16.0, margin=0.05)
    expected, _, _ = run(build(alpha=0.5, margin=smaller), batch, key)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert (means["margin_strength"], means["penalty_strength"]) == (0.25, 0.5)


def test_a_negative_ramp_is_refused():
    with pytest.raises(ValueError, match="config.method.ramp_epochs=-1.0 must be 0 or more"):
        build(ramp_epochs=-1.0)


def test_what_is_logged_is_what_numpy_counts(key):
    method, batch = build(), make_batch()
    _, _, means = run(method, batch, key)
    params, model_state = jax.jit(method.init)(key, batch)
    x = jax.jit(method.predict)({"params": params, **model_state}, batch)["embedding"]
    weights = params["head"]["kernel"]
    cosines = np.array(x @ (weights / jnp.linalg.norm(weights, axis=1, keepdims=True)).T)
    cosines[np.arange(16), batch["identity"]] = -np.inf
    k = int(np.ceil(0.1 * 16 * 11))
    threshold = np.sort(cosines, axis=None)[-k]
    fpr = (cosines > threshold).sum(1) / 11
    shift = np.where(cosines > threshold, np.maximum(cosines, 0) ** 2, 0).sum(1) / 11 / 0.1
    np.testing.assert_allclose(means["fpr_threshold"], threshold, rtol=1e-5)
    group = np.asarray(batch["group"])
    for suffix, members in (("", group >= 0), ("_north", group == 0), ("_south", group == 1)):
        expected = {
            "fpr_mean": fpr[members].mean(),
            "fpr_p95": np.quantile(fpr[members], 0.95),
            "fpr_max": fpr[members].max(),
            "penalty_mass": shift[members].mean(),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(means[name + suffix], value, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("variant", ["paper", "tface", "mean_sq"])
def test_groups_never_enter_the_loss(key, variant):
    method, batch = build(variant=variant), make_batch()
    loss, grads, _ = run(method, batch, key)
    other = {**batch, "group": 1 - batch["group"]}
    without = {name: column for name, column in batch.items() if name != "group"}
    for changed in (other, without):
        same_loss, same_grads, means = run(method, changed, key)
        assert float(same_loss) == float(loss)
        jax.tree.map(np.testing.assert_array_equal, same_grads, grads)
    assert "fpr_mean" in means
    assert "fpr_mean_north" not in means


def test_a_group_without_rows_has_no_rate_rather_than_zero(key):
    batch = make_batch() | {"group": jnp.zeros(16, jnp.int32)}
    _, _, means = run(build(), batch, key)
    absent = ["fpr_mean_south", "fpr_p95_south", "fpr_max_south", "penalty_mass_south"]
    assert all(np.isnan(means[name]) for name in absent)
    assert np.isfinite([means[name.replace("south", "north")] for name in absent]).all()


def test_summary_by_hand_counts_members_alone():
    fpr, shift = jnp.array([0.0, 0.1, 0.2, 9.0]), jnp.array([1.0, 2.0, 3.0, 9.0])
    members = jnp.array([True, True, True, False])
    summary = fpr_penalty.summary(fpr, shift, members)
    got = {name: float(total / count) for name, (total, count) in summary.items()}
    expected = {"fpr_mean": 0.1, "fpr_p95": 0.19, "fpr_max": 0.2, "penalty_mass": 2.0}
    np.testing.assert_allclose([got[name] for name in expected], list(expected.values()), rtol=1e-5)


@pytest.mark.parametrize("variant", ["paper", "tface"])
def test_four_devices_equal_one(key, variant):
    method, batch = build(variant=variant), make_batch()
    params, model_state = jax.jit(method.init)(key, batch)
    mesh = sharding.make_mesh()
    whole, by_batch = sharding.replicated(mesh), sharding.by_batch(mesh)
    step = jax.value_and_grad(method.loss, has_aux=True)
    alone = jax.jit(step)(params, model_state, batch, key)
    spread = jax.jit(step, in_shardings=(whole, whole, by_batch, whole), out_shardings=whole)(
        params, model_state, batch, key
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), alone, spread)


def test_it_stands_on_any_margin(key):
    margins = [
        MARGINS["softmax"](scale=16.0),
        MARGINS["arcface"](scale=16.0, margin=0.3, fallback="linear", grad="exact"),
        MARGINS["curricularface"](scale=16.0, margin=0.3, momentum=0.1),
    ]
    for margin in margins:
        loss, grads, means = run(build(margin=margin), make_batch(), key)
        assert np.isfinite(loss)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
        assert means["penalty_mass"] > 0


def test_a_batch_too_small_for_the_rate_is_refused(key):
    with pytest.raises(
        ValueError, match=r"gamma_u=0.001 makes T the largest of the batch's 16 x 11"
    ):
        run(build(gamma_u=1e-3), make_batch(), key)


def test_a_threshold_that_rests_on_few_cosines_is_said(key, caplog):
    run(build(), make_batch(), key)
    assert not caplog.text
    run(build(gamma_u=0.03), make_batch(), key)  # 5.28 of 176
    assert "Only 5 cosines of a batch are above the FPR threshold" in caplog.text


def test_the_allowance_is_logged_once_and_one_below_a_false_positive_warns(key, caplog):
    fpr_penalty.log_allowance.cache_clear()
    with caplog.at_level("INFO"):
        for _ in range(2):
            build(gamma_u=0.05)  # of 11 other classes
    told = "gamma_u=0.05 allows an image 0.55 false positives on average"
    assert [r.levelname for r in caplog.records if told in r.getMessage()] == ["INFO", "WARNING"]
    assert "Set config.method.gamma_u to 'auto' (2.8, as in the paper) or 0 (1)." in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        build(gamma_u="auto")
        build(gamma_u=0.0)
    assert "gamma_u=auto allows an image 2.8 false positives" in caplog.text
    assert "gamma_u=0.0 allows an image 1 false positives" in caplog.text
    assert all(r.levelname == "INFO" for r in caplog.records)


def test_auto_trains(key):
    loss, grads, means = run(build(gamma_u="auto"), make_batch(), key)
    by_rate, *_ = run(build(gamma_u=2.8 / 11), make_batch(), key)
    np.testing.assert_allclose(loss, by_rate, rtol=1e-5)
    assert means["penalty_mass"] > 0

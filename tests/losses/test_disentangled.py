import jax
import jax.numpy as jnp
import numpy as np
import pytest
from authors_vectors import authors_vectors

from fairjax.losses.adversarial import uniform_cross_entropy
from fairjax.losses.disentangled import (
    foreign_attribute_losses,
    joint_or_permuted_loss,
    own_attribute_losses,
    with_permuted_blocks,
)
from fairjax.models.discriminator import IndependenceDiscriminator

KEYS = [f"h{i:02d}" for i in range(17)]


def heads_of(w):
    def identity(block, labels):
        unit = block / jnp.linalg.norm(block, axis=1, keepdims=True)
        weights = w["h00"] / jnp.linalg.norm(w["h00"], axis=1, keepdims=True)
        margin = 0.35 * jax.nn.one_hot(labels, len(weights), dtype=block.dtype)
        return 64 * (unit @ weights.T - margin)

    return {"race": lambda block, _: block @ w["h01"].T + w["h02"][None], "id": identity}


def discriminator_variables(w):
    def norm(i):
        return {"scale": w[f"h{i:02d}"], "bias": w[f"h{i + 1:02d}"]}

    params = {
        "dense_1": {"kernel": w["h03"].T, "bias": w["h04"]},
        "norm_1": norm(5),
        "prelu_1": {"slope": w["h07"]},
        "dense_2": {"kernel": w["h08"].T, "bias": w["h09"]},
        "norm_2": norm(10),
        "prelu_2": {"slope": w["h12"]},
        "out": {"kernel": w["h13"].T, "bias": w["h14"]},
        "norm_out": norm(15),
    }
    return {"params": params}


@pytest.fixture(scope="module")
def step():
    """The authors' step: terms and gradients of L1 and L2, in float64."""
    v = authors_vectors("debface_step")
    model = IndependenceDiscriminator()
    with jax.enable_x64(True):
        stats = model.init(jax.random.key(0), jnp.zeros((4, 12)), train=True)["batch_stats"]
        labels = {"race": jnp.asarray(v.race), "id": jnp.asarray(v.identity)}
        permutations = {"race": jnp.asarray(v.permute_race), "id": jnp.asarray(v.permute_id)}

        def terms(f, w):
            blocks = {"race": f[:, :6], "id": f[:, 6:]}
            rows = with_permuted_blocks(blocks, permutations)
            logits, _ = model.apply(
                {**discriminator_variables(w), "batch_stats": stats},
                rows,
                train=True,
                mutable=["batch_stats"],
            )
            own = own_attribute_losses(blocks, labels, heads_of(w))
            foreign = foreign_attribute_losses(blocks, labels, heads_of(w))
            return {
                "l_race": own["race"].mean(),
                "l_id": own["id"].mean(),
                "l_mi": joint_or_permuted_loss(logits).mean(),
                "c_race_block": foreign["race", "id"].mean(),
                "c_id_block": foreign["id", "race"].mean(),
                "c_mi": uniform_cross_entropy(logits).mean(),
            }

        def total(prefix):
            return lambda f, w: sum(t for name, t in terms(f, w).items() if name[0] == prefix)

        f, w = jnp.asarray(v.f), {key: jnp.asarray(getattr(v, key)) for key in KEYS}
        found = jax.jit(terms)(f, w)
        first = jax.jit(jax.grad(total("l"), argnums=(0, 1)))(f, w)
        second = jax.jit(jax.grad(total("c")))(f, w)
    return v, found, first, second


def test_terms_are_the_authors(step):
    v, found, _, _ = step
    for name, value in found.items():
        np.testing.assert_allclose(
            value, getattr(v, name), rtol=2e-4 if name.endswith("mi") else 1e-10, err_msg=name
        )


def test_gradients_are_the_authors(step):
    v, _, (to_features, to_heads), second = step
    # Batch norm's statistics are float32, so the discriminator's share is compared as such.
    for ours, theirs in ((to_features, v.grad_f_L1), (second, v.grad_f_L2)):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-6 * abs(theirs).max())
    for key in KEYS[:3]:
        np.testing.assert_allclose(to_heads[key], getattr(v, f"grad_{key}"), rtol=1e-9, atol=1e-10)
    largest = max(abs(getattr(v, f"grad_{key}")).max() for key in KEYS[3:])
    for key in KEYS[3:]:  # biases before a batch norm have no gradient but rounding
        np.testing.assert_allclose(
            to_heads[key], getattr(v, f"grad_{key}"), rtol=2e-4, atol=1e-5 * largest, err_msg=key
        )


def test_foreign_losses_run_over_ordered_pairs_of_different_blocks():
    blocks = {name: jnp.ones((2, 3)) for name in "abc"}
    heads = {name: lambda block, _: block for name in "abc"}
    pairs = foreign_attribute_losses(blocks, dict.fromkeys("abc", jnp.zeros(2, int)), heads)
    assert set(pairs) == {(a, b) for a in "abc" for b in "abc" if a != b}
    np.testing.assert_allclose(pairs["a", "b"], np.log([3.0, 3.0]), rtol=1e-6)

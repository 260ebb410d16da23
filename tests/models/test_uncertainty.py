import jax
import jax.numpy as jnp
import numpy as np
import pytest
from authors_vectors import authors_vectors

from fairjax.models.uncertainty import UncertaintyHead


@pytest.mark.parametrize(
    ("gamma", "expected"), [(1e-4, "log_sigma_sq_at_start"), (0.5, "log_sigma_sq_gamma_half")]
)
def test_head_in_training_is_the_authors(gamma, expected):
    v = authors_vectors("pfe_head_train")
    with jax.enable_x64(True):
        head = UncertaintyHead(6)
        x = jnp.asarray(v.x)
        variables = head.init(jax.random.key(0), x, train=False)
        params = {
            "hidden": {"kernel": jnp.asarray(v.w1)},
            "hidden_norm": {"scale": jnp.asarray(v.bn1_scale), "bias": jnp.asarray(v.bn1_offset)},
            "out": {"kernel": jnp.asarray(v.w2)},
            "gamma": jnp.asarray(gamma),
            "beta": jnp.asarray(-7.0),
        }
        assert jax.tree.structure(params) == jax.tree.structure(variables["params"])
        value, moved = head.apply(
            {"params": params, "batch_stats": variables["batch_stats"]},
            x,
            train=True,
            mutable=["batch_stats"],
        )
    # Batch statistics are kept in float32 by design.
    np.testing.assert_allclose(value, getattr(v, expected), rtol=2e-4)
    mean = moved["batch_stats"]["hidden_norm"]["mean"]
    np.testing.assert_allclose(mean, 0.005 * v.batch_mean1, rtol=2e-4, atol=1e-6)


def test_parameter_count_is_the_papers():
    shapes = jax.eval_shape(
        lambda: UncertaintyHead(512).init(jax.random.key(0), jnp.zeros((1, 7, 7, 512)), train=False)
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == 13_108_226

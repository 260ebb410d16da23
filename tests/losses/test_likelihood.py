import jax
import jax.numpy as jnp
import numpy as np
from authors_vectors import authors_vectors

from fairjax.losses.likelihood import fused, genuine_pairs_loss, mutual_likelihood


def test_mutual_likelihood_by_hand():
    # (0.6, 0.8) and (0.8, 0.6): 0.04 / 0.4 + 0.04 / 0.3 + log 0.4 + log 0.3 = -1.8869302
    value = mutual_likelihood(
        jnp.array([[0.6, 0.8]]),
        jnp.array([[0.1, 0.2]]),
        jnp.array([[0.8, 0.6]]),
        jnp.array([[0.3, 0.1]]),
    )
    np.testing.assert_allclose(value, [1.8869302], rtol=1e-6)


def test_mutual_likelihood_is_the_authors():
    v = authors_vectors("pfe_scores")
    with jax.enable_x64(True):
        mu, variance = jnp.asarray(v.mu), jnp.asarray(v.sigma_sq)
        ours = mutual_likelihood(mu[:4], variance[:4], mu[4:], variance[4:])
        np.testing.assert_allclose(ours, v.mls_first4_last4, rtol=1e-10)


def test_loss_and_gradient_are_the_authors():
    v = authors_vectors("pfe_scores")
    with jax.enable_x64(True):

        def loss(log_variance):
            total, count = genuine_pairs_loss(
                jnp.asarray(v.mu), log_variance, jnp.asarray(v.identity), jnp.ones(8, bool)
            )
            return total / count

        value, gradient = jax.value_and_grad(loss)(jnp.log(jnp.asarray(v.sigma_sq)))
    np.testing.assert_allclose(value, v.loss, rtol=1e-10)
    np.testing.assert_allclose(gradient, v.grad_log_sigma_sq, rtol=1e-9, atol=1e-10)


def test_padding_counts_for_nothing_and_nobody_with_two_images_is_no_pair():
    mean, log_variance = jnp.eye(3), jnp.zeros((3, 3))
    identity = jnp.array([0, 0, 1])
    total, count = genuine_pairs_loss(mean, log_variance, identity, jnp.array([True, False, True]))
    assert (total, count) == (0, 0)
    total, count = genuine_pairs_loss(mean, log_variance, identity, jnp.ones(3, bool))
    # Each of both orders: squared distance 2 over variance 2, and 3 log 2.
    np.testing.assert_allclose((total, count), (2 * (1 + 3 * np.log(2)), 2), rtol=1e-6)


def test_fused_embedding_is_the_authors():
    v = authors_vectors("pfe_scores")
    with jax.enable_x64(True):
        mean, variance = fused(jnp.asarray(v.mu[:3]), jnp.asarray(v.sigma_sq[:3]))
    np.testing.assert_allclose(mean, v.fused_mu, rtol=1e-10)
    np.testing.assert_allclose(variance, v.fused_sigma_sq, rtol=1e-10)


def test_several_faces_are_fused_each_for_itself():
    key, other = jax.random.split(jax.random.key(3))
    mean = jax.random.normal(key, (3, 5, 4))  # three images of each of five faces
    variance = jnp.exp(jax.random.normal(other, (3, 5, 4)))
    together = fused(mean, variance)
    for face in range(5):
        alone = fused(mean[:, face], variance[:, face])
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_allclose(many[face], one, rtol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(together[0], axis=-1), np.ones(5), rtol=1e-6)

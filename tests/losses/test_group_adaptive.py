import jax
import jax.numpy as jnp
import numpy as np
from authors_vectors import authors_vectors

from fairjax.losses.group_adaptive import attention_loss, mask_distance, spread_gap


def test_attention_loss_and_gradient_are_the_authors():
    v = authors_vectors("gac_attention_loss")
    raw = [v.att0, v.att1, v.att2]
    with jax.enable_x64(True):

        def loss(raw):
            return attention_loss([jax.nn.sigmoid(a[:, 0, :, 0, 0]) for a in raw])

        value, gradients = jax.value_and_grad(loss)([jnp.asarray(a) for a in raw])
    np.testing.assert_allclose(value, v.loss, rtol=1e-10)
    for gradient, theirs in zip(gradients, (v.grad0, v.grad1, v.grad2), strict=True):
        np.testing.assert_allclose(gradient, theirs, rtol=1e-10, atol=1e-12)


def test_attention_loss_by_hand():
    # (0.5, 0.5) x (1, 0) - I = [[-0.5, 0], [0.5, -1]]: mean square 1.5 / 4
    np.testing.assert_allclose(attention_loss([jnp.array([[0.5, 0.5], [1.0, 0.0]])]), 0.375)


def test_spread_gap_and_gradient_are_the_authors():
    v = authors_vectors("gac_debias_loss")
    with jax.enable_x64(True):

        def loss(f):
            return spread_gap(
                f, jnp.asarray(v.identity), jnp.asarray(v.group), jnp.ones(12, bool), groups=4
            )

        value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(v.features))
    np.testing.assert_allclose(value, v.loss, rtol=1e-10)
    np.testing.assert_allclose(gradient, v.grad, rtol=1e-9, atol=1e-12)


def test_spread_gap_by_hand_leaves_out_padding_unknown_and_absent_groups():
    # Group 0: one person at 0 and 2 (spread 1). Group 2: one at 0 and 6 (spread 9). Gap 4.
    features = jnp.array([[0.0], [2.0], [0.0], [6.0], [99.0], [50.0]])
    identity, group = jnp.array([0, 0, 1, 1, 1, 2]), jnp.array([0, 0, 2, 2, 2, -1])
    mask = jnp.array([True, True, True, True, False, True])
    value, gradient = jax.value_and_grad(lambda f: spread_gap(f, identity, group, mask, groups=4))(
        features
    )
    assert value == 4.0
    assert np.isfinite(gradient).all() and (gradient[4:] == 0).all()


def test_spread_gap_of_one_group_is_zero_with_finite_gradient():
    def loss(f):
        return spread_gap(f, jnp.array([0, 0]), jnp.array([1, 1]), jnp.ones(2, bool), groups=3)

    value, gradient = jax.value_and_grad(loss)(jnp.array([[0.0], [2.0]]))
    assert value == 0 and np.isfinite(gradient).all()


def test_mask_distance_is_the_authors():
    v = authors_vectors("gac_fusion")
    with jax.enable_x64(True):
        np.testing.assert_allclose(mask_distance(jnp.asarray(v.mask)), v.dist, rtol=1e-10)


def test_equal_masks_have_distance_minus_one():
    masks = jnp.broadcast_to(jnp.arange(1.0, 10.0), (4, 9))
    np.testing.assert_allclose(mask_distance(masks), -1.0, rtol=1e-6)


def test_a_mask_of_zeros_has_no_direction_and_gets_no_gradient():
    masks = jnp.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    value, gradient = jax.value_and_grad(mask_distance)(masks)
    np.testing.assert_allclose(value, -1 / 3, rtol=1e-6)  # the cosines are 0, 0 and 1
    assert (gradient[0] == 0).all() and np.isfinite(gradient).all()

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from fairjax.losses import cross_entropy, masked_sum, regression


def test_cross_entropy_by_hand():
    # Softmax of (log 1, log 3) is (1/4, 3/4).
    logits = jnp.log(jnp.array([[1.0, 3.0], [1.0, 3.0]]))
    losses = cross_entropy(logits, jnp.array([0, 1]), label_smoothing=0.0)
    np.testing.assert_allclose(losses, [np.log(4), np.log(4 / 3)], rtol=1e-6)


def test_smoothing_spreads_its_share_over_all_classes():
    # With e = 0.2 and two classes the targets are 0.9 and 0.1.
    logits = jnp.log(jnp.array([[1.0, 3.0]]))
    loss = cross_entropy(logits, jnp.array([0]), label_smoothing=0.2)
    np.testing.assert_allclose(loss, [0.9 * np.log(4) + 0.1 * np.log(4 / 3)], rtol=1e-6)


def test_cross_entropy_agrees_with_numpy_and_has_true_gradients(key):
    logits = jax.random.normal(key, (5, 3))
    labels = jnp.array([0, 1, 2, 1, 0])
    z = np.asarray(logits, np.float64)
    expected = np.log(np.exp(z).sum(1)) - z[np.arange(5), labels]
    losses = cross_entropy(logits, labels, label_smoothing=0.0)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    check_grads(
        lambda x: cross_entropy(jnp.asarray(x), labels, label_smoothing=0.1).sum(),
        (logits,),
        order=1,
    )


def test_a_label_outside_the_head_gives_nan_not_a_wrong_loss():
    losses = cross_entropy(jnp.zeros((2, 3)), jnp.array([3, -1]), label_smoothing=0.0)
    assert np.isnan(losses).all()


@pytest.mark.parametrize(
    ("kind", "expected"), [("mse", [0.25, 4.0]), ("l1", [0.5, 2.0]), ("huber", [0.125, 1.5])]
)
def test_regression_by_hand(kind, expected):
    losses = regression(jnp.array([1.5, -1.0]), jnp.array([1.0, 1.0]), kind=kind)
    np.testing.assert_allclose(losses, expected)


def test_an_unknown_regression_loss_is_named():
    with pytest.raises(ValueError, match="'mae' is not known; known: mse, l1, huber"):
        regression(jnp.zeros(1), jnp.zeros(1), kind="mae")


def test_masked_equals_removed_even_where_padding_is_nan():
    total, count = masked_sum(jnp.array([1.0, jnp.nan, 3.0]), jnp.array([True, False, True]))
    assert (float(total), float(count)) == (4.0, 2.0)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        masked_sum(jnp.zeros(3), jnp.ones(2, bool))

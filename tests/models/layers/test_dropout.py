"""Dropout: its share, its scale, and that two decisions of one draw are independent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import InvalidRngError

from fairjax.models.layers.dropout import Dropout


def dropped(x, key, **settings):
    return Dropout(**settings).apply({}, x, train=True, rngs={"dropout": key})


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.875])
def test_share_and_scale_are_those_asked_for(key, rate):
    x = jnp.full((1000, 400), 3.0)
    y = np.asarray(dropped(x, key, rate=rate))
    share = round(rate * 65536) / 65536
    np.testing.assert_allclose(np.unique(y), [0, 3 / (1 - share)], rtol=1e-6)
    deviation = np.sqrt(share * (1 - share) / y.size)
    assert abs((y == 0).mean() - share) < 5 * deviation
    halves = np.split(y == 0, 2, axis=1)
    for half in halves:
        assert abs(half.mean() - share) < 8 * deviation
    both = (halves[0] & halves[1]).mean()  # drawn together
    assert abs(both - share**2) < 8 * deviation


def test_without_training_or_rate_nothing_changes_and_no_key_is_needed():
    x = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(Dropout(0.5).apply({}, x, train=False), x)
    np.testing.assert_array_equal(Dropout(0.0).apply({}, x, train=True), x)
    with pytest.raises(InvalidRngError, match="dropout"):
        Dropout(0.5).apply({}, x, train=True)


def test_rate_one_drops_everything(key):
    np.testing.assert_array_equal(dropped(jnp.ones((2, 3)), key, rate=1.0), np.zeros((2, 3)))


@pytest.mark.parametrize("shape", [(5, 7), (8, 1), (3,)])
def test_any_shape_keeps_its_shape_and_dtype(key, shape):
    y = dropped(jnp.ones(shape, jnp.bfloat16), key, rate=0.5)
    assert (y.shape, y.dtype) == (shape, jnp.bfloat16)


def test_broadcast_axes_share_one_decision(key):
    y = np.asarray(dropped(jnp.ones((64, 4, 6)), key, rate=0.5, broadcast_dims=(1, 2)))
    per_image = y.reshape(64, -1)
    np.testing.assert_array_equal(per_image, per_image[:, :1].repeat(24, axis=1))
    assert 0 < (per_image[:, 0] == 0).sum() < 64


def test_the_key_decides(key):
    x = jnp.ones((16, 16))
    one, same, other = (dropped(x, k, rate=0.5) for k in (key, key, jax.random.fold_in(key, 1)))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()

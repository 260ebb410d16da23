import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from grouped_example import Stage

from fairjax.models.attention_map import expose, overlay, pair_maps, running_mean_maps


class Summed(nn.Module):
    """The channels' sums over the image are the embedding, so that gradients are known."""

    @nn.compact
    def __call__(self, x, *, train):
        """Maps images `[batch, height, width, 3]` to `[batch, 3]`."""
        return expose(self, "stage_1", x).sum(axis=(1, 2))


def test_pair_maps_by_hand():
    """Two images whose embeddings are (3, 4, 0) and (4, 3, 0): cosine 24 / 25."""
    first = jnp.zeros((1, 2, 2, 3)).at[0, 0, 0].set(jnp.array([3.0, 4.0, 0.0]))
    second = jnp.zeros((1, 2, 2, 3)).at[0, 1, 1, 0].set(4.0).at[0, 0, 1, 1].set(3.0)
    one, other, cosine = pair_maps(Summed(), {}, first, second, layer="stage_1")
    np.testing.assert_allclose(cosine, 0.96, rtol=1e-6)
    # d cos / d e1 = (u2 - cos u1) / |e1| = ((0.8, 0.6) - 0.96 (0.6, 0.8)) / 5
    # = (0.0448, -0.0336), and (-0.0336, 0.0448) for the second.
    # At (0, 0) of the first: 3 * 0.0448 - 4 * 0.0336 = 0: nothing contributes.
    np.testing.assert_allclose(one, 0, atol=1e-2)
    # Of the second: 4 * -0.0336 < 0 at (1, 1), and 3 * 0.0448 > 0 at (0, 1).
    np.testing.assert_allclose(other[0], [[0, 1], [0, 0]], atol=1e-4)


def test_a_backbone_says_which_maps_it_has(key):
    images = jnp.ones((1, 8, 8, 3))
    stage = Stage()
    variables = stage.init(key, images, train=False)
    with pytest.raises(ValueError, match="exposes no map 'stage_3'; it has: stage_4"):
        pair_maps(stage, variables, images, images, layer="stage_3")


def test_overlay_is_red_where_the_map_is_largest_and_the_picture_where_it_is_zero():
    images = jnp.full((2, 4, 4, 3), 100, jnp.uint8)
    maps = jnp.zeros((2, 4, 4)).at[0, 1, 2].set(0.3)
    drawn = np.asarray(overlay(images, maps))
    assert drawn[0, 1, 2].tolist() == [193, 40, 40]  # 0.4 * 100 + 0.6 * (255, 0, 0)
    assert drawn[0, 3, 0].tolist() == [100, 100, 100]
    np.testing.assert_array_equal(drawn[1], images[1])


def test_mean_maps_move_towards_the_batch_for_groups_that_are_there():
    mean = jnp.ones((3, 1, 2))
    maps = jnp.array([[[0.0, 1.0]], [[1.0, 0.0]], [[1.0, 0.0]], [[0.5, 0.5]]])
    group, mask = jnp.array([0, 0, 2, -1]), jnp.array([True, True, False, True])
    moved = running_mean_maps(mean, maps, group, mask, rate=0.5)
    np.testing.assert_allclose(moved[0], [[0.75, 0.75]])
    np.testing.assert_array_equal(moved[1:], 1)  # one is absent, the other padding
    gradient = jax.grad(lambda m: running_mean_maps(mean, m, group, mask).sum())(maps)
    np.testing.assert_array_equal(gradient, 0)

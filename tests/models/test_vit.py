"""Sizes, positions and attention of the Vision Transformer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax import config
from fairjax.models.vit import ViT, patchify, resized_positions, sincos_positions, unpatchify


def sized(size, **fields):
    section = config.vit(size, **fields).to_dict()
    assert section.pop("name") == "vit"
    return ViT(**section)


def count(module, side=224):
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(partial(module.init, train=False), jax.random.key(0), images)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


small = partial(ViT, dim=16, depth=2, heads=2, patch=8)


@pytest.fixture
def images(key):
    return jax.random.normal(key, (2, 32, 32, 3))


@pytest.mark.parametrize(
    ("size", "parameters"), [("tiny", 5_524_416), ("base", 85_798_656), ("large", 303_301_632)]
)
def test_the_number_of_parameters_is_the_published_one(size, parameters):
    assert count(sized(size)) == parameters


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("tiny", 5_486_592), ("small", 21_590_016), ("base", 85_647_360), ("large", 303_099_904)],
)
def test_fixed_positions_are_no_parameters(size, parameters):
    assert count(sized(size, positions="sincos")) == parameters


def test_patches_run_in_raster_order_and_pixels_by_row_column_channel():
    images = jnp.arange(4 * 4 * 3, dtype=jnp.float32).reshape(1, 4, 4, 3)
    patches = patchify(images, patch=2)
    assert patches.shape == (1, 4, 12)
    np.testing.assert_array_equal(patches[0, 1], images[0, :2, 2:].ravel())
    np.testing.assert_array_equal(patches[0, 2], images[0, 2:, :2].ravel())


def test_patches_go_together_again(images):
    np.testing.assert_array_equal(unpatchify(patchify(images, patch=8), patch=8), images)


def test_a_patch_that_does_not_divide_the_image_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"patch=7 .* 32x32 .*\[2, 4, 8, 16, 32\]"):
        patchify(jnp.zeros((1, 32, 32, 3)), patch=7)


def test_position_of_column_2_row_1_is_the_worked_one():
    expected = (0.909297, 0.019999, -0.416147, 0.999800, 0.841471, 0.010000, 0.540302, 0.999950)
    positions = sincos_positions(4, 8)
    np.testing.assert_allclose(positions[1 + 4 * 1 + 2], expected, atol=1e-6)
    assert not positions[0].any()


@pytest.mark.parametrize("pool", ["cls", "mean", "tokens"])
def test_attention_on_request_changes_no_result_and_its_rows_add_up_to_one(key, images, pool):
    variables = small(pool=pool).init(key, images, train=False)
    fused = small(pool=pool).apply(variables, images, train=False)
    explicit, sown = small(pool=pool, maps=True).apply(
        variables, images, train=False, mutable="intermediates"
    )
    np.testing.assert_allclose(fused, explicit, atol=2e-6)
    for block in range(2):
        (attention,) = sown["intermediates"][f"block_{block}"]["attention"]
        assert attention.shape == (2, 2, 17, 17)
        np.testing.assert_allclose(attention.sum(axis=-1), 1.0, rtol=1e-5)


def test_a_patch_that_is_not_kept_plays_no_part(key, images):
    model = small(pool="tokens")
    variables = model.init(key, images, train=False)
    keep_ids = jnp.array([[0, 5, 6], [1, 2, 15]])
    tokens = model.apply(variables, images, train=False, keep_ids=keep_ids)
    hidden = images.at[0, :8, 8:16].add(9.0)  # patch 1 of the first image
    again = model.apply(variables, hidden, train=False, keep_ids=keep_ids)
    assert tokens.shape == (2, 4, 16)
    np.testing.assert_array_equal(tokens, again)


def test_keeping_every_patch_is_keeping_none_back(key, images):
    model = small(pool="tokens")
    variables = model.init(key, images, train=False)
    every = jnp.broadcast_to(jnp.arange(16), (2, 16))
    np.testing.assert_allclose(
        model.apply(variables, images, train=False, keep_ids=every),
        model.apply(variables, images, train=False),
        atol=2e-6,
    )


def test_without_positions_the_order_of_patches_would_not_matter(key, images):
    """Permuting patches together with their learned positions permutes the tokens."""
    model = small(pool="tokens")
    variables = model.init(key, images, train=False)
    order = jax.random.permutation(key, 16)
    keep_ids = jnp.broadcast_to(order, (2, 16))
    straight = model.apply(variables, images, train=False)
    permuted = model.apply(variables, images, train=False, keep_ids=keep_ids)
    np.testing.assert_allclose(permuted[:, 1:], straight[:, 1:][:, order], atol=2e-6)


def test_learned_positions_are_interpolated_to_another_size(key, images):
    ramp = jnp.tile(jnp.arange(4.0), 4)  # grows along each row, the same in every row
    positions = jnp.stack([jnp.full(17, 3.0), jnp.concatenate([jnp.array([9.0]), ramp])], axis=1)
    resized = resized_positions(positions, 8)
    np.testing.assert_allclose(resized[:, 0], 3.0, rtol=1e-6)
    assert resized[0, 1] == 9.0  # the class token has no place
    grid = resized[1:, 1].reshape(8, 8)
    np.testing.assert_allclose(grid, jnp.broadcast_to(grid[:1], grid.shape), atol=1e-6)
    np.testing.assert_allclose(grid[0, 3:5], [1.25, 1.75], atol=1e-5)  # cell centres, halved
    variables = small(grid=4).init(key, images, train=False)
    larger = small(grid=4).apply(variables, jnp.ones((1, 64, 64, 3)), train=False)
    assert np.isfinite(larger).all()


def test_dropped_paths_leave_the_expectation_and_need_training(key, images):
    model = small(drop_path=0.5)
    variables = model.init(key, images, train=False)
    still = model.apply(variables, images, train=False)
    moved = model.apply(variables, images, train=True, rngs={"dropout": key})
    np.testing.assert_allclose(still, small().apply(variables, images, train=False))
    assert not np.allclose(still, moved)

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.losses.reconstruction import masked_patch_error, normalised_patches
from fairjax.models.mae import MaskedAutoencoder
from fairjax.models.masking import select
from fairjax.models.vit import SIZES, ViT, patchify


def autoencoder(encoder=None, decoder=(8, 1, 2)):
    encoder = encoder or ViT(dim=16, depth=1, heads=2, patch=8, pool="tokens", positions="sincos")
    width, blocks, decoder_heads = decoder
    return MaskedAutoencoder(
        encoder, decoder_dim=width, decoder_depth=blocks, decoder_heads=decoder_heads
    )


@pytest.mark.parametrize(
    ("size", "decoder", "total"),
    [
        ("base", (512, 8, 16), 111_655_680),
        ("large", (512, 8, 16), 329_239_296),
        ("small", (128, 8, 4), 23_324_928),
        ("tiny", (128, 4, 4), 6_403_840),
        ("tiny", (192, 4, 3), 7_451_904),
    ],
)
def test_the_number_of_parameters_is_the_published_one(key, size, decoder, total):
    model = autoencoder(ViT(**SIZES[size], pool="tokens", positions="sincos"), decoder)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    selection = jax.eval_shape(partial(select, ratio=0.75), jnp.zeros((1, 196)))
    shapes = jax.eval_shape(partial(model.init, train=False), key, images, selection)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == total


def test_a_decoder_whose_heads_do_not_divide_its_width_is_refused(key):
    images, selection = jnp.zeros((1, 32, 32, 3)), select(jnp.zeros((1, 16)), ratio=0.75)
    init = partial(autoencoder(decoder=(8, 1, 7)).init, train=False)
    with pytest.raises(ValueError, match="decoder_dim=8 must be a multiple of decoder_heads=7"):
        jax.eval_shape(init, key, images, selection)


def test_the_guess_depends_on_kept_patches_alone(key):
    model = autoencoder()
    images = jax.random.normal(key, (2, 32, 32, 3))
    selection = select(jax.random.normal(key, (2, 16)), ratio=0.75)
    variables = model.init(key, images, selection, train=False)
    guess = model.apply(variables, images, selection, train=False)
    removed = selection.mask.reshape(2, 4, 4).repeat(8, 1).repeat(8, 2)[..., None]
    again = model.apply(variables, images + 5 * removed, selection, train=False)
    assert guess.shape == (2, 16, 192)
    np.testing.assert_array_equal(guess, again)
    other = model.apply(variables, images + 5 * (1 - removed), selection, train=False)
    assert not np.allclose(guess, other)


def test_one_row_of_a_selection_serves_the_whole_batch(key):
    model = autoencoder()
    images = jax.random.normal(key, (3, 32, 32, 3))
    shared = select(jax.random.normal(key, (1, 16)), ratio=0.75)
    each = jax.tree.map(lambda ids: jnp.broadcast_to(ids, (3, ids.shape[1])), shared)
    variables = model.init(key, images, shared, train=False)
    np.testing.assert_array_equal(
        model.apply(variables, images, shared, train=False),
        model.apply(variables, images, each, train=False),
    )


def test_the_loss_has_no_gradient_to_the_guess_of_a_kept_patch(key):
    targets = normalised_patches(patchify(jax.random.normal(key, (2, 32, 32, 3)), patch=8))
    selection = select(jax.random.normal(key, (2, 16)), ratio=0.5)
    gradient = jax.grad(lambda g: masked_patch_error(g, targets, selection.mask).sum())(
        jnp.zeros_like(targets)
    )
    moved = np.abs(gradient).sum(axis=-1) > 0
    np.testing.assert_array_equal(moved, selection.mask.astype(bool))

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.methods import METHODS
from fairjax.models.preprocess import normalise
from fairjax.models.resnet import ResNet
from fairjax.models.vit import ViT

RECIPE = dict(
    decoder_dim=8,
    decoder_depth=1,
    decoder_heads=2,
    ratio=0.75,
    scheme="random",
    sensitivity="",
    strength=1.0,
    weights="value",
    reverse="neg_log",
    scope="batch",
    normalise_target=True,
)


def build(backbone=None, **changes):
    return METHODS["masked_autoencoder"](
        backbone=backbone or ViT(dim=16, depth=1, heads=2, patch=8, positions="sincos"),
        targets={},
        preprocess=lambda x: normalise(x, kind="half"),
        **{**RECIPE, **changes},
    )


def make_batch(rows=4):
    images = np.random.default_rng(0).integers(0, 256, (rows, 32, 32, 3))
    return {"image": jnp.asarray(images, jnp.uint8), "mask": jnp.ones(rows, bool)}


@pytest.fixture
def sensitivity(tmp_path):
    path = tmp_path / "map.npz"
    np.savez(path, sensitivity=np.arange(1.0, 17.0))
    return str(path)


def test_a_step_down_the_gradient_lowers_the_loss(key):
    method, batch = build(), make_batch()
    params, state = jax.jit(method.init)(key, batch)
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    (before, aux), gradient = step(params, state, batch, key)
    stepped = jax.tree.map(lambda p, g: p - 0.05 * g, params, gradient)
    (after, _), _ = step(stepped, state, batch, key)
    assert 0 < after < before
    assert aux.scalars["loss"][1] == 4


def test_a_masked_row_counts_for_nothing(key):
    method, batch = build(scope="image"), make_batch()
    params, state = jax.jit(method.init)(key, batch)
    batch["mask"] = jnp.array([True, True, False, True])
    spoilt = {**batch, "image": batch["image"].at[2].set(0)}
    np.testing.assert_allclose(
        jax.jit(method.loss)(params, state, batch, key)[0],
        jax.jit(method.loss)(params, state, spoilt, key)[0],
    )


def test_prediction_draws_the_same_masks_every_time(key):
    method, batch = build(), make_batch()
    params, _ = jax.jit(method.init)(key, batch)
    first, second = (method.predict({"params": params}, batch)["loss"] for _ in range(2))
    assert first.shape == (4,)
    np.testing.assert_array_equal(first, second)


def test_masks_follow_the_map(key, sensitivity):
    """With infinite strength the loss sees the 12 most sensitive patches alone."""
    method = build(scheme="mask_sensitive", sensitivity=sensitivity, strength=float("inf"))
    batch = make_batch()
    params, state = jax.jit(method.init)(key, batch)
    loss, _ = jax.jit(method.loss)(params, state, batch, key)
    kept = batch["image"].at[:, :8].set(0)  # the first row of patches: the least sensitive
    removed = batch["image"].at[:, 8:].add(77)
    again, _ = jax.jit(method.loss)(params, state, batch, jax.random.key(9))
    assert loss == again
    for image in (kept, removed):
        other, _ = jax.jit(method.loss)(params, state, {**batch, "image": image}, key)
        assert other != loss


def test_pictures_show_kept_patches_as_they_are_and_give_no_removed_one_away(key):
    method, batch = build(), make_batch()
    params, _ = jax.jit(method.init)(key, batch)
    images = batch["image"]
    shown = jax.jit(method.pictures)({"params": params}, images)
    assert set(shown) == {"face", "kept", "drawn"}
    np.testing.assert_array_equal(shown["face"], images)
    same = np.asarray((shown["kept"] == images).all(axis=-1))[0].reshape(4, 8, 4, 8)
    kept = same.all(axis=(1, 3))
    assert kept.sum() == 4  # of 16 patches
    hidden = ~kept.repeat(8, 0).repeat(8, 1)[None, :, :, None]
    other = jnp.where(hidden, 255 - images, images)  # the removed patches are other ones
    again = jax.jit(method.pictures)({"params": params}, other)
    np.testing.assert_array_equal(again["drawn"], shown["drawn"])
    np.testing.assert_array_equal(again["kept"], shown["kept"])


def test_a_wrong_map_or_backbone_is_refused_in_words(key, sensitivity, tmp_path):
    with pytest.raises(ValueError, match="name='vit'"):
        build(backbone=ResNet(18))
    with pytest.raises(ValueError, match="need the file of a map"):
        build(scheme="mask_sensitive")
    with pytest.raises(ValueError, match="random has none"):
        build(sensitivity=sensitivity)
    other = ViT(dim=16, depth=1, heads=2, patch=4, positions="sincos")
    method = build(other, scheme="mask_sensitive", sensitivity=sensitivity)
    with pytest.raises(ValueError, match="map of 16 patches, .* have 64 of 4 pixels"):
        jax.jit(method.init)(key, make_batch())
    np.savez(tmp_path / "wrong.npz", weights=np.ones(16))
    with pytest.raises(ValueError, match="holds no array 'sensitivity'"):
        build(scheme="mask_sensitive", sensitivity=str(tmp_path / "wrong.npz"))

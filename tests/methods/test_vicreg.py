import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.losses.vicreg import vicreg
from fairjax.methods import METHODS
from fairjax.methods.two_views import Projected
from fairjax.models.preprocess import normalise
from fairjax.models.projector import Projector
from fairjax.models.vit import ViT

BACKBONE = ViT(dim=8, depth=1, heads=2, patch=8, pool="mean")


def preprocess(images):
    return normalise(images, kind="half")


@pytest.fixture(scope="module")
def scene():
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 16, 16, 3))
    one, other = jnp.asarray(images, jnp.uint8)
    batch = {"image": one, "image_2": other, "mask": jnp.arange(6) < 5}
    method = METHODS["vicreg"](
        backbone=BACKBONE, targets={}, preprocess=preprocess, projection=4, covariance=2.0
    )
    return method, batch, *jax.jit(method.init)(jax.random.key(0), batch)


def test_the_loss_is_the_weighted_sum_of_the_batch_and_says_so(scene):
    method, batch, params, state = scene
    assert method.loss_of == "batch"
    columns = jax.jit(method.predict)({"params": params, **state}, batch)
    model = Projected(BACKBONE, Projector(4, hidden=(4, 4)), False)
    views = preprocess(batch["image"]), preprocess(batch["image_2"])
    one, other = model.apply({"params": params, **state}, *views, train=False)
    terms = vicreg(one, other, batch["mask"])
    expected = 25 * terms.invariance + 25 * terms.variance + 2 * terms.covariance
    np.testing.assert_allclose(columns["loss"], np.full(6, expected), rtol=1e-5)


def test_a_step_down_the_gradient_lowers_the_loss(scene, key):
    method, batch, params, state = scene
    step = jax.jit(jax.value_and_grad(method.loss, has_aux=True))
    (before, aux), gradient = step(params, state, batch, key)
    stepped = jax.tree.map(lambda p, g: p - 1e-4 * g, params, gradient)
    (after, _), _ = step(stepped, state, batch, key)
    assert 0 < after < before
    assert {"invariance_loss", "variance_loss", "covariance_loss"} <= set(aux.scalars)

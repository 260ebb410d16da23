import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.losses import nt_xent
from fairjax.methods import METHODS
from fairjax.methods.two_views import Projected
from fairjax.models.preprocess import normalise
from fairjax.models.projector import Projector
from fairjax.models.vit import ViT

BACKBONE = ViT(dim=8, depth=1, heads=2, patch=8, pool="mean")


def preprocess(images):
    return normalise(images, kind="half")


def build(joint_norm=False):
    return METHODS["simclr"](
        backbone=BACKBONE,
        targets={},
        preprocess=preprocess,
        projection=4,
        temperature=0.2,
        joint_norm=joint_norm,
    )


@pytest.fixture(scope="module")
def scene():
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 16, 16, 3))
    one, other = jnp.asarray(images, jnp.uint8)
    batch = {"image": one, "image_2": other, "mask": jnp.ones(6, bool)}
    return batch, *jax.jit(build().init)(jax.random.key(0), batch)


def test_predictions_are_the_contrast_of_projections_of_any_backbone(scene):
    batch, params, state = scene
    variables = {"params": params, **state}
    columns = jax.jit(build().predict)(variables, batch)
    views = preprocess(batch["image"]), preprocess(batch["image_2"])
    one, other = Projected(BACKBONE, Projector(4), False).apply(variables, *views, train=False)
    expected = nt_xent(one, other, batch["mask"], temperature=0.2)
    np.testing.assert_allclose(columns["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(jnp.linalg.norm(columns["embedding_view"], axis=1), 1.0, rtol=1e-5)


def test_a_step_down_the_gradient_lowers_the_loss(scene, key):
    batch, params, state = scene
    step = jax.jit(jax.value_and_grad(build().loss, has_aux=True))
    (before, aux), gradient = step(params, state, batch, key)
    stepped = jax.tree.map(lambda p, g: p - 0.05 * g, params, gradient)
    (after, _), _ = step(stepped, state, batch, key)
    assert 0 < after < before
    assert 0 < float(aux.scalars["view_feature_std"][0]) < 2


def test_joint_statistics_are_of_both_views(scene, key):
    batch, params, state = scene
    apart, joint = (build(j).loss(params, state, batch, key)[0] for j in (False, True))
    assert float(apart) != float(joint)
    alike = {**batch, "image_2": batch["image"]}
    apart, joint = (build(j).loss(params, state, alike, key)[0] for j in (False, True))
    np.testing.assert_allclose(apart, joint, rtol=1e-4)

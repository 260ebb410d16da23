"""Layout, parameter counts and numbers of the face networks."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from fairjax.models import BACKBONES
from fairjax.models.iresnet import IResNet


def shapes(module, size=112):
    """What `init` would make, without making it."""
    init = partial(module.init, train=False)
    return jax.eval_shape(init, jax.random.key(0), jnp.zeros((2, size, size, 3)))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("depth", "tface", "insightface"),
    [
        (18, 24_020_352, 24_025_600),
        (34, 34_134_080, 34_139_328),
        (50, 43_585_600, 43_590_848),
        (100, 65_150_912, 65_156_160),
        (200, 118_828_672, 118_833_920),
    ],
)
def test_each_depth_has_the_published_number_of_parameters(depth, tface, insightface):
    network = BACKBONES["iresnet"]
    assert count(shapes(network(depth=depth))["params"]) == tface
    frozen = 512  # insightface counts the scale that its last norm holds at 1
    trained = count(shapes(network(depth=depth, dialect="insightface"))["params"])
    assert trained + frozen == insightface


@pytest.mark.parametrize(("size", "maps"), [(112, [56, 28, 14, 7]), (50, [25, 13, 7, 4])])
def test_each_stage_halves_the_map_and_doubles_the_width(size, maps):
    module = IResNet(34, width=16, dim=64)
    embedding, sown = jax.eval_shape(
        partial(module.apply, train=False, mutable=["intermediates"]),
        shapes(module, size),
        jnp.zeros((2, size, size, 3)),
    )
    assert embedding.shape == (2, 64)
    stages = [sown["intermediates"][f"stage_{k}"][0].shape for k in (1, 2, 3, 4)]
    assert stages == [(2, n, n, w) for n, w in zip(maps, (16, 32, 64, 128), strict=True)]

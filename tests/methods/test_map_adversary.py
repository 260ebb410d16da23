"""The discriminator of attention maps and what the backbone wants of it, on a linear one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.methods.map_adversary import MapAdversary, confuse
from fairjax.methods.watched import without_discriminator
from fairjax.models.discriminator import MapDiscriminator

MAPS = jnp.array([[[1.0, 0.0]], [[0.0, 2.0]], [[1.0, 1.0]]])
LABELS = jnp.array([0, 1, -1])
WEIGHTS = jnp.array([[1.0, -1.0, 0.5], [0.0, 1.0, -0.5]])


def linear(weights, maps):
    return maps.reshape(len(maps), -1) @ weights


def losses(weights, maps, adversary, strength=0.5, anchor=0):
    return confuse(
        linear, weights, maps, LABELS, adversary=adversary, strength=strength, anchor=anchor
    )


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


LOGITS = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, -1.0], [1.0, 0.0, 0.0]])
OWN = -log_softmax(LOGITS)[np.arange(3), [0, 1, 0]]  # a negative label counts as the first


@pytest.mark.parametrize(
    ("adversary", "wanted"),
    [
        ("reversal", np.zeros(3)),
        ("uniform", 0.5 * -log_softmax(LOGITS).mean(axis=1)),
        ("to_reference", 0.5 * np.array([0.0, -log_softmax(LOGITS)[1, 0], 0.0])),
    ],
)
def test_the_loss_is_the_discriminators_and_what_the_backbone_wants(adversary, wanted):
    values, logits = losses(WEIGHTS, MAPS, adversary)
    np.testing.assert_allclose(logits, LOGITS, atol=1e-6)
    np.testing.assert_allclose(values, OWN + wanted, rtol=1e-5)


def gradients(adversary, strength=0.5):
    return jax.grad(lambda w, m: losses(w, m, adversary, strength)[0].sum(), argnums=(0, 1))(
        WEIGHTS, MAPS
    )


def test_the_discriminator_learns_the_same_whatever_is_wanted():
    first = gradients("reversal")[0]
    assert float(jnp.abs(first).max()) > 0.1
    for adversary in ("uniform", "to_reference"):
        np.testing.assert_allclose(gradients(adversary)[0], first, rtol=1e-5, atol=1e-6)


def test_the_backbone_goes_against_the_discriminator():
    plain = jax.grad(lambda m: losses(WEIGHTS, m, "uniform", 0.0)[0].sum())(MAPS)
    np.testing.assert_allclose(plain, jnp.zeros_like(MAPS), atol=1e-7)  # it learns from no map
    own = jax.grad(lambda m: -jax.nn.log_softmax(linear(WEIGHTS, m))[0, 0])(MAPS)
    np.testing.assert_allclose(gradients("reversal")[1][0], -0.5 * own[0], rtol=1e-5)
    step = MAPS - 0.1 * gradients("uniform", 1.0)[1]
    before, after = (
        -np.mean(log_softmax(np.asarray(linear(WEIGHTS, m))), axis=1) for m in (MAPS, step)
    )
    assert (after < before).all()  # nearer to equally unsure
    assert np.abs(gradients("to_reference")[1][0]).max() == 0  # the reference stays


@pytest.mark.parametrize(
    ("ramp", "epoch", "strength"),
    [(0.0, 0.0, 0.4), (2.0, 0.0, 0.0), (2.0, 1.0, 0.2), (2.0, 5.0, 0.4)],
)
def test_the_weight_grows_over_the_ramp(ramp, epoch, strength):
    adversary = MapAdversary(MapDiscriminator(2), "reversal", 0.4, ramp, 0)
    assert float(adversary.strength(jnp.float32(epoch))) == pytest.approx(strength)


def test_the_margin_models_parameters_are_those_without_the_discriminator():
    params = {"head": 1, "backbone": 2, "discriminator": 3}
    assert without_discriminator(params) == {"head": 1, "backbone": 2}

"""Margins by hand, in torch, by finite differences, and at the edge of the cosine."""

import math
from dataclasses import asdict
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from fairjax.config import ConfigError, method
from fairjax.losses import MARGINS, nontarget_logsumexp, softmax_loss, split_target

SETTINGS = {
    "softmax": {},
    "cosface": {"margin": 0.35},
    "arcface": {"margin": 0.5, "fallback": "linear", "grad": "exact"},
    "curricularface": {"margin": 0.5, "momentum": 0.1},
    "adaface": {"margin": 0.4, "concentration": 0.333, "momentum": 0.01},
    "magface": {"low": 10.0, "high": 110.0, "low_margin": 0.45, "high_margin": 0.8, "weight": 35.0},
}
COSINES = jnp.array(
    [
        [0.70, 0.40, 0.10, -0.20, 0.30],
        [0.45, 0.30, 0.05, 0.15, -0.10],
        [0.20, 0.25, 0.60, 0.50, -0.30],
    ]
)
LABELS = jnp.array([0, 1, 2])
NORM = jnp.array([18.0, 22.0, 30.0])


def make(name, scale=10.0, **changes):
    return MARGINS[name](scale=scale, **{**SETTINGS[name], **changes})


def state_after(margin, cosines, labels, norm):
    target, _ = split_target(cosines, labels)
    return margin.moved(margin.init_state(), target, norm, jnp.ones(len(labels), bool))


def losses(margin, cosines, labels, norm, state=None):
    """One value a row, as a method puts it together."""
    target, others = split_target(cosines, labels)
    state = state_after(margin, cosines, labels, norm) if state is None else state
    margined = margin.target(target, norm, state)
    logsumexp = nontarget_logsumexp(margin.nontarget(others, margined, state), scale=margin.scale)
    loss = softmax_loss(margined, logsumexp, scale=margin.scale)
    return loss + margin.regulariser(norm)


def targets(margin, state=None):
    target, _ = split_target(COSINES, LABELS)
    state = state_after(margin, COSINES, LABELS, NORM) if state is None else state
    return margin.target(target, NORM, state)


def random_case(key, rows=12, classes=9):
    keys = jax.random.split(key, 3)
    cosines = jax.random.uniform(keys[0], (rows, classes), minval=-0.95, maxval=0.95)
    labels = jax.random.randint(keys[1], (rows,), 0, classes)
    return cosines, labels, jax.random.uniform(keys[2], (rows,), minval=5.0, maxval=120.0)


def test_every_margin_is_tried():
    assert SETTINGS.keys() == MARGINS.keys()


def test_softmax_loss_is_the_cross_entropy_by_hand():
    # Two classes at scale 1: log(1 + exp(0.2 - 0.5)).
    loss = losses(make("softmax", scale=1.0), jnp.array([[0.5, 0.2]]), jnp.array([0]), NORM[:1])
    np.testing.assert_allclose(loss, [math.log1p(math.exp(-0.3))], rtol=1e-6)


@pytest.mark.parametrize(("margin", "expected"), [(0.35, 2.9921753410), (0.15, 1.4811715940)])
def test_cosface_by_hand(margin, expected):
    loss = losses(make("cosface", margin=margin), COSINES, LABELS, NORM)
    np.testing.assert_allclose(loss.mean(), expected, rtol=1e-6)


def test_arcface_by_hand():
    margin = make("arcface")
    np.testing.assert_allclose(targets(margin), [0.271929, -0.194068, 0.143009], atol=1e-6)
    np.testing.assert_allclose(
        losses(margin, COSINES, LABELS, NORM).mean(), 4.0135542800, rtol=1e-6
    )


def test_curricularface_by_hand():
    margin = make("curricularface")
    state = state_after(margin, COSINES, LABELS, NORM)
    np.testing.assert_allclose(state["tau"], 0.0533333, rtol=1e-5)
    target, others = split_target(COSINES, LABELS)
    row = margin.nontarget(others, margin.target(target, NORM, state), state)[0]
    np.testing.assert_allclose(row, [-np.inf, 0.181333, 0.1, -0.2, 0.106], rtol=1e-5)
    np.testing.assert_allclose(
        losses(margin, COSINES, LABELS, NORM).mean(), 2.2821212521, rtol=1e-6
    )


def test_adaface_by_hand():
    margin = make("adaface", momentum=1.0)
    state = state_after(margin, COSINES, LABELS, NORM)
    np.testing.assert_allclose(state["norm_mean"], 23.333333, rtol=1e-6)
    np.testing.assert_allclose(state["norm_std"], 6.110101, rtol=1e-6)
    np.testing.assert_allclose(targets(margin), [0.328693, -0.098784, 0.164206], atol=1e-6)
    np.testing.assert_allclose(
        losses(margin, COSINES, LABELS, NORM).mean(), 3.4780353894, rtol=1e-6
    )


def test_adaface_moves_its_statistics_by_a_hundredth_from_the_authors_start():
    margin = make("adaface")
    state = state_after(margin, COSINES, LABELS, NORM)
    z = 0.333 * (NORM - state["norm_mean"]) / (state["norm_std"] + 1e-3)
    np.testing.assert_allclose(z, [-0.006835, 0.006611, 0.033503], atol=1e-6)
    expected = np.cos(np.arccos([0.7, 0.3, 0.6]) - 0.4 * z) - 0.4 * (1 + z)
    np.testing.assert_allclose(targets(margin), expected, atol=1e-6)


def test_magface_by_hand():
    # Lengths 10, 60, 110: margins 0.45, 0.625, 0.8; the pull is 35 (a / 110^2 + 1 / a).
    margin, norm = make("magface"), jnp.array([5.0, 60.0, 200.0])
    cosine = jnp.array([0.5, 0.5, -0.1])
    expected = [math.cos(math.pi / 3 + 0.45), math.cos(math.pi / 3 + 0.625), -0.1]
    np.testing.assert_allclose(margin.target(cosine, norm, {}), expected, rtol=1e-5)
    pull = [35 * (a / 110**2 + 1 / a) for a in (10, 60, 110)]
    np.testing.assert_allclose(margin.regulariser(norm), pull, rtol=1e-6)


@pytest.mark.parametrize(
    ("fallback", "expected"),
    [
        ("linear", [math.cos(2.5 + 0.5), math.cos(2.7) - 0.5 * math.sin(0.5)]),
        ("easy", [math.cos(2.5), math.cos(2.7)]),
        ("none", [math.cos(3.0), math.cos(3.2)]),
    ],
)
def test_arcface_beyond_pi_follows_its_fallback(fallback, expected):
    margin = make("arcface", fallback=fallback)  # pi - 0.5 is 2.64: the second angle passes pi
    got = margin.target(jnp.cos(jnp.array([2.5, 2.7])), NORM[:2], {})
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_arcface_gradients_are_the_two_published_ones():
    cosine = jnp.array([0.8, 0.1])
    sine = np.sqrt(1 - np.square(cosine))
    for grad, expected in (
        ("exact", np.cos(0.5) + cosine / sine * np.sin(0.5)),
        ("straight_through", [1.0, 1.0]),
    ):
        margin = make("arcface", grad=grad)
        got = jax.grad(lambda t: margin.target(t, NORM[:2], {}).sum())(cosine)  # noqa: B023
        np.testing.assert_allclose(got, expected, rtol=1e-5)
        np.testing.assert_allclose(
            margin.target(cosine, NORM[:2], {}), np.cos(np.arccos(cosine) + 0.5), atol=1e-6
        )


@pytest.mark.parametrize("name", MARGINS)
def test_gradients_are_those_of_finite_differences(key, name):
    cosines, labels, norm = random_case(key)
    margin = make(name)
    state = state_after(margin, cosines, labels, norm)

    def total(cosines, norm):
        return losses(margin, jnp.asarray(cosines), labels, jnp.asarray(norm), state).sum()

    # AdaFace reads the length and holds it constant.
    at = partial(total, norm=norm) if name == "adaface" else total
    arguments = (cosines,) if name == "adaface" else (cosines, norm)
    check_grads(at, arguments, order=1, modes=["rev"], rtol=0.02, atol=0.02)


def torch_losses(name, cosines, labels, norm, state):
    """Each loss as its authors' program would compute it, on the logits of all classes."""
    import torch

    rows = torch.arange(len(labels))
    target = cosines[rows, labels]
    theta = torch.acos(target)
    logits, extra = cosines.clone(), torch.zeros_like(target)
    if name == "cosface":
        target = target - 0.35
    elif name in ("arcface", "curricularface"):
        margined = torch.cos(theta + 0.5)
        past = target <= math.cos(math.pi - 0.5)
        target = torch.where(past, target - math.sin(math.pi - 0.5) * 0.5, margined)
        if name == "curricularface":
            hard = cosines > target.detach()[:, None]
            logits = torch.where(hard, cosines * (state["tau"] + cosines), cosines)
    elif name == "adaface":
        safe = norm.clamp(1e-3, 100).detach()
        z = ((safe - state["norm_mean"]) / (state["norm_std"] + 1e-3) * 0.333).clamp(-1, 1)
        angle = (theta - 0.4 * z).clamp(1e-3, math.pi - 1e-3)
        target = torch.cos(angle) - (0.4 + 0.4 * z)
    elif name == "magface":
        length = norm.clamp(10, 110)
        m = (0.8 - 0.45) / (110 - 10) * (length - 10) + 0.45
        target = torch.where(target > 0, torch.cos(theta + m), target)
        extra = 35 * (length / 110**2 + 1 / length)
    logits = logits.scatter(1, labels[:, None], target[:, None])
    return torch.nn.functional.cross_entropy(10 * logits, labels, reduction="none") + extra


@pytest.mark.parametrize("name", MARGINS)
def test_losses_and_gradients_are_those_of_torch_renderings(key, name):
    torch = pytest.importorskip("torch")
    cosines, labels, norm = random_case(key, rows=40, classes=30)
    margin = make(name)
    state = state_after(margin, cosines, labels, norm)
    ours, pull_back = jax.vjp(lambda c, a: losses(margin, c, labels, a, state), cosines, norm)

    c, a = (torch.tensor(np.asarray(x, np.float64), requires_grad=True) for x in (cosines, norm))
    known = {k: float(v) for k, v in state.items()}
    theirs = torch_losses(name, c, torch.tensor(np.asarray(labels, np.int64)), a, known)
    theirs.sum().backward()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-4, atol=1e-4)
    d_cosines, d_norm = pull_back(jnp.ones(len(labels)))
    np.testing.assert_allclose(d_cosines, c.grad, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(d_norm, 0 if a.grad is None else a.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("edge", [-1.0, 1.0])
@pytest.mark.parametrize("scale", [10.0, 64.0])
def test_losses_and_gradients_are_finite_at_the_edge(name, edge, scale):
    margin = make(name, scale=scale)
    labels, norm = jnp.array([0, 1]), jnp.array([0.0, 1e6])
    for others in (edge, -edge):
        cosines = jnp.full((2, 4), others).at[jnp.arange(2), labels].set(edge)
        loss, grads = jax.value_and_grad(
            lambda c, a: losses(margin, c, labels, a).sum(),
            argnums=(0, 1),  # noqa: B023
        )(cosines, norm)
        assert np.isfinite(loss)
        assert all(np.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("name", ["curricularface", "adaface"])
def test_padding_does_not_move_the_state(key, name):
    cosines, labels, norm = random_case(key)
    margin, mask = make(name), jnp.arange(12) < 8
    target, _ = split_target(cosines, labels)
    padded = margin.moved(margin.init_state(), target.at[8:].set(jnp.nan), norm, mask)
    alone = margin.moved(margin.init_state(), target[:8], norm[:8], mask[:8])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), padded, alone)


def test_shards_of_the_classes_add_up_to_the_whole(key):
    cosines, labels, norm = random_case(key)
    _, others = split_target(cosines, labels)
    whole = nontarget_logsumexp(others, scale=10.0)
    parts = [nontarget_logsumexp(others[:, part], scale=10.0) for part in (np.s_[:4], np.s_[4:])]
    np.testing.assert_allclose(jnp.logaddexp(*parts), whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "cosfaces"}, "margin.name='cosfaces' is not known; did you mean 'cosface'"),
        ({"name": "softmax", "m": 0.1}, "margin.m is not a setting of 'softmax'"),
        (
            {"name": "arcface", "fallback": "no"},
            "margin.fallback='no' is not known; known: linear, easy, none",
        ),
    ],
)
def test_a_wrong_setting_is_named(settings, said):
    with pytest.raises(ConfigError, match=f"config.method.{said}"):
        method("cosine_margin", margin=settings)


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        ("curricularface", {"tau": 0.5}, {"tau": 0.9 * 0.5 + 0.1 * 0.2}),
        (
            "adaface",
            {"norm_mean": 30.0, "norm_std": 8.0},
            {"norm_mean": 0.9 * 30 + 0.1 * 22, "norm_std": 0.9 * 8 + 0.1 * 2 * 2**0.5},
        ),
        ("cosface", {}, {}),
    ],
)
def test_a_running_state_keeps_nine_tenths_of_itself(name, state, expected):
    changes = {"momentum": 0.1} if state else {}
    target, norm = jnp.array([0.1, 0.3, 9.0]), jnp.array([20.0, 24.0, 99.0])
    mask = jnp.array([True, True, False])
    state = {key: jnp.float32(value) for key, value in state.items()}
    moved = make(name, **changes).moved(state, target, norm, mask)
    assert moved.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(moved[key], value, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("softmax", {"scale": 64.0}),
        ("cosface", {"scale": 64.0, "margin": 0.35}),
        ("arcface", {"scale": 64.0, "margin": 0.5, "fallback": "linear", "grad": "exact"}),
        ("curricularface", {"scale": 64.0, "margin": 0.5, "momentum": 0.01}),
        ("adaface", {"scale": 64.0, "margin": 0.4, "concentration": 0.333, "momentum": 0.01}),
        ("magface", {"scale": 64.0, **SETTINGS["magface"]}),
    ],
)
def test_without_settings_a_margin_has_those_of_its_paper(name, settings):
    assert asdict(MARGINS[name]()) == settings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grouped_example import TARGETS, is_finite, planted_people, preprocess, train

from fairjax.losses import CosFace
from fairjax.methods import METHODS
from fairjax.methods.mixfairface import MixModel, mixing_margin, random_partners
from fairjax.models.iresnet import UNITS, IResNet

MARGIN = CosFace(scale=16.0, margin=0.1)


@pytest.fixture(scope="module", autouse=True)
def one_unit():
    """A network of one stage of one unit, which compiles in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(UNITS, 18, (1,))
        yield


def network(**settings):
    return IResNet(**{"depth": 18, "width": 4, "dim": 8, "dropout": 0.0, **settings})


def build(name="mixfairface", backbone=None, **settings):
    return METHODS[name](
        backbone=backbone or network(),
        targets=TARGETS,
        preprocess=preprocess,
        margin=MARGIN,
        tta="none",
        **settings,
    )


def test_partners_are_a_permutation_that_leaves_padding_to_itself():
    mask = jnp.array([True, False, True, True, False, True])
    seen = set()
    for number in range(20):
        partners = np.asarray(random_partners(jax.random.key(number), mask))
        assert sorted(partners) == list(range(6))
        assert set(partners[np.asarray(mask)]) == {0, 2, 3, 5}
        seen.add(tuple(partners))
    assert len(seen) > 5


def test_the_margin_by_hand():
    embedding = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    mixture = jnp.array([[0.6, 0.8], [0.8, 0.6]])
    got = mixing_margin(embedding, mixture, jnp.array([1, 0]))
    np.testing.assert_allclose(got, [0.64 - 0.36, 0.64 - 0.36], rtol=1e-5)
    np.testing.assert_allclose(mixing_margin(embedding, mixture, jnp.array([0, 1])), [0, 0])


@pytest.mark.parametrize("flat_norm", [False, True])
def test_the_mixture_is_the_embedding_of_the_mean_of_two_last_maps(key, flat_norm):
    """The head, written out in numpy, on maps that the network exposes."""
    net, batch = network(flat_norm=flat_norm), planted_people(images=2)
    images = preprocess(batch["image"])
    partners = jnp.roll(jnp.arange(12), 5)
    variables = jax.jit(net.init, static_argnames="train")(key, images, train=False)
    (plain, mixture), moved = net.apply(
        variables,
        images,
        train=True,
        partners=partners,
        mutable=["batch_stats", "intermediates"],
    )
    maps = np.asarray(moved["intermediates"]["stage_1"][0], np.float64)
    params = variables["params"]

    def head(x):
        x = x.reshape(len(x), -1) if flat_norm else x
        axes = tuple(range(x.ndim - 1))
        x = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
        x = x * np.asarray(params["map_norm"]["scale"]) + np.asarray(params["map_norm"]["bias"])
        x = x.reshape(len(x), -1) @ np.asarray(params["embedding"]["kernel"], np.float64)
        x = x + np.asarray(params["embedding"]["bias"])
        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)

    np.testing.assert_allclose(plain, head(maps), atol=2e-3)
    np.testing.assert_allclose(mixture, head((maps + maps[np.asarray(partners)]) / 2), atol=2e-3)


def test_the_loss_is_cosface_with_the_mixtures_margin(key):
    batch, method = planted_people(images=2), build(fpr_penalty=False)
    batch["mask"] = batch["mask"].at[9:].set(False)
    params, model_state = jax.jit(method.init)(key, batch)
    (loss, aux), gradient = jax.jit(jax.value_and_grad(method.loss, has_aux=True))(
        params, model_state, batch, key
    )
    _, mix_key, _ = jax.random.split(key, 3)
    partners = random_partners(mix_key, batch["mask"])
    (embeddings, kernel, mixture), _ = MixModel(network(), 6, 6).apply(
        {"params": params, **model_state},
        preprocess(batch["image"]),
        partners,
        train=True,
        mutable=["batch_stats"],
        method="mixed",
    )
    x, mix = (np.asarray(v.direction, np.float64) for v in (embeddings, mixture))
    w = np.asarray(kernel, np.float64)
    c = x @ (w / np.linalg.norm(w, axis=1, keepdims=True)).T
    own = np.eye(6, dtype=bool)[np.asarray(batch["identity"])]
    eps = (mix * x[np.asarray(partners)]).sum(1) ** 2 - (mix * x).sum(1) ** 2
    logits = 16 * np.where(own, c - 0.1 - eps[:, None], c)
    rows = np.log(np.exp(logits).sum(1)) - logits[own]
    np.testing.assert_allclose(loss, rows[:9].mean(), rtol=1e-3)
    np.testing.assert_allclose(aux.scalars["mixing_margin"][0], eps[:9].sum(), atol=1e-3)
    assert is_finite(gradient)


def test_the_fpr_penalty_raises_the_loss_of_a_trained_network(key):
    batch = planted_people(images=2)
    with_penalty, without = build(), build(fpr_penalty=False)
    state, _ = train(without, batch, key, steps=10, lr=0.05)
    one, other = (
        jax.jit(m.loss)(state.params, state.model_state, batch, key)[0]
        for m in (with_penalty, without)
    )
    assert one > other


def test_no_identity_is_favoured_in_mixtures_as_much_as_after_cosface(key):
    batch, size = planted_people(images=4), {}
    method = build(fpr_penalty=False)
    look = jax.jit(method.loss)
    for name in ("mixfairface", "cosine_margin"):
        made = method if name == "mixfairface" else build(name)
        state, _ = train(made, batch, key, steps=20, lr=0.05)
        total = count = 0.0
        for number in range(5):
            scalars = look(state.params, state.model_state, batch, jax.random.key(number))[
                1
            ].scalars
            total, count = (
                a + float(b)
                for a, b in zip((total, count), scalars["mixing_margin_size"], strict=True)
            )
        size[name] = total / count
    assert size["mixfairface"] < size["cosine_margin"], size


def test_without_a_row_nothing_is_learned(key):
    batch, method = planted_people(images=2), build()
    batch["mask"] = jnp.zeros_like(batch["mask"])
    params, model_state = jax.jit(method.init)(key, batch)
    (loss, _), gradient = jax.jit(jax.value_and_grad(method.loss, has_aux=True))(
        params, model_state, batch, key
    )
    assert loss == 0
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient))

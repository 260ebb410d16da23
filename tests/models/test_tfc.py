"""The time-frequency network: parameter counts, the transform, its perturbation, its layers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fairjax.models import BACKBONES
from fairjax.models.tfc import TFC, Encoder, PostNormLayer, distinct, fourier, perturbed

SMALL = dict(width=8, stages=2, stem="small", dim=16, layers=1, hidden=16, projection=8)


def shapes(module, size=64):
    init = partial(module.init, train=False)
    return jax.eval_shape(init, jax.random.key(0), jnp.zeros((2, size, size, 3)))


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_default_has_the_parts_that_were_worked_out_by_hand():
    params = shapes(BACKBONES["tfc"](), 224)["params"]
    assert {name: count(part) for name, part in params.items()} == {
        "trunk": 11_176_512,
        "cell": 131_328,
        "frequency_norm": 512,
        "time_encoder": 1_054_208 + 49 * 256,  # positions: a cell each
        "frequency_encoder": 1_054_208 + 49 * 256,
        "time_projector": 99_200,
        "frequency_projector": 99_200,
    }


def test_features_are_both_low_dimensional_views_in_float32():
    module = TFC(**SMALL, dtype=jnp.bfloat16)
    variables = shapes(module, 32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    apply = partial(module.apply, train=False)
    features = jax.eval_shape(apply, variables, jnp.zeros((2, 32, 32, 3)))
    assert features.shape == (2, 16)
    assert features.dtype == jnp.float32


def test_a_half_spectrum_has_the_25_of_49_frequencies_that_are_distinct():
    assert len(distinct(7, 7, over="grid")) == 25
    assert len(distinct(4, 4, over="grid")) == 10
    assert len(distinct(7, 7, over="sequence")) == 25
    tokens = shapes(TFC(half=True), 224)["params"]["frequency_encoder"]["positions"]
    assert tokens.shape == (25, 256)


@pytest.mark.parametrize("norm", ["ortho", "backward"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("over", ["grid", "sequence"])
def test_the_spectrum_is_numpys(over, norm, half):
    cells = np.random.default_rng(0).normal(size=(2, 3, 4, 16)).astype(np.float32)
    if over == "grid":
        expected = np.abs(np.fft.fft2(cells, axes=(1, 2), norm=norm)).reshape(2, 12, 16)
    else:
        expected = np.abs(np.fft.fft(cells.reshape(2, 12, 16), axis=1, norm=norm))
    module = TFC(**SMALL, transform=over, transform_norm=norm, half=half)
    ours = module.apply({}, jnp.asarray(cells), method="spectrum")
    if half:
        expected = expected[:, distinct(3, 4, over=over)]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_transform_is_refused():
    with pytest.raises(ValueError, match="known: grid, sequence"):
        fourier(2, 2, over="image", norm="ortho")


def test_the_gradient_of_a_spectrum_is_finite_where_it_is_zero():
    module = TFC(**SMALL)
    gradient = jax.grad(lambda x: module.apply({}, x, method="spectrum").sum())(
        jnp.zeros((1, 2, 2, 16))
    )
    assert jnp.isfinite(gradient).all()


def test_a_moved_feature_map_has_another_time_view_and_the_same_spectrum(key):
    module = TFC(**SMALL)
    cells = jax.random.normal(key, (2, 4, 4, 16))
    variables = module.init(key, cells, train=False, method="in_time")
    rolled = jnp.roll(cells, (2, 3), axis=(1, 2))
    spectra = [module.apply(variables, x, method="spectrum") for x in (cells, rolled)]
    np.testing.assert_allclose(*spectra, rtol=1e-3, atol=1e-4)
    times = [module.apply(variables, x, train=False, method="in_time") for x in (cells, rolled)]
    assert not np.allclose(times[0].high, times[1].high, atol=1e-4)


def test_a_layer_is_torchs_post_norm_encoder_layer(key):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    names = {
        "qkv": ("self_attn.in_proj_weight", "self_attn.in_proj_bias"),
        "out": ("self_attn.out_proj.weight", "self_attn.out_proj.bias"),
        "up": ("linear1.weight", "linear1.bias"),
        "down": ("linear2.weight", "linear2.bias"),
        "norm_1": ("norm1.weight", "norm1.bias"),
        "norm_2": ("norm2.weight", "norm2.bias"),
    }
    state = {name: jnp.asarray(tensor.numpy()) for name, tensor in theirs.state_dict().items()}
    params = {
        ours: {"scale" if "norm" in ours else "kernel": state[weight].T, "bias": state[bias]}
        for ours, (weight, bias) in names.items()
    }
    x = np.random.default_rng(0).normal(size=(2, 5, 16)).astype(np.float32)
    layer = PostNormLayer(2, 32, 0.0, jnp.float32)
    ours = layer.apply({"params": params}, jnp.asarray(x), train=True)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_attention_stays_within_an_image(key):
    x = jax.random.normal(key, (3, 5, 16))
    encoder = Encoder(1, 2, 16, 0.0, jnp.float32)
    variables = encoder.init(key, x, train=False)
    both = encoder.apply(variables, x, train=False)
    alone = encoder.apply(variables, x[1:2], train=False)
    np.testing.assert_allclose(both[1:2], alone, rtol=1e-4, atol=1e-5)


def test_a_perturbed_spectrum_has_some_components_removed_or_some_raised(key):
    magnitudes = 1 + jax.random.uniform(key, (200, 16, 8))
    changed = perturbed(key, magnitudes, share=0.1, strength=0.1)
    moved = np.asarray(changed != magnitudes)
    assert abs(moved.mean() - 0.1) < 0.005
    removed = np.asarray(changed == 0)
    by_image = removed.any(axis=(1, 2))
    assert 0.35 < by_image.mean() < 0.65
    assert (moved[by_image] == removed[by_image]).all()  # one or the other, never both
    gain = np.asarray(changed - magnitudes)[~by_image]
    top = 0.1 * np.asarray(magnitudes.max(axis=(1, 2)))[~by_image]
    assert (gain >= 0).all()
    assert (gain.max(axis=(1, 2)) <= top + 1e-5).all()
    assert (gain.max(axis=(1, 2)) > 0.5 * top).all()


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="dim=15 must be a multiple of heads=2"):
        shapes(TFC(**SMALL | {"dim": 15}), 32)

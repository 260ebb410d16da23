"""An ONNX graph gives what the traced JAX function gives, at every batch size."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from jax import lax

from fairjax.serve import ModelError
from fairjax.serve.to_onnx import to_onnx

RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((3, 3, 4, 6)).astype(np.float32)
GROUPED = RNG.standard_normal((3, 3, 2, 8)).astype(np.float32)
MATRIX = RNG.standard_normal((4, 5)).astype(np.float32)
CELLS = RNG.standard_normal((7, 30)).astype(np.float32)
CHANNELS = (RNG.random(4) + 0.5).astype(np.float32)
SHAPE = (6, 5, 4)  # of an image
LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(x, kernel=KERNEL, **how):
    how = {"window_strides": (1, 1), "padding": ((1, 1), (1, 1)), **how}
    return lax.conv_general_dilated(x, kernel, dimension_numbers=LAYOUT, **how)


def max_pool(x):
    padding = ((0, 0), (1, 1), (0, 1), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1), padding)


def max_pool_over_padded_channels(x):
    padding = ((0, 0), (1, 1), (1, 1), (1, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)


def prelu(x):
    return jnp.where(x > 0, x, CHANNELS[None, None, None] * x)


def layer_norm(x):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-6)


def prelu_of_the_turned(x):
    square = x[:, :4, :4]
    return jnp.where(square > 0, square.swapaxes(1, 2), 0.5 * square)


def wide(x, like):
    return jnp.broadcast_to(x, like.shape)


def with_first_token(x):
    tokens = x.reshape(x.shape[0], 30, 4)
    first = jnp.broadcast_to(CHANNELS[None, None], (x.shape[0], 1, 4))
    return jnp.concatenate([first, tokens], axis=1)


FUNCTIONS = {
    "conv": conv,
    "conv_strided": lambda x: conv(x, window_strides=(2, 1), padding=((0, 1), (2, 0))),
    "conv_grouped": lambda x: conv(x, GROUPED, feature_group_count=2),
    "conv_dilated": lambda x: conv(x, rhs_dilation=(2, 1)),
    "conv_then_flat": lambda x: conv(x).reshape(x.shape[0], -1),
    "conv_beside_shortcut": lambda x: conv(x, window_strides=(2, 2))[..., :4] + x[:, ::2, ::2],
    "conv_joined": lambda x: jnp.concatenate([conv(x), x], axis=-1),
    "max_pool": max_pool,
    "prelu_after_conv": lambda x: prelu(conv(x, KERNEL[..., :4])),
    "affine": lambda x: (x - CHANNELS[None, None, None]) * 2 * CHANNELS[None, None, None] - 1,
    "reverse": lambda x: x[:, :, ::-1],
    "flip": lambda x: jnp.flip(x, (1, 2)),
    "middle": lambda x: x[:, 1:-1, ::2],
    "one_row": lambda x: x[:, 2],
    "list_of_one_row": lambda x: x[:, np.array([3])],
    "one_cell": lambda x: conv(x)[:, 2:4, 1],
    "every_second_cell": lambda x: conv(x)[:, ::2, 0],
    "end": lambda x: x[:, -2:, :, 1:],
    "last_channel": lambda x: conv(x)[..., -1],
    "other_rows": lambda x: x[:, np.array([4, 0, 0])],
    "split": lambda x: jnp.add(*jnp.split(conv(x), 2, axis=-1)),
    "pad": lambda x: jnp.pad(conv(x), ((0, 0), (1, 2), (0, 0), (0, 3)), constant_values=7.0),
    "swapped": lambda x: conv(x).swapaxes(1, 3).sum(axis=(1, 2)),
    "softmax": lambda x: jax.nn.softmax(x.reshape(x.shape[0], -1)),
    "layer_norm": layer_norm,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "elementary": lambda x: jnp.log1p(x**2) + jnp.expm1(x) * jnp.tanh(x) / jnp.sqrt(x**4 + 1),
    "rounded": lambda x: jnp.clip(jax.nn.sigmoid(x) - x**3, -1.0, 0.5) + jnp.sign(x) * abs(x),
    "angles": lambda x: jnp.sin(x) * jnp.cos(x) + jnp.exp(-x) + jnp.minimum(x, 0.1),
    "conditions": lambda x: jnp.where(
        (x > 0.2) & ~(x >= 1) | (x == 0), -x, x.max(axis=(1, 2, 3), keepdims=True)
    ),
    "dense": lambda x: x @ MATRIX,
    "dense_after_conv": lambda x: conv(x) @ np.tile(MATRIX, (2, 1))[:6],
    "cells_first": lambda x: jnp.einsum("fn,bnd->bfd", CELLS, x.reshape(x.shape[0], 30, 4)),
    "attention": lambda x: jnp.einsum("bqhd,bkhd->bhqk", x, x[:, ::-1]),
    "whole_image": lambda x: jnp.einsum("bhwc,bhwc->b", x, conv(x, KERNEL[..., :4])),
    "two_inner_axes": lambda x: jnp.einsum("bhwc,whk->bck", x, CELLS[:5, :18].reshape(5, 6, 3)),
    "first_token": with_first_token,
    "sum_then_turned": lambda x: (x + CHANNELS[None, None, None]).swapaxes(1, 3) * 2 + 1,
    "prelu_of_the_turned": prelu_of_the_turned,
    "sum_then_wide": lambda x: (wide(x.mean(axis=-1, keepdims=True) + 1, x) + 2).sum(axis=-1),
    "product_then_wide": lambda x: (wide(x.mean(axis=-1, keepdims=True) + 1, x) * 2).sum(axis=-1),
    "one_row_to_all": lambda x: x.sum(axis=1)[:, None] + jnp.zeros_like(x),
    "no_row": lambda x: jnp.einsum("bd,bhwd->bhw", x.mean(axis=(1, 2)), x),
    "no_column": lambda x: jnp.einsum("bhwd,bd->bhw", x, x.mean(axis=(1, 2))),
    "two_inner_axes_and_no_row": lambda x: jnp.einsum("bhw,bhwd->bd", x.mean(axis=-1), x),
    "outer_product": lambda x: jnp.einsum("bij,bkl->bijkl", x[..., 0], x[:, 0]),
    "sum_over_nothing": lambda x: x.sum(axis=()),
    "of_the_batch": lambda x: jnp.ones((x.shape[0], 3)) * 2 + x[:, :3, 0, 0],
    "smallest": lambda x: (x.min(axis=1) > 0).astype(np.float32),
}


def graph_of(forward, variables=None, shape=SHAPE):
    """The graph of `forward(images)`, or of `forward(variables, images)`, which give dicts."""
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *shape), np.float32)
    call = (lambda _, x: forward(x)) if variables is None else forward
    model = to_onnx(onnx, call, variables, images)
    onnx.checker.check_model(model, full_check=True)
    return model


def session_of(model):
    return onnxruntime.InferenceSession(model.SerializeToString())


def kinds(model):
    return Counter(node.op_type for node in model.graph.node)


@pytest.fixture(scope="module")
def tried():
    """Results of all functions for three images: by ONNX at once, one by one, and by JAX."""

    def every(x):
        return {name: function(x) for name, function in FUNCTIONS.items()}

    session = session_of(graph_of(every))
    names = [one.name for one in session.get_outputs()]
    images = np.random.default_rng(1).standard_normal((3, *SHAPE)).astype(np.float32)
    batches = [session.run(None, {"images": x}) for x in (images, images[:1], images[1:])]
    together, *rest = (dict(zip(names, arrays, strict=True)) for arrays in batches)
    apart = {name: np.concatenate([part[name] for part in rest]) for name in names}
    return together, apart, jax.device_get(jax.jit(every)(images))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_graph_gives_what_the_function_gives_at_any_batch_size(name, tried):
    *found, expected = (results[name] for results in tried)
    for array in found:
        assert array.shape == expected.shape and array.dtype == expected.dtype
        np.testing.assert_allclose(array, expected, rtol=2e-5, atol=2e-5)


def test_convolutions_have_no_transposes_between_them():
    def network(x):
        for _ in range(3):
            x = prelu((conv(x, KERNEL[..., :4]) - CHANNELS[None, None, None]) * 3 + 1)
        return {"y": max_pool(x).mean(axis=(1, 2))}

    found = kinds(graph_of(network))
    assert found["Transpose"] == 1  # of the images
    assert found["Conv"] == found["PRelu"] == found["Mul"] == found["Add"] == 3
    assert not found["Greater"] and not found["Where"]


def test_weights_keep_their_names_and_are_stored_once():
    variables = {"params": {"stem": {"kernel": KERNEL[..., :4]}}, "unused": {"head": MATRIX}}

    def twice(variables, x):
        kernel = variables["params"]["stem"]["kernel"]
        return {"y": conv(conv(x, kernel), kernel)}

    model = graph_of(twice, variables)
    assert [tensor.name for tensor in model.graph.initializer] == ["params/stem/kernel"]
    assert kinds(model)["Conv"] == 2


def test_the_batch_is_free_and_named():
    model = graph_of(lambda x: {"y": conv(x)})
    (dims,) = [one.type.tensor_type.shape.dim for one in model.graph.input]
    assert dims[0].dim_param == "batch" and [d.dim_value for d in dims[1:]] == [6, 5, 4]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: jnp.sort(x), "JAX's sort"),
        (lambda x: x.mean(axis=0), "dim_as_value"),
        (lambda x: jnp.array(CELLS)[(x[:, 0, 0, 0] > 0).astype(int)], "looked up by number"),
        (lambda x: jnp.zeros((2 * x.shape[0], 1)) + 1, r"an axis of 2\*batch entries"),
        (lambda x: lax.slice_in_dim(x, 0, x.shape[0] - 1), "bounds depend on the batch"),
        (lambda x: conv(x, lhs_dilation=(2, 2)), "transposed convolution"),
        (lambda x: conv(x, padding=((-1, 1), (1, 1))), "less than nothing"),
        (max_pool_over_padded_channels, "windows that are not of two axes"),
    ],
)
def test_what_cannot_be_written_is_named_in_one_line(function, words):
    with pytest.raises(ModelError, match=words) as caught:
        graph_of(lambda x: {"y": function(x)})
    assert "stablehlo" in str(caught.value) and "\n" not in str(caught.value)

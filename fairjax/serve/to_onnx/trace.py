"""Walks a traced function and writes an ONNX node for what depends on the images."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from fairjax.core.types import PyTree
from fairjax.serve.to_onnx.graph import Graph, Operand
from fairjax.serve.to_onnx.primitives import RULES, computed, refused

OPSET = 18  # of the graph: read by onnxruntime 1.14 and newer
_IR_VERSION = 8  # the one that came with this opset
_BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # parameters of a call that hold its function
_CALLS = (
    "jit",
    "pjit",
    "closed_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "checkpoint",
    "remat2",
)


def to_onnx(
    onnx: Any,
    forward: Callable[[PyTree, jax.Array], Mapping[str, jax.Array]],
    variables: PyTree,
    images: jax.ShapeDtypeStruct,
) -> Any:
    """A pure function of weights and images as an onnx.ModelProto of images alone.

    What does not depend on the images is computed now; weights become constants under the names
    that they have in `variables`.

    Args:
      onnx: The package onnx.
      forward: `(variables, images) -> {name: array}`.
      variables: Weights: nested dicts of arrays.
      images: Shape and type of the images; the first axis is symbolic.

    Raises:
      ModelError: If the function uses a primitive that has no rule here.
    """
    closed, shapes = jax.make_jaxpr(forward, return_shape=True)(variables, images)
    graph = Graph(onnx, "images", images.shape[0])
    weights = [
        Operand(np.shape(x), constant=np.asarray(x), label="/".join(str(k.key) for k in path))
        for path, x in jax.tree_util.tree_leaves_with_path(variables)
    ]
    pixels = Operand(images.shape, "images", order=tuple(range(len(images.shape))))
    results = _walk(graph, closed.jaxpr, closed.consts, [*weights, pixels])
    outputs = {
        name: (x, shapes[name].dtype) for name, x in zip(sorted(shapes), results, strict=True)
    }
    made = graph.finished((images.dtype, images.shape), outputs)
    opset = onnx.helper.make_opsetid("", OPSET)
    return onnx.helper.make_model(made, opset_imports=[opset], ir_version=_IR_VERSION)


def _walk(graph: Graph, jaxpr: Any, constants: Any, arguments: list[Operand]) -> list[Operand]:
    """Adds the equations of a function to the graph; returns its results."""
    known: dict[Any, Operand] = dict(zip(jaxpr.invars, arguments, strict=True))
    for variable, value in zip(jaxpr.constvars, constants, strict=True):
        known[variable] = Operand(np.shape(value), constant=np.asarray(value))

    def read(variable: Any) -> Operand:
        if isinstance(variable, Literal):
            aval: Any = variable.aval
            value = np.asarray(variable.val, aval.dtype)
            return Operand(value.shape, constant=value)
        return known[variable]

    for eqn in jaxpr.eqns:
        xs = [read(variable) for variable in eqn.invars]
        outs = [variable.aval for variable in eqn.outvars]
        name = eqn.primitive.name
        fixed = all(x.constant is not None and _is_known(x.shape) for x in xs)
        if name == "dim_as_value":  # the size of the batch as a number
            raise refused(f"JAX's {name}")
        if name in _CALLS:
            body = next(eqn.params[key] for key in _BODIES if key in eqn.params)
            inner = getattr(body, "jaxpr", body)
            results = _walk(graph, inner, getattr(body, "consts", ()), xs)
        elif name == "broadcast_in_dim" and len(xs) == 1:
            results = RULES[name](graph, xs, eqn.params, outs)
        elif fixed and all(_is_known(out.shape) for out in outs):
            results = computed(eqn, xs)
        elif name in RULES:
            results = RULES[name](graph, xs, eqn.params, outs)
        else:
            raise refused(f"JAX's {name}")
        known.update(zip(eqn.outvars, results, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _is_known(shape: tuple[Any, ...]) -> bool:
    return all(isinstance(n, int) for n in shape)

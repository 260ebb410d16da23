"""What each primitive of JAX is in ONNX: a table of functions that add nodes to a graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import jax
import numpy as np

from fairjax.serve.model import ModelError
from fairjax.serve.to_onnx.graph import Cut, Graph, Operand, without

Aval = Any  # `jax.core.ShapedArray`: shape and dtype of a result
# (graph, operands, parameters of the primitive, its results) -> results
Rule = Callable[[Graph, Sequence[Operand], Mapping[str, Any], Sequence[Aval]], list[Operand]]


def refused(what: str) -> ModelError:
    """The error for what cannot be written."""
    return ModelError(
        f"the model uses {what}, which is not written as ONNX; export --to stablehlo."
    )


def elementwise(graph: Graph, kind: str, operands: Sequence[Operand], out: Aval) -> Operand:
    """One node for each entry; operands are broadcast where they are narrow, short or numbers."""
    orders = [x.order for x in operands if x.constant is None and len(x.order) == len(out.shape)]
    order = orders[0] if orders else tuple(range(len(out.shape)))
    names = [graph.stored(x, order if x.shape else ()) for x in operands]
    narrow = all(x.narrow or x.shape != out.shape for x in operands)
    return Operand(out.shape, graph.node(kind, names), order=order, narrow=narrow)


def _plain(kind: str) -> Rule:
    return lambda graph, xs, params, outs: [elementwise(graph, kind, xs, outs[0])]


def _constant_of(x: Operand, y: Operand) -> tuple[Operand, np.ndarray] | None:
    """The array and the constant of a pair of which one is a constant of floats."""
    for array, other in ((x, y), (y, x)):
        if other.constant is not None and other.constant.dtype.kind == "f":
            return array, other.constant
    return None


def _shifted(graph: Graph, x: Operand, constant: np.ndarray, out: Aval) -> Operand:
    """The sum of x and a constant; of two sums in a row one is made."""
    if x.key in graph.shifts:
        x, before = graph.shifts[x.key]
        constant = np.asarray(before + constant)
    y = elementwise(graph, "Add", [x, _as_operand(constant, out)], out)
    graph.shifts[y.key] = x, constant
    return y


def _as_operand(constant: np.ndarray, out: Aval) -> Operand:
    shape = out.shape if constant.ndim else ()
    return Operand(shape, constant=constant, narrow=constant.shape != shape)


def _add(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    pair = _constant_of(*xs)
    if pair:
        return [_shifted(graph, *pair, outs[0])]
    return [elementwise(graph, "Add", xs, outs[0])]


def _sub(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    subtracted = xs[1].constant
    if subtracted is not None and subtracted.dtype.kind == "f":
        return [_shifted(graph, xs[0], np.asarray(-subtracted), outs[0])]
    return [elementwise(graph, "Sub", xs, outs[0])]


def _mul(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    """A product; (x + a) b is made as x b + a b, which engines join to a convolution."""
    pair = _constant_of(*xs)
    if not pair:
        return [elementwise(graph, "Mul", xs, outs[0])]
    x, scale = pair
    before = graph.shifts.get(x.key)
    y = elementwise(
        graph, "Mul", [before[0] if before else x, _as_operand(scale, outs[0])], outs[0]
    )
    if before:
        y = _shifted(graph, y, np.asarray(before[1] * scale), outs[0])
    graph.products[y.key] = x.key, scale
    return [y]


def _max(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    pair = _constant_of(*xs)
    if pair and not pair[1].any():
        return [elementwise(graph, "Relu", [pair[0]], outs[0])]
    return [elementwise(graph, "Max", xs, outs[0])]


def _gt(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    y = elementwise(graph, "Greater", xs, outs[0])
    if xs[1].constant is not None and not xs[1].constant.any():
        graph.positive[y.key] = xs[0].key
    return [y]


def _select_n(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    """The second case where the condition is true, else the first; x > 0 ? x : a x is a PRelu."""
    which, *cases = xs
    if len(cases) != 2:
        raise refused("a choice among more than two arrays")
    first, second = cases
    x, slope = graph.products.get(first.key, (None, np.zeros(0)))
    if x and x == second.key == graph.positive.get(which.key):
        return [elementwise(graph, "PRelu", [second, _as_operand(slope, outs[0])], outs[0])]
    return [elementwise(graph, "Where", [which, second, first], outs[0])]


def _chain(*steps: str | tuple[str, float, bool]) -> Rule:
    """Nodes one after the other; a tuple has a number as its other operand, first where True."""

    def rule(
        graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
    ) -> list[Operand]:
        (x,) = xs
        for step in steps:
            if isinstance(step, str):
                x = elementwise(graph, step, [x], outs[0])
                continue
            kind, number, first = step
            other = Operand((), constant=np.array(number, outs[0].dtype))
            x = elementwise(graph, kind, [other, x] if first else [x, other], outs[0])
        return [x]

    return rule


def _integer_pow(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    (x,) = xs
    if params["y"] == 2:
        return [elementwise(graph, "Mul", [x, x], outs[0])]
    power = Operand((), constant=np.array(params["y"], outs[0].dtype))
    return [elementwise(graph, "Pow", [x, power], outs[0])]


def _square(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    return [elementwise(graph, "Mul", [xs[0], xs[0]], outs[0])]


def _same(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    return list(xs)


def _convert(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    (x,) = xs
    kind = graph.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(params["new_dtype"]))
    order = x.order or tuple(range(len(x.shape)))
    name = graph.node("Cast", [graph.stored(x, order)], to=kind)
    return [replace(x, name=name, constant=None, order=order)]


def _broadcast(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    """Axes of length 1 are added; nodes that take the result broadcast it, or `Graph.full` does."""
    x, shape = xs[0], outs[0].shape
    axes = params["broadcast_dimensions"]

    def spread(dims: Sequence[Any]) -> tuple[Any, ...]:
        wide = [1] * len(shape)
        for axis, n in zip(axes, dims, strict=True):
            wide[axis] = n
        return tuple(wide)

    if x.constant is not None:
        constant = x.constant.reshape(spread(x.constant.shape))
        narrow = constant.shape != tuple(shape)
        return [replace(x, shape=shape, constant=constant, narrow=narrow)]
    wide = spread(x.shape)
    narrow = x.narrow or any(n != m for n, m in zip(wide, shape, strict=True))
    if len(wide) == len(x.shape):
        return [replace(x, shape=shape, narrow=narrow)]
    x = graph.full(x)
    name = graph.reshaped(graph.stored(x), wide)
    return [Operand(shape, name, order=tuple(range(len(shape))), narrow=wide != tuple(shape))]


def _reshape(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    shape = outs[0].shape
    name = graph.reshaped(graph.stored(graph.full(xs[0])), shape)
    return [Operand(shape, name, order=tuple(range(len(shape))))]


def _transpose(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    """No node: the stored axes get other numbers."""
    x, perm = xs[0], params["permutation"]
    if x.constant is not None:
        return [replace(x, shape=outs[0].shape, constant=x.constant.transpose(perm))]
    return [replace(x, shape=outs[0].shape, order=tuple(perm.index(axis) for axis in x.order))]


def _reduction(kind: str) -> Rule:
    def rule(
        graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
    ) -> list[Operand]:
        x, axes = graph.full(xs[0]), params["axes"]
        if not axes:  # which ONNX takes for all of them
            return [x]
        stored = graph.integers([x.order.index(axis) for axis in axes])
        name = graph.node(kind, [x.name, stored], keepdims=0)
        return [Operand(outs[0].shape, name, order=without(x.order, axes))]

    return rule


def _concatenate(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    xs = [graph.full(x) for x in xs]
    order = next(x.order for x in xs if x.constant is None)
    axis = order.index(params["dimension"])
    name = graph.node("Concat", [graph.stored(x, order) for x in xs], axis=axis)
    return [Operand(outs[0].shape, name, order=order)]


def _split(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    x = graph.full(xs[0])
    names = graph.node(
        "Split",
        [x.name, graph.integers(params["sizes"])],
        outputs=len(outs),
        axis=x.order.index(params["axis"]),
    )
    names = [names] if len(outs) == 1 else names
    return [replace(x, shape=out.shape, name=n) for out, n in zip(outs, names, strict=True)]


def _slice(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    (x,) = xs
    starts, ends = params["start_indices"], params["limit_indices"]
    steps = params["strides"] or (1,) * len(starts)
    cuts: dict[int, Cut] = {}
    for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True)):
        whole = end == x.shape[axis]
        if (start, step) == (0, 1) and whole:
            continue
        if not isinstance(start, int) or not (whole or isinstance(end, int)):
            raise refused("a slice whose bounds depend on the batch")
        cuts[axis] = start, None if whole else end, step
    return [graph.sliced(x, outs[0].shape, cuts) if cuts else x]


def _rev(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    cuts: dict[int, Cut] = dict.fromkeys(params["dimensions"], (-1, None, -1))
    return [graph.sliced(xs[0], outs[0].shape, cuts)]


def _pad(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    x, value = graph.full(xs[0]), xs[1]
    sides = params["padding_config"]
    if any(inner or low < 0 or high < 0 for low, high, inner in sides):
        raise refused("padding between entries, or of less than nothing")
    pads = [sides[axis][end] for end in (0, 1) for axis in x.order]
    return [
        Operand(
            outs[0].shape,
            graph.node("Pad", [x.name, graph.integers(pads), graph.stored(value, ())]),
            order=x.order,
        )
    ]


def _gather(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    """Constant entries of some axes, each axis by itself: x[:, 0], x[:, ::2, ::2], x[:, 1:, ::-1].

    JAX gives the first entry of each part of `x` in an array [*parts, axes].
    """
    x, numbers = graph.full(xs[0]), params["dimension_numbers"]
    if xs[1].constant is None or numbers.operand_batching_dims:
        raise refused("entries that are looked up by number")
    firsts = np.broadcast_to(xs[1].constant, xs[1].shape)
    sizes, collapsed = params["slice_sizes"], numbers.collapsed_slice_dims
    rank = len(outs[0].shape)
    axes = [axis for axis in range(rank) if axis not in numbers.offset_dims]  # of `parts`
    kept = [axis for axis in range(len(x.shape)) if axis not in collapsed]
    becomes = dict(zip(kept, numbers.offset_dims, strict=True))  # axis of x -> of the result
    cuts: dict[int, Cut] = {}
    picks: dict[int, Any] = {}  # axis -> one entry, or several
    free = list(range(len(axes)))
    constant = []
    for k, axis in enumerate(numbers.start_index_map):
        first = firsts[..., k]
        varies = [n for n in range(first.ndim) if np.ptp(first, axis=n).any()]
        if not varies:
            constant.append((axis, int(first.flat[0])))
            continue
        if len(varies) > 1 or varies[0] not in free or axis not in collapsed:
            raise refused("entries that are looked up by number")
        free.remove(varies[0])
        becomes[axis] = axes[varies[0]]
        along = tuple(slice(None) if n == varies[0] else 0 for n in range(first.ndim))
        picks[axis] = first[along]
    for axis, entry in constant:
        if axis not in collapsed:
            cuts[axis] = entry, entry + sizes[axis], 1
        elif free and firsts.shape[free[0]] == 1:  # a list of one entry
            becomes[axis] = axes[free.pop(0)]
            picks[axis] = np.array([entry])
        else:
            picks[axis] = np.array(entry)
    if free:
        raise refused("entries that are looked up by number")
    x = graph.sliced(x, x.shape, cuts) if cuts else x
    name, order = x.name, x.order
    for axis, entries in picks.items():
        index = graph.value(np.asarray(entries, np.int64))
        name = graph.node("Gather", [name, index], axis=order.index(axis))
        if not entries.ndim:
            order = tuple(a for a in order if a != axis)
    return [Operand(outs[0].shape, name, order=tuple(becomes[axis] for axis in order))]


def _dot_general(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    """A MatMul of [*shared, rows, inner] and [*shared, inner, columns]."""
    (inner_a, inner_b), (shared_a, shared_b) = params["dimension_numbers"]
    a, b = (graph.full(x) for x in xs)
    rows = [k for k in range(len(a.shape)) if k not in (*inner_a, *shared_a)]
    columns = [k for k in range(len(b.shape)) if k not in (*inner_b, *shared_b)]

    def matrix(x: Operand, shared: Sequence[int], *groups: Sequence[int]) -> str:
        order = (*shared, *groups[0], *groups[1])
        dims = [x.shape[k] for k in shared]
        dims += [prod(x.shape[k] for k in group) for group in groups]
        if x.constant is not None:
            joined = x.constant.transpose(order).reshape(dims)
            return graph.stored(Operand(tuple(dims), constant=joined, label=x.label))
        name = graph.stored(x, order)
        return name if all(len(group) == 1 for group in groups) else graph.reshaped(name, dims)

    if len(rows) > 1 and len(inner_a) == 1 and not shared_a:  # MatMul takes all rows as they are
        left, joined = graph.stored(a, (*rows, *inner_a)), False
    else:
        left, joined = matrix(a, shared_a, rows, inner_a), len(rows) != 1
    name = graph.node("MatMul", [left, matrix(b, shared_b, inner_b, columns)])
    shape = outs[0].shape
    if joined or len(columns) != 1:
        name = graph.reshaped(name, shape)
    return [Operand(shape, name, order=tuple(range(len(shape))))]


def _conv(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    numbers = params["dimension_numbers"]
    if params["batch_group_count"] != 1 or any(n != 1 for n in params["lhs_dilation"]):
        raise refused("a transposed convolution")
    x, kernel = (graph.full(operand) for operand in xs)
    padding = params["padding"]
    if any(n < 0 for side in padding for n in side):
        raise refused("a convolution that is padded with less than nothing")
    name = graph.node(
        "Conv",
        [graph.stored(x, tuple(numbers.lhs_spec)), graph.stored(kernel, tuple(numbers.rhs_spec))],
        strides=list(params["window_strides"]),
        dilations=list(params["rhs_dilation"]),
        pads=[side[end] for end in (0, 1) for side in padding],
        group=params["feature_group_count"],
        kernel_shape=[kernel.shape[axis] for axis in numbers.rhs_spec[2:]],
    )
    return [Operand(outs[0].shape, name, order=tuple(numbers.out_spec))]


def _max_pool(
    graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]
) -> list[Operand]:
    windows, strides, padding = (
        params[name] for name in ("window_dimensions", "window_strides", "padding")
    )
    still = [
        k
        for k, how in enumerate(zip(windows, strides, padding, strict=True))
        if how == (1, 1, (0, 0))
    ]
    dilated = any(n != 1 for n in (*params["base_dilation"], *params["window_dilation"]))
    if len(windows) != 4 or len(still) != 2 or dilated:
        raise refused("a maximum over windows that are not of two axes")
    over = [k for k in range(4) if k not in still]
    order = (*still, *over)
    name = graph.node(
        "MaxPool",
        [graph.stored(graph.full(xs[0]), order)],
        kernel_shape=[windows[k] for k in over],
        strides=[strides[k] for k in over],
        pads=[padding[k][end] for end in (0, 1) for k in over],
    )
    return [Operand(outs[0].shape, name, order=order)]


def _clamp(graph: Graph, xs: Sequence[Operand], params: Any, outs: Sequence[Aval]) -> list[Operand]:
    low, x, high = xs
    return [
        elementwise(graph, "Min", [elementwise(graph, "Max", [x, low], outs[0]), high], outs[0])
    ]


RULES: dict[str, Rule] = {
    "abs": _plain("Abs"),
    "add": _add,
    "and": _plain("And"),
    "broadcast_in_dim": _broadcast,
    "clamp": _clamp,
    "concatenate": _concatenate,
    "conv_general_dilated": _conv,
    "convert_element_type": _convert,
    "copy": _same,
    "copy_p": _same,
    "cos": _plain("Cos"),
    "div": _plain("Div"),
    "dot_general": _dot_general,
    "eq": _plain("Equal"),
    "erf": _plain("Erf"),
    "erfc": _chain("Erf", ("Sub", 1.0, True)),
    "exp": _plain("Exp"),
    "expm1": _chain("Exp", ("Sub", 1.0, False)),
    "gather": _gather,
    "ge": _plain("GreaterOrEqual"),
    "gt": _gt,
    "integer_pow": _integer_pow,
    "le": _plain("LessOrEqual"),
    "log": _plain("Log"),
    "log1p": _chain(("Add", 1.0, False), "Log"),
    "logistic": _plain("Sigmoid"),
    "lt": _plain("Less"),
    "max": _max,
    "min": _plain("Min"),
    "mul": _mul,
    "neg": _plain("Neg"),
    "not": _plain("Not"),
    "optimization_barrier": _same,
    "or": _plain("Or"),
    "pad": _pad,
    "pow": _plain("Pow"),
    "reduce_max": _reduction("ReduceMax"),
    "reduce_min": _reduction("ReduceMin"),
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_window_max": _max_pool,
    "reshape": _reshape,
    "rev": _rev,
    "rsqrt": _chain("Sqrt", "Reciprocal"),
    "select_n": _select_n,
    "sign": _plain("Sign"),
    "sin": _plain("Sin"),
    "slice": _slice,
    "split": _split,
    "sqrt": _plain("Sqrt"),
    "square": _square,
    "squeeze": _reshape,
    "stop_gradient": _same,
    "sub": _sub,
    "tanh": _plain("Tanh"),
    "transpose": _transpose,
}


def computed(eqn: Any, xs: Sequence[Operand]) -> list[Operand]:
    """Results of an equation whose operands are all constants."""
    values = [np.broadcast_to(x.constant, x.shape) for x in xs if x.constant is not None]
    results = eqn.primitive.bind(*(jax.numpy.asarray(v) for v in values), **eqn.params)
    results = results if eqn.primitive.multiple_results else [results]
    return [Operand(np.shape(y), constant=np.asarray(y)) for y in results]

"""An ONNX graph that grows node by node, from arrays that know how they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairjax.serve.model import ModelError

_END = np.iinfo(np.int64).max  # of a slice that takes all that follows
Cut = tuple[int, int | None, int]  # first entry, end and step of a slice


@dataclass(frozen=True, eq=False)
class Operand:
    """An array of the traced function, and how the graph holds it.

    ONNX convolves channels first and JAX's models channels last. So that no transposes surround
    each convolution, an array keeps the order of axes in which it was computed.

    Attributes:
      shape: Shape that the function sees; entries are integers or symbolic.
      name: Name in the graph; "" for a constant.
      constant: Values of a constant, in the function's order of axes; None for another array.
      label: Name of a constant that is a weight; "" for others.
      order: For each stored axis, its number in `shape`.
      narrow: Whether an axis may be stored with length 1 and stands for more, as in broadcasting.
    """

    shape: tuple[Any, ...]
    name: str = ""
    constant: np.ndarray | None = None
    label: str = ""
    order: tuple[int, ...] = ()
    narrow: bool = False

    @property
    def key(self) -> "Key":
        """What tells the array from other views of the same node, such as its transpose."""
        return self.name, self.order, self.shape


Key = tuple[str, tuple[int, ...], tuple[Any, ...]]


class Graph:
    """Nodes and constants of the graph, and where its batch comes from.

    Args:
      onnx: The package.
      image: Name of the input.
      batch: Symbolic number of images, the input's first axis.
    """

    def __init__(self, onnx: Any, image: str, batch: Any) -> None:
        self.onnx = onnx
        self.image = image
        self.batch = batch
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        # Names of constants that stand in the graph, by array and order; the array is kept so
        # that its identity is not used again.
        self._stored: dict[tuple[int, tuple[int, ...]], tuple[str, np.ndarray]] = {}
        self._labels: set[str] = set()
        self._batch_size = ""
        # How some arrays were made, for `primitives` to merge steps.
        self.shifts: dict[Key, tuple[Operand, np.ndarray]] = {}
        self.products: dict[Key, tuple[Key, np.ndarray]] = {}
        self.positive: dict[Key, Key] = {}

    def node(self, kind: str, inputs: Sequence[str], *, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns the name of its output, or a list of names of several."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{k}" for k in range(outputs)]
        made = self.onnx.helper.make_node(kind, list(inputs), names, name=name, **attributes)
        self.nodes.append(made)
        return name if outputs == 1 else names

    def value(self, array: np.ndarray, label: str = "") -> str:
        """Adds a constant as it is; returns its name."""
        name = label if label and label not in self._labels else f"constant_{len(self.constants)}"
        self._labels.add(name)
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def integers(self, values: Sequence[Any]) -> str:
        """Adds a constant of int64 numbers; returns its name."""
        return self.value(np.array(values, np.int64))

    def stored(self, x: Operand, order: tuple[int, ...] | None = None) -> str:
        """Name of the array in this order of axes; None is the function's own order.

        Nodes that take it must broadcast it where it is narrow.
        """
        order = tuple(range(len(x.shape))) if order is None else order
        if x.constant is not None:
            if x.constant.ndim == 0:
                order = ()
            key = id(x.constant), order
            if key not in self._stored:
                name = self.value(x.constant.transpose(order), x.label)
                self._stored[key] = name, x.constant
            return self._stored[key][0]
        if x.order == order:
            return x.name
        perm = [x.order.index(axis) for axis in order]
        return str(self.node("Transpose", [x.name], perm=perm))

    def full(self, x: Operand) -> Operand:
        """The same array, of which every axis is stored with its own length."""
        if not x.narrow:
            return x
        if x.constant is not None and all(isinstance(n, int) for n in x.shape):
            return replace(x, constant=np.broadcast_to(x.constant, x.shape), narrow=False)
        order = x.order or tuple(range(len(x.shape)))
        shape = self.shape([x.shape[axis] for axis in order])
        name = self.node("Expand", [self.stored(x, order), shape])
        return Operand(x.shape, name, order=order)

    def shape(self, dims: Sequence[Any]) -> str:
        """Name of a shape, int64 [axes]; entries are integers or the batch.

        Raises:
          ModelError: If an entry depends on the batch in another way.
        """
        if all(isinstance(n, int) for n in dims):
            return self.integers(dims)
        if not self._batch_size:
            self._batch_size = self.node("Shape", [self.image], start=0, end=1)
        names = []
        for n in dims:
            if not isinstance(n, int) and n != self.batch:
                raise ModelError(
                    f"the model has an axis of {n} entries, which cannot be written as ONNX; "
                    "export it --to stablehlo."
                )
            names.append(self.integers([n]) if isinstance(n, int) else self._batch_size)
        return str(self.node("Concat", names, axis=0))

    def reshaped(self, name: str, dims: Sequence[Any]) -> str:
        """Name of an array, stored in the function's order, in another shape."""
        symbolic = [n for n in dims if not isinstance(n, int)]
        if len(symbolic) > 1:
            return str(self.node("Reshape", [name, self.shape(dims)]))
        known = [n if isinstance(n, int) else -1 for n in dims]
        return str(self.node("Reshape", [name, self.integers(known)]))

    def sliced(self, x: Operand, shape: tuple[Any, ...], cuts: Mapping[int, Cut]) -> Operand:
        """A part of an array: for each axis that is cut its first entry, its end, and its step.

        An end of None takes all that follows in the direction of the step.
        """
        x = self.full(x)
        axes = [x.order.index(axis) for axis in cuts]
        starts, ends, steps = zip(*cuts.values(), strict=True)
        last = [
            end if end is not None else (_END if step > 0 else -_END)
            for end, step in zip(ends, steps, strict=True)
        ]
        parts = [self.integers(values) for values in (starts, last, axes, steps)]
        return replace(x, shape=shape, name=self.node("Slice", [x.name, *parts]))

    def finished(
        self, image: tuple[np.dtype, Sequence[Any]], outputs: dict[str, tuple[Operand, np.dtype]]
    ) -> Any:
        """The graph as a GraphProto, without the nodes and constants that no output needs.

        Args:
          image: Type and shape of the input.
          outputs: Arrays and their types, by name.
        """
        helper = self.onnx.helper

        def declared(name: str, dtype: np.dtype, shape: Sequence[Any]) -> Any:
            dims = [n if isinstance(n, int) else str(n) for n in shape]
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            return helper.make_tensor_value_info(name, kind, dims)

        for name, (x, _) in outputs.items():
            self.nodes.append(
                helper.make_node("Identity", [self.stored(self.full(x))], [name], name=name)
            )
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                kept.append(node)
                needed |= set(node.input)
        return helper.make_graph(
            kept[::-1],
            "fairjax",
            [declared(self.image, *image)],
            [declared(name, dtype, x.shape) for name, (x, dtype) in outputs.items()],
            [tensor for tensor in self.constants if tensor.name in needed],
        )


def without(order: tuple[int, ...], axes: Sequence[Any]) -> tuple[int, ...]:
    """An order of axes after some of them are gone."""
    left = [axis for axis in order if axis not in axes]
    return tuple(sorted(left).index(axis) for axis in left)

"""Tiny .onnx graphs: linear embedders of pixels, and graphs that are none."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, DIM = 8, 16


def weights(seed: int = 0, *, size: int = SIZE, dim: int = DIM) -> np.ndarray:
    """float32 [3 * size * size, dim], for pixels in the order channel, row, column."""
    return np.random.default_rng(seed).standard_normal((3 * size * size, dim)).astype(np.float32)


def embedder(
    path: Path,
    kernel: np.ndarray | None = None,
    *,
    layout: str = "NCHW",
    batch: str | int = "n",
    size: int | str = SIZE,
    scaled: bool = False,
    half: bool = False,
    inputs: int = 1,
    reshaped: tuple[int, ...] = (),
    last: str = "Identity",
    properties: dict[str, str] | None = None,
) -> Path:
    """Writes `flatten(pixels in NCHW) @ kernel`.

    Args:
      path: The file.
      kernel: See `weights`.
      layout: Order of the input's axes.
      batch: Its first axis.
      size: Height and width.
      scaled: Whether the graph itself subtracts 127.5 and multiplies with 1/128.
      half: Whether the kernel is stored as float16.
      inputs: How many inputs the graph declares.
      reshaped: Shape of one image's output, where it is no vector.
      last: A node after the product: "Softmax", say.
      properties: Metadata.
    """
    kernel = weights() if kernel is None else kernel
    shape = [batch, 3, size, size] if layout == "NCHW" else [batch, size, size, 3]
    declared = [
        helper.make_tensor_value_info(f"in{k}", TensorProto.FLOAT, shape) for k in range(inputs)
    ]
    constants = [
        numpy_helper.from_array(kernel.astype(np.float16 if half else np.float32), "kernel"),
        numpy_helper.from_array(np.float32(127.5), "mean"),
        numpy_helper.from_array(np.float32(1 / 128), "scale"),
    ]
    nodes, x = [], "in0"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [x], ["nchw"], perm=[0, 3, 1, 2]))
        x = "nchw"
    if scaled:
        nodes.append(helper.make_node("Sub", [x, "mean"], ["centred"]))
        nodes.append(helper.make_node("Mul", ["centred", "scale"], ["pixels"]))
        x = "pixels"
    nodes.append(helper.make_node("Flatten", [x], ["flat"], axis=1))
    nodes.append(helper.make_node("Cast", ["kernel"], ["kernel32"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("MatMul", ["flat", "kernel32"], ["product"]))
    if reshaped:
        constants.append(numpy_helper.from_array(np.array([-1, *reshaped]), "shape"))
        nodes.append(helper.make_node("Reshape", ["product", "shape"], ["out"]))
    else:
        nodes.append(helper.make_node(last, ["product"], ["out"]))
    for k in range(1, inputs):
        nodes.append(helper.make_node("Identity", [f"in{k}"], [f"unused{k}"]))
    out = [batch, *(reshaped or kernel.shape[1:])]
    graph = helper.make_graph(
        nodes,
        "embedder",
        declared,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, out)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for key, value in (properties or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(path))
    return path


def expected(
    images: np.ndarray,
    kernel: np.ndarray | None = None,
    *,
    mean: float = 127.5,
    std: float = 127.5,
    bgr: bool = False,
) -> np.ndarray:
    """What `embedder` makes of uint8 images [n, height, width, 3], by numpy."""
    kernel = weights() if kernel is None else kernel
    images = images[..., ::-1] if bgr else images
    pixels = (images.astype(np.float64) - mean) / std
    return pixels.transpose(0, 3, 1, 2).reshape(len(images), -1) @ kernel


def external(path: Path, location: str, *, write: bool = True) -> Path:
    """Moves the kernel of a written embedder into a file beside it, or says that it is there."""
    model = onnx.load(str(path))
    tensor = next(t for t in model.graph.initializer if t.name == "kernel")
    content = tensor.raw_data
    if write:
        (path.parent / location).write_bytes(content)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path

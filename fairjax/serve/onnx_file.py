"""Any .onnx embedder by onnxruntime: what it takes and gives is found from its graph, or stated."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.core.errors import missing_extra
from fairjax.serve.model import Model, ModelError, Preprocessing

METADATA = "fairjax"  # key of a graph's metadata under which our exports describe themselves
_FEWEST = 8  # numbers of an embedding; fewer are scores or landmarks
_LOOK = 8  # nodes from the input on among which a graph may scale its pixels itself
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")  # the first that is there
_CHUNK = 2**24  # bytes hashed at a time
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


@dataclass(frozen=True, kw_only=True)
class OnnxInput:
    """What the user says of an .onnx; None or "" is found from the graph.

    Attributes:
      layout: "NHWC" or "NCHW".
      size: Height and width, in pixels.
      colour: "RGB" or "BGR".
      mean: Mean of each channel, or one for all, in pixel values.
      std: Divisor of each channel, or one for all, in pixel values.
      output: Name of the output that is the embedding.
      resizes: Whether images of another size are resized.
    """

    layout: str = ""
    size: tuple[int, int] | None = None
    colour: str = ""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    output: str = ""
    resizes: bool = False


def import_onnx() -> tuple[Any, Any]:
    """The packages onnx and onnxruntime.

    Raises:
      ModelError: Names the extra that brings them.
    """
    try:
        import onnx
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModelError(missing_extra(error, "an .onnx model") or str(error)) from error
    onnxruntime.set_default_logger_severity(4)  # what goes wrong reaches us as an exception
    return onnx, onnxruntime


def from_onnx(path: Path, *, stated: OnnxInput = OnnxInput()) -> tuple[Model, list[str]]:  # noqa: B008 frozen
    """An .onnx file as a model, and sentences for the user.

    Raises:
      ModelError: If the file is damaged or incomplete, has several inputs, or no output is an
        embedding.
    """
    onnx, onnxruntime = import_onnx()
    graph_model = _read_graph(onnx, path)
    files = [path, *_external_files(onnx, graph_model, path)]
    session = _session(onnxruntime, path)
    own = _own_metadata(session)
    node = _one_input(path, session)
    preprocessing = _preprocessing(path, graph_model, node, own, stated)
    notes = _precision_notes(onnx, path, graph_model)
    batch = node.shape[0] if isinstance(node.shape[0], int) else 0
    outputs = own.get("outputs") or _embedding_output(path, session, stated)
    names = list(outputs)
    feed = _feeder(node, preprocessing)

    def start(images: np.ndarray) -> Mapping[str, np.ndarray]:
        step = batch or len(images)
        parts = [
            session.run([outputs[name] for name in names], {node.name: feed(chunk)})
            for chunk in np.split(images, range(step, len(images), step))
        ]
        joined = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return {name: np.asarray(x, np.float32) for name, x in zip(names, joined, strict=True)}

    shapes = _probe(path, start, preprocessing, max(batch, 2), own=bool(own))
    return (
        Model(
            name=own.get("model") or path.name,
            kind="onnx",
            hash=own.get("weights_hash") or _hash(files),
            preprocessing=preprocessing,
            targets=own.get("targets", {}),
            outputs=shapes,
            tasks=own.get("tasks", {}),
            step=own.get("checkpoint_step"),
            multiple=batch or 1,
            start=start,
        ),
        notes,
    )


def from_onnx_points(path: Path) -> tuple[Callable[[np.ndarray], np.ndarray], int, int]:
    """An .onnx that finds five points.

    Returns:
      `uint8 RGB images [1, height, width, 3] -> ten numbers`, and the height and width it takes.

    Raises:
      ModelError: If the file is damaged, has several inputs, or does not give ten numbers.
    """
    onnx, onnxruntime = import_onnx()
    model = _read_graph(onnx, path)
    _external_files(onnx, model, path)
    session = _session(onnxruntime, path)
    node = _one_input(path, session)
    preprocessing = _preprocessing(path, model, node, {}, OnnxInput())
    feed, (output, *_) = _feeder(node, preprocessing), session.get_outputs()

    def start(images: np.ndarray) -> np.ndarray:
        try:
            (points,) = session.run([output.name], {node.name: feed(images)})
        except Exception as error:  # onnxruntime has a class for each of its codes
            raise ModelError(f"{path} cannot be run on an image: {_line(error)}") from error
        if np.size(points) != 10:
            raise ModelError(
                f"{path}: the output {output.name} is {list(np.shape(points))}; a detector gives "
                "ten numbers for an image, x and y of five points."
            )
        return np.asarray(points, np.float64)

    return start, preprocessing.height, preprocessing.width


def _one_input(path: Path, session: Any) -> Any:
    """The graph's only input.

    Raises:
      ModelError: If there are several.
    """
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(entry.name for entry in inputs)
        raise ModelError(
            f"{path}: the graph has {len(inputs)} inputs ({names}); a face model has one."
        )
    return inputs[0]


def _read_graph(onnx: Any, path: Path) -> Any:
    """The graph, its external data left where they are."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}.") from error
    except Exception as error:  # protobuf raises its own kinds
        raise ModelError(f"{path} is no whole .onnx file ({type(error).__name__}).") from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{path} holds no graph; is it an .onnx file, and is it whole?")
    return model


def _tensors(onnx: Any, graph: Any) -> Iterator[Any]:
    """Every constant of a graph and of the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(onnx, inner)


def _external_files(onnx: Any, model: Any, path: Path) -> list[Path]:
    """Files beside the .onnx that hold weights of it, each inside its folder and long enough.

    Raises:
      ModelError: If one is missing, too short, or lies outside the folder.
    """
    folder = path.absolute().parent.resolve()
    paths: set[Path] = set()
    constants = [*_tensors(onnx, model.graph)]
    for function in model.functions:
        for node in function.node:
            constants += [a.t for a in node.attribute if a.HasField("t")]
    for tensor in constants:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        file = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
            raise ModelError(
                f"{path}: its weights {location!r} lie outside the model's folder; such a file is "
                "not read."
            )
        if not file.is_file():
            raise ModelError(
                f"{path}: its weights {location!r} are missing; put the file beside the .onnx."
            )
        try:
            end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
        except ValueError:
            raise ModelError(f"{path}: {location!r} has no valid offset or length.") from None
        if end > file.stat().st_size:
            raise ModelError(f"{path}: its weights {location!r} are cut short; copy them again.")
        paths.add(file)
    return sorted(paths)


def _session(onnxruntime: Any, path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    known = onnxruntime.get_available_providers()
    providers = [name for name in _PROVIDERS if name in known]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime has a class for each of its codes
        raise ModelError(f"{path} cannot be run: {_line(error)}") from error


def _own_metadata(session: Any) -> dict[str, Any]:
    """What an export of ours says of itself; {} for any other file."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA, "")
    try:
        own = json.loads(text) if text else {}
    except ValueError:
        return {}
    return own if isinstance(own, dict) and "preprocessing" in own else {}


def _preprocessing(
    path: Path, model: Any, node: Any, own: Mapping[str, Any], stated: OnnxInput
) -> Preprocessing:
    """Layout, size, colour and scale, each with where it comes from."""
    if own:
        if replace(stated, resizes=False) != OnnxInput():
            raise ModelError(f"{path} knows its own input; leave the input flags out.")
        return own_preprocessing(path, own, resizes=stated.resizes)
    if node.type not in (*_FLOATS, "tensor(uint8)"):
        raise ModelError(f"{path}: the input {node.name!r} is {node.type} and no image.")
    shape, origins = node.shape, {}
    if len(shape) != 4:
        raise ModelError(
            f"{path}: the input {node.name!r} has the shape {shape}; an image has four axes, "
            "[images, 3, height, width] or [images, height, width, 3]."
        )
    layout = stated.layout or ("NCHW" if shape[1] == 3 else "NHWC" if shape[3] == 3 else "")
    if not layout:
        raise ModelError(
            f"{path}: the input {node.name!r} {shape} shows no axis of 3 channels; say --layout "
            "NCHW or NHWC."
        )
    origins["layout"] = "flag" if stated.layout else "graph"
    sides = shape[2:4] if layout == "NCHW" else shape[1:3]
    fixed = tuple(n for n in sides if isinstance(n, int) and n > 0)
    if len(fixed) == 2 and stated.size and tuple(stated.size) != fixed:
        raise ModelError(
            f"{path} takes images of {fixed[0]} x {fixed[1]}, not {stated.size[0]} x "
            f"{stated.size[1]}."
        )
    size = fixed if len(fixed) == 2 else stated.size
    if size is None:
        raise ModelError(
            f"{path}: the graph leaves the images' size open; say --size, such as 112."
        )
    origins["size"] = "graph" if len(fixed) == 2 else "flag"
    colour = stated.colour or "RGB"
    origins["colour"] = "flag" if stated.colour else "assumed"
    scaled = node.type == "tensor(uint8)" or _scales_pixels(model.graph, node.name)
    default = (0.0, 1.0) if scaled else (127.5, 127.5)
    mean, std = (
        _three(path, stated_value, value)
        for stated_value, value in zip((stated.mean, stated.std), default, strict=True)
    )
    origin = "graph" if scaled else "assumed"
    origins["mean"] = "flag" if stated.mean is not None else origin
    origins["std"] = "flag" if stated.std is not None else origin
    return Preprocessing(
        height=size[0],
        width=size[1],
        mean=mean,
        std=std,
        colour=colour,
        layout=layout,
        resizes=stated.resizes,
        found=origins,
    )


def own_preprocessing(path: Path, own: Mapping[str, Any], *, resizes: bool) -> Preprocessing:
    """What an export of ours says of its input.

    Raises:
      ModelError: If that, or what else a model is described by, is missing or damaged.
    """
    try:
        kept = own["preprocessing"]
        for name in ("outputs", "targets", "tasks"):
            dict(own[name])
        for name in ("model", "weights_hash", "checkpoint_step"):
            own[name]
        return Preprocessing(
            **{
                **kept,
                "mean": tuple(kept["mean"]),
                "std": tuple(kept["std"]),
                "resizes": kept["resizes"] or resizes,
            }
        )
    except (LookupError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: what it says of itself is damaged ({type(error).__name__}: {error}); export "
            "it again."
        ) from error


def _three(path: Path, values: tuple[float, ...] | None, default: float) -> Any:
    values = (default,) if values is None else values
    if len(values) not in (1, 3):
        raise ModelError(f"{path}: give one number, or three, for the three channels.")
    return tuple(float(v) for v in (values * 3 if len(values) == 1 else values))


def _scales_pixels(graph: Any, name: str) -> bool:
    """Whether the first nodes subtract from the pixels and divide (or multiply) them.

    Such graphs, as InsightFace's older ones, take pixels from 0 to 255 as they are.
    """
    reached, kinds = {name}, set()
    for node in graph.node[:_LOOK]:
        if not reached & set(node.input):
            continue
        if node.op_type in ("Sub", "Add", "Mul", "Div", "BatchNormalization"):
            kinds.add(node.op_type)
        elif node.op_type not in ("Cast", "Transpose", "Identity"):
            break
        reached |= set(node.output)
    return bool(kinds & {"Sub", "Add"} and kinds & {"Mul", "Div"}) or kinds == {
        "BatchNormalization"
    }


def _precision_notes(onnx: Any, path: Path, model: Any) -> list[str]:
    half = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    count = sum(tensor.data_type in half for tensor in model.graph.initializer)
    if not count:
        return []
    return [
        f"{path.name}: {count} weights are in half precision; embeddings have about three digits, "
        "and scores differ from those of the float32 model."
    ]


def _embedding_output(path: Path, session: Any, stated: OnnxInput) -> dict[str, str]:
    """Which output is the embedding, by the name that we give it."""
    outputs = session.get_outputs()
    shown = ", ".join(f"{output.name} {output.shape}" for output in outputs)
    if stated.output:
        if stated.output not in [output.name for output in outputs]:
            raise ModelError(f"{path} has no output {stated.output!r}; it has {shown}.")
        return {"embedding": stated.output}

    def fits(output: Any) -> bool:
        if output.type not in _FLOATS:
            return False
        dim = output.shape[1] if output.shape and len(output.shape) == 2 else None
        return not output.shape or (
            len(output.shape) == 2 and (not isinstance(dim, int) or dim >= _FEWEST)
        )

    fitting = [output.name for output in outputs if fits(output)]
    if len(fitting) == 1:
        return {"embedding": fitting[0]}
    if fitting:
        raise ModelError(
            f"{path} has several outputs that may be the embedding: {shown}; say --output."
        )
    raise ModelError(
        f"{path}: no output is an embedding [images, {_FEWEST} numbers or more]; it has {shown}."
    )


def _feeder(node: Any, preprocessing: Preprocessing) -> Any:
    """Uint8 RGB images [batch, height, width, 3] -> what the graph takes."""
    mean, std = (np.array(v, np.float32) for v in (preprocessing.mean, preprocessing.std))

    def feed(images: np.ndarray) -> np.ndarray:
        if preprocessing.colour == "BGR":
            images = images[..., ::-1]
        if node.type != "tensor(uint8)":
            images = ((images.astype(np.float32) - mean) / std).astype(_FLOATS[node.type])
        if preprocessing.layout == "NCHW":
            images = images.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(images)

    return feed


def _probe(
    path: Path, start: Any, preprocessing: Preprocessing, rows: int, *, own: bool
) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs for one image, from grey and noise; refuses what is no embedding."""
    size = rows, preprocessing.height, preprocessing.width, 3
    images = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    images[0] = 128
    try:
        columns = start(images)
    except Exception as error:  # as above
        raise ModelError(f"{path} cannot be run on an image: {_line(error)}") from error
    if own:
        return {name: x.shape[1:] for name, x in columns.items()}
    embedding = columns["embedding"]
    if embedding.ndim != 2 or embedding.shape[0] != rows or embedding.shape[1] < _FEWEST:
        raise ModelError(
            f"{path}: the output is {list(embedding.shape)} for {rows} images; an embedding is "
            f"[{rows}, {_FEWEST} numbers or more]. Say --output if another one is it."
        )
    if (embedding >= 0).all() and np.allclose(embedding.sum(axis=1), 1.0, atol=1e-3):
        raise ModelError(
            f"{path}: the output sums to 1 for every image: class probabilities and no embedding."
        )
    if np.allclose(embedding[0], embedding[1]):
        raise ModelError(
            f"{path}: the output is the same for two unlike images; it is no embedding."
        )
    return {"embedding": embedding.shape[1:]}


def _hash(files: list[Path]) -> str:
    state = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
    return f"sha256:{state.hexdigest()}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

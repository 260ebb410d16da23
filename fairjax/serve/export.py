"""A run as one file: safetensors with its settings, StableHLO, or ONNX."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

import fairjax
from fairjax.core.files import write_whole
from fairjax.data import phantom
from fairjax.models.layers.backend import plain_forms
from fairjax.run.loading import LoadedRun, assemble, blank_of, make_forward
from fairjax.serve.decode import resize
from fairjax.serve.model import Model, ModelError
from fairjax.serve.onnx_file import METADATA, import_onnx
from fairjax.serve.runs import as_model, preprocessing_of, tasks_of, weights_hash
from fairjax.serve.to_onnx import to_onnx

KINDS = ("safetensors", "onnx", "stablehlo")
TOLERANCE = 1e-4  # largest difference to the run's outputs, relative to the largest of them
PLATFORMS = ("cpu", "cuda", "tpu")  # that a StableHLO file runs on
_BATCH = "batch"  # name of the symbolic axis
_CHECKED = 8  # generated faces that a check compares
_SEPARATOR = "/"
_INLINE = 2**31 - 2**20  # bytes; weights of a larger ONNX file lie beside it, as protobuf demands
# Sections of a config that predicting needs; the others may hold paths of the machine.
_NEEDED = ("seed", "title", "method", "backbone", "input", "compute_dtype")


def export(run: LoadedRun, out: Path, *, kind: str, normalised: bool, card: str = "") -> None:
    """Writes a run's model as one file.

    StableHLO gets its description in a .json beside it, and ONNX of 2 GB or more its weights in a
    .data.

    Args:
      run: The run.
      out: The file.
      kind: One of `KINDS`.
      normalised: Whether the file takes normalised images, float32 [batch, 3, height, width],
        instead of pixels, uint8 RGB [batch, height, width, 3]. Safetensors hold weights alone.
      card: The run's model card, which goes into the description.

    Raises:
      OSError: If the file cannot be written.
      ModelError: If the model uses a primitive that is not written as ONNX, or the package onnx is
        missing.
    """
    if kind == "onnx":
        import_onnx()  # before anything is computed
    weights = weights_hash(run.variables)
    run = _plain(run, normalised=normalised)
    described = {**describe(run), "weights_hash": weights, "model_card": card}
    if kind == "safetensors":
        return write_whole(out, _safetensors(run, described))
    if kind == "onnx":
        return _write_onnx(run, described, out)
    content = _stablehlo(run)
    write_whole(out.with_name(out.name + ".json"), json.dumps(described, indent=1) + "\n")
    return write_whole(out, content)


def describe(run: LoadedRun) -> dict[str, Any]:
    """What an exported file says of its model, JSON-ready."""
    forward = make_forward(run)
    outputs = jax.eval_shape(forward, run.variables, blank_of(run, 1))
    preprocessing = preprocessing_of(run)
    if run.takes_pixels:  # the graph itself scales them
        inside = preprocessing.describe()
        preprocessing = replace(preprocessing, mean=(0.0,) * 3, std=(1.0,) * 3, inside=inside)
    else:
        preprocessing = replace(preprocessing, layout="NCHW")
    return {
        "model": run.settings.title,
        "checkpoint_step": run.step,
        "preprocessing": preprocessing.to_json(),
        "outputs": {name: name for name in sorted(outputs)},
        "targets": dict(run.description["targets"]),
        "tasks": tasks_of(run),
        "licence_note": licence_note(run),
        "fairjax": fairjax.__version__,
    }


def licence_note(run: LoadedRun) -> str:
    """A sentence on what may bind the weights."""
    return (
        f"Trained on the data set {run.settings.scoring.dataset!r}, whose terms may bind what "
        "is done with these weights; ask whoever trained them for a licence."
    )


def largest_difference(run: LoadedRun, model: Model) -> float:
    """The largest difference between a file's and the run's outputs on generated faces.

    Of each output the largest absolute difference is divided by the largest absolute value; the
    largest of these is returned. The run computes in float32, in its own form for this backend.

    Args:
      run: The run.
      model: The file, read again.
    """
    images = faces(run.settings.input.image_size)
    run = _rebuilt(run, normalised=False)
    expected = jax.device_get(jax.jit(make_forward(run))(run.variables, images))
    actual = model.predict(np.asarray(images))
    return max(
        float(np.abs(actual[name] - x).max() / max(np.abs(x).max(), np.finfo(np.float32).tiny))
        for name, x in expected.items()
    )


def faces(size: int) -> jax.Array:
    """Generated faces, uint8 [8, size, size, 3]."""
    number = np.arange(_CHECKED)
    drawn = phantom.draw(
        number,
        0 * number,
        phantom.people(number, seed=0),
        seed=0,
        image_size=min(max(size, 32), 224) // 2 * 2,
        differential=phantom.NEUTRAL,
    )
    return jnp.asarray(np.stack([resize(np.asarray(x), height=size, width=size) for x in drawn]))


def from_safetensors(path: Path, *, flip: str = "") -> Model:
    """A file that `export` wrote, as a model.

    Raises:
      ModelError: If the file is damaged or was not exported by FairJAX.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(METADATA, "")
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(f"{path} is no whole .safetensors file: {error}.") from error
    if not text:
        raise ModelError(
            f"{path} was not exported by FairJAX: it holds weights without their model. Start a "
            "run from it with config.init.run."
        )
    try:
        kept = json.loads(text)
        run = assemble(
            _whole_tree(kept["config"]),
            kept["description"],
            unflatten_dict({tuple(n.split(_SEPARATOR)): x for n, x in flat.items()}),
            folder=path,
            step=kept["checkpoint_step"],
            flip=flip,
        )
        return as_model(run, kind="safetensors", weights=kept["weights_hash"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{path} does not describe a model ({error}).") from error


def from_stablehlo(path: Path) -> Model:
    """A StableHLO file that `export` wrote, and its .json, as a model.

    Raises:
      ModelError: If either is missing or damaged.
    """
    from fairjax.core.files import read_json
    from fairjax.serve.onnx_file import own_preprocessing

    try:
        own = read_json(path.with_name(path.name + ".json"))
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
        preprocessing = own_preprocessing(path, own, resizes=False)
        shapes = exported.out_avals
        names = sorted(own["outputs"])
    except ModelError:
        raise
    except Exception as error:  # flatbuffers raise their own kinds
        raise ModelError(
            f"{path} cannot be read with its .json: {' '.join(str(error).split())[:200]}."
        ) from error
    mean, std = (jnp.asarray(v, jnp.float32) for v in (preprocessing.mean, preprocessing.std))

    def start(images: np.ndarray) -> Mapping[str, Any]:
        if preprocessing.layout == "NCHW":
            scaled = (images.astype(np.float32) - np.asarray(mean)) / np.asarray(std)
            images = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
        return exported.call(images)

    return Model(
        name=own["model"],
        kind="stablehlo",
        hash=own["weights_hash"],
        preprocessing=preprocessing,
        targets=own["targets"],
        outputs={n: tuple(a.shape[1:]) for n, a in zip(names, shapes, strict=True)},
        tasks=own["tasks"],
        step=own["checkpoint_step"],
        multiple=1,
        start=start,
    )


def _plain(run: LoadedRun, *, normalised: bool) -> LoadedRun:
    """The run in float32, with the weights alone that predicting uses."""
    run = _rebuilt(run, normalised=normalised)
    with plain_forms():
        traced = jax.make_jaxpr(make_forward(run))(run.variables, blank_of(run, 1))
    used = {id(v) for eqn in traced.jaxpr.eqns for v in eqn.invars}
    used |= {id(v) for v in traced.jaxpr.outvars}
    flat = flatten_dict(run.variables, keep_empty_nodes=False)
    leaves = jax.tree_util.tree_leaves_with_path(run.variables)
    paths = [tuple(key.key for key in path) for path, _ in leaves]
    kept = [
        path
        for path, v in zip(paths, traced.jaxpr.invars[: len(paths)], strict=True)
        if id(v) in used
    ]
    return replace(run, variables=unflatten_dict({path: np.asarray(flat[path]) for path in kept}))


def _rebuilt(run: LoadedRun, *, normalised: bool) -> LoadedRun:
    return assemble(
        run.settings.tree,
        run.description,
        run.variables,
        folder=run.folder,
        step=run.step,
        flip=run.flip,
        normalised=normalised,
        compute_dtype="float32",
    )


def _whole_tree(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of an exported config, those that are not kept being the defaults."""
    from fairjax.config import base_config

    return {**base_config().to_dict(), **kept}


def _safetensors(run: LoadedRun, described: Mapping[str, Any]) -> bytes:
    from safetensors.numpy import save

    tree = run.settings.tree
    kept = {
        "config": {name: tree[name] for name in _NEEDED},
        "description": dict(run.description),
        **described,
    }
    flat = {
        _SEPARATOR.join(path): np.ascontiguousarray(x)
        for path, x in flatten_dict(run.variables).items()
    }
    return save(flat, metadata={METADATA: json.dumps(kept), "format": "jax"})


def _closed(run: LoadedRun) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """The model as a function of images alone; its weights are constants."""
    forward, variables = make_forward(run), jax.tree.map(jnp.asarray, run.variables)
    return lambda images: forward(variables, images)


def _stablehlo(run: LoadedRun) -> bytes:
    (batch,) = jax.export.symbolic_shape(_BATCH)
    with plain_forms():
        exported = jax.export.export(jax.jit(_closed(run)), platforms=PLATFORMS)(
            blank_of(run, batch)
        )
    return bytes(exported.serialize())


def _write_onnx(run: LoadedRun, described: Mapping[str, Any], out: Path) -> None:
    onnx, _ = import_onnx()
    (batch,) = jax.export.symbolic_shape(_BATCH)
    with plain_forms():
        model = to_onnx(onnx, make_forward(run), run.variables, blank_of(run, batch))
    model.producer_name, model.producer_version = "fairjax", fairjax.__version__
    model.doc_string = f"{run.settings.title}. {described['licence_note']}".lstrip(". ")
    onnx.helper.set_model_props(model, {METADATA: json.dumps(described)})
    beside = out.with_name(out.name + ".data")
    beside.unlink(missing_ok=True)  # of an earlier export; onnx would add to it
    if model.ByteSize() >= _INLINE:
        onnx.save_model(model, str(out), save_as_external_data=True, location=beside.name)
    else:
        write_whole(out, model.SerializeToString())

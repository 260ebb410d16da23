"""Grad-CAM of a verification pair as a picture, from a finished run."""

import functools
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError
from jaxtyping import UInt8
from PIL import Image

from fairjax.core.types import PyTree
from fairjax.models.attention_map import overlay, pair_maps
from fairjax.run.build import build_run
from fairjax.run.checkpoint import read_variables
from fairjax.run.prepare import make_preprocess
from fairjax.run.workdir import WorkdirError, read_json


def pair_picture(
    run: Path, first: Path, second: Path, *, layer: str
) -> tuple[UInt8[np.ndarray, "height width 3"], float]:
    """Two face images beside each other, with the regions that make them alike in red.

    Args:
      run: Folder of a finished run; its backbone is taken, in inference mode.
      first: An aligned face image.
      second: Another one.
      layer: Map of the backbone, such as "stage_4".

    Returns:
      The picture, and the cosine of the embeddings of the images as they are.

    Raises:
      WorkdirError: If the run is not finished, its backbone exposes no such map, or a file is no
        image.
    """
    settings = build_run(read_json(run / "config.json"))
    size = settings.input.image_size
    images = np.stack([_read_image(path, size) for path in (first, second)])
    variables = {
        name: tree["backbone"]
        for name, tree in read_variables(run).items()
        if isinstance(tree, dict) and "backbone" in tree
    }
    preprocess = make_preprocess(settings.input)
    draw = functools.partial(_draw, settings.backbone, preprocess, layer)
    try:
        picture, cosine = jax.jit(draw)(variables, images)
    except (FlaxError, TypeError, ValueError) as error:
        message = str(error).partition("\n")[0]
        raise WorkdirError(f"{run}: {message}") from error
    return np.asarray(picture), float(cosine)


def _draw(
    backbone: nn.Module,
    preprocess: Callable[[jax.Array], jax.Array],
    layer: str,
    variables: PyTree,
    images: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    pixels = preprocess(images)
    one, other, cosine = pair_maps(backbone, variables, pixels[:1], pixels[1:], layer=layer)
    return jnp.concatenate(list(overlay(images, jnp.concatenate([one, other]))), axis=1), cosine[0]


def _read_image(path: Path, size: int) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """A picture in RGB at the network's size."""
    try:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(resized, np.uint8)
    except OSError as error:
        raise WorkdirError(f"{path} is no image that can be read ({error}).") from error

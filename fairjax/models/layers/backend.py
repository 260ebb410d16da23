"""Which form of a layer the backend gets: the only place that asks for the backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import jax
from jaxtyping import Array, Float

Lowering = Literal["auto", "lax", "patches"]
Images = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch out_height out_width features"]

_PLAIN = ContextVar("plain", default=False)  # whether "auto" is the plain form everywhere


@contextmanager
def plain_forms() -> Iterator[None]:
    """Layers traced inside take their plain `lax` form, whatever the backend prefers."""
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def takes_cpu_form(lowering: Lowering) -> bool:
    """Whether a layer is computed in its form for XLA's CPU backend.

    Two layers have such a form: convolutions of one pixel and over tiny maps (`conv`), and the
    stem's max-pool (`max_pool`). Their parameters and results are those of the plain form. They
    can be deleted, and this module with them, once `benchmarks/layers.py` prints a ratio below 1.3
    for every step that it knows: then XLA's CPU backend computes `lax.conv_general_dilated` of
    small maps with all its cores, and the gradient of `lax.reduce_window` without sorting.

    Args:
      lowering: "patches" is that form and "lax" the plain one; "auto" is the form of the backend.
    """
    if lowering == "auto":
        return not _PLAIN.get() and jax.default_backend() == "cpu"
    return lowering == "patches"

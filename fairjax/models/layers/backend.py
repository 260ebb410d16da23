"""Which form of a layer the backend gets: the only place that asks for the backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, get_args

import jax
from jaxtyping import Array, Float

Form = Literal["one_pixel", "tiny_map"]
Lowering = Literal["auto", "lax", "patches"]
Images = Float[Array, "batch height width channels"]
Maps = Float[Array, "batch out_height out_width features"]

_PLAIN: ContextVar[frozenset[Form]] = ContextVar("plain", default=frozenset())


@contextmanager
def plain_forms(*forms: Form) -> Iterator[None]:
    """Layers traced inside take their plain `lax` form, whatever the backend prefers.

    Args:
      *forms: Forms for XLA's CPU backend that are not taken; all of them where none is named.
    """
    token = _PLAIN.set(frozenset(forms or get_args(Form)))
    try:
        yield
    finally:
        _PLAIN.reset(token)


def takes_cpu_form(form: Form, lowering: Lowering) -> bool:
    """Whether a layer is computed in its form for XLA's CPU backend.

    Two convolutions have such a form: those to a map with a side below 4 pixels ("tiny_map"), which
    make a step of a ResNet-18 ten times as fast, and others with a kernel of one pixel
    ("one_pixel"), 1.3 to 1.4 times in a ResNet-50. Parameters and results are those of the plain
    form. A form can be deleted once `benchmarks/layers.py` prints a ratio below 1.3 for it for
    every step that it knows, and this module with the last of them: then XLA's CPU backend computes
    `lax.conv_general_dilated` of small maps with all its cores.

    Args:
      form: The form in question.
      lowering: "patches" is that form and "lax" the plain one; "auto" is the form of the backend.
    """
    if lowering == "auto":
        return form not in _PLAIN.get() and jax.default_backend() == "cpu"
    return lowering == "patches"

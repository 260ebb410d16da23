"""What is optimised: one module a recipe."""

from collections.abc import Callable

from fairjax.core.types import Method
from fairjax.methods import (
    classify,
    cosine_margin,
    fpr_penalty,
    masked_autoencoder,
    simclr,
    time_frequency,
)

# Arguments that the program supplies; a config sets the others.
SUPPLIED = ("backbone", "targets", "preprocess")
METHODS: dict[str, Callable[..., Method]] = {
    "classify": classify.build,
    "cosine_margin": cosine_margin.build,
    "fpr_penalty": fpr_penalty.build,
    "masked_autoencoder": masked_autoencoder.build,
    "simclr": simclr.build,
    "time_frequency": time_frequency.build,
}

"""What is optimised: one module a recipe."""

from collections.abc import Callable

from fairjax.methods import classify, masked_autoencoder
from fairjax.types import Method

METHODS: dict[str, Callable[..., Method]] = {
    "classify": classify.build,
    "masked_autoencoder": masked_autoencoder.build,
}

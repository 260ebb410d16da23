"""Parts of a model that are frozen, for a while or for good.

A part is a pattern of parameter paths such as "backbone/trunk/stage_1_*": `*` stands for anything,
`|` separates alternatives, and whatever lies below a path belongs to it. A frozen part
has no gradient, so that none is computed, and runs in inference mode: batch norms use their running
statistics and leave them alone, dropout does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import flax.linen as nn
import jax

from fairjax.core.types import Aux, Batch, Method, PyTree


@dataclass(frozen=True)
class FreezeSchedule:
    """Which parts are frozen at which step.

    Attributes:
      always: Parts that are never released.
      parts: Parts that are released in this order.
      starts: For each of `parts` the number of steps taken when it is released.
    """

    always: tuple[str, ...]
    parts: tuple[str, ...]
    starts: tuple[int, ...]

    def frozen_at(self, step: int) -> tuple[str, ...]:
        """The parts that are frozen once so many steps are taken."""
        waiting = zip(self.parts, self.starts, strict=True)
        return (*self.always, *(part for part, start in waiting if step < start))


def belongs(name: str, part: str) -> bool:
    """Whether a path such as "backbone/trunk/stem_norm/scale" lies in a part."""
    return any(fnmatchcase(name, p) or fnmatchcase(name, f"{p}/*") for p in part.split("|"))


def name_of(path: tuple[Any, ...]) -> str:
    """A parameter's path in JAX's form as one of names and slashes."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def freeze_parts(method: Method, parts: Sequence[str]) -> Method:
    """The method with these parts frozen while it is trained.

    Args:
      method: A method whose modules take `train` as a keyword at the call wherever they behave
        otherwise in training.
      parts: Paths of the frozen parts; see the module's docstring.
    """
    if not parts:
        return method

    def is_frozen(name: str) -> bool:
        return any(belongs(name, part) for part in parts)

    def in_inference(
        call: Any, args: Any, kwargs: dict[str, Any], context: nn.module.InterceptorContext
    ) -> Any:
        if "train" in kwargs and is_frozen("/".join(context.module.path)):
            kwargs = {**kwargs, "train": False}
        return call(*args, **kwargs)

    def loss(
        params: PyTree, model_state: PyTree, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, Aux]:
        params = jax.tree_util.tree_map_with_path(
            lambda path, leaf: jax.lax.stop_gradient(leaf) if is_frozen(name_of(path)) else leaf,
            params,
        )
        with nn.intercept_methods(in_inference):
            return method.loss(params, model_state, batch, key)

    return replace(method, loss=loss)

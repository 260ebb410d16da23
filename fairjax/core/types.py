"""The words that every room shares: batches, methods and the names of the mesh axes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import optax
from jax.sharding import PartitionSpec

DATA_AXIS = "data"  # the batch is split over this mesh axis
MODEL_AXIS = "model"  # and over this one, over which a class head may lie in shards
EXTENSION = "extension"  # where what extends a margin softmax keeps its own parameters and state

# image: uint8 [batch, height, width, 3]; image_2: another view of each, where config.input.views
# is 2; one [batch] array a label; mask: bool [batch], False on padding. In training also epoch: a
# float32 scalar, the epochs done so far, for settings that change over training.
Batch = Mapping[str, jax.Array]
PyTree = Any


class Aux(NamedTuple):
    """What a loss hands back beside its value.

    Attributes:
      model_state: The variables that the forward pass moves, such as running batch statistics.
      scalars: For each logged quantity its (sum, count) over the global batch; the log shows
        sum / count, so a padded or weighted batch is averaged rightly. A run stops where one whose
        name ends in "loss" is not finite; what a batch may lack rows of is named otherwise.
    """

    model_state: PyTree
    scalars: dict[str, tuple[jax.Array, jax.Array]]


@dataclass(frozen=True)
class Method:
    """A training recipe as three pure functions.

    Attributes:
      init: `(key, batch) -> (params, model_state)`: what the optimiser moves, and what the
        forward pass moves.
      loss: `(params, model_state, batch, key) -> (loss, Aux)`: a float32 scalar, the mean over the
        rows of the global batch whose mask is True.
      predict: `(variables, batch) -> {name: array}`: named arrays with one row an example, in
        inference mode. `variables` is `{"params": params, **model_state}`.
      pictures: `(variables, images) -> {caption: images}`: what the report shows of a few generated
        faces, uint8 as they are; None shows nothing.
      split: How parameters that are not whole on every device lie on the mesh, by their paths.
      own_optimizers: Parts of the parameters, as `optim.freeze` names parts, that the run's
        optimiser leaves alone, and for each `schedule -> optimiser`: an adversary's, say.
      after_epoch: `(params, model_state, epoch) -> (params, model_state)`: what changes between
        epochs, from the parameters and from what the loss collected in `model_state`; `epoch` is
        the int32 number of epochs done. Pure and jitted; its result is checkpointed like any state.
      loss_of: "image" where the loss in the predictions is of each image; "batch" where it depends
        on the other images of the batch, so that it has no interval over images and no groups.
      chance: By their names in the log, losses of a model that knows nothing: log C of C classes.
    """

    init: Callable[[jax.Array, Batch], tuple[PyTree, PyTree]]
    loss: Callable[[PyTree, PyTree, Batch, jax.Array], tuple[jax.Array, Aux]]
    predict: Callable[[PyTree, Batch], dict[str, jax.Array]]
    pictures: Callable[[PyTree, jax.Array], dict[str, jax.Array]] | None = None
    split: Mapping[str, PartitionSpec] = field(default_factory=dict, hash=False)
    own_optimizers: Mapping[str, Callable[[optax.Schedule], optax.GradientTransformation]] = field(
        default_factory=dict, hash=False
    )
    after_epoch: Callable[[PyTree, PyTree, jax.Array], tuple[PyTree, PyTree]] | None = None
    loss_of: Literal["image", "batch"] = "image"
    chance: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Target:
    """What a method needs to know of one attribute.

    Attributes:
      values: Class names in label order; () for a number.
      mean: Mean of a number over the training split; 0 for a class.
      std: Standard deviation of a number over the training split, ddof 0; 1 for a class.
      counts: Rows of each class in the training split; () for a number, or where it is not known.
    """

    values: tuple[str, ...]
    mean: float
    std: float
    counts: tuple[int, ...] = ()

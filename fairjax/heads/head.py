"""The kinds of class head: settings only."""

from dataclasses import dataclass

from jax.sharding import PartitionSpec

from fairjax.core.types import MODEL_AXIS
from fairjax.losses.margin import one_of

# A split head has a multiple of so many rows, whatever the device count, so that a checkpoint fits
# any number of shards that divides it. Rows beyond the last class are zero and never count.
ROWS_MULTIPLE = 128


@dataclass(frozen=True, kw_only=True)
class Head:
    """How the class weights lie over the devices, and how a step walks them.

    "dense": whole on every device. Rows of the batch stay where they are, each device has its rows'
    cosines with all classes, and the gradient of the weights is summed over the devices: the least
    work while the weights are small.

    "sharded": split over the mesh's `model` axis, and so is all that the optimiser keeps of them.
    Every device gets the embeddings of the global batch, and the cosines with its own classes stay
    with it: what is exchanged is the embeddings, their gradient and a few numbers a row. Replicas
    of a shard along the `data` axis do the same work, since summing the gradients of the weights
    would move more.

    "streamed": as sharded, and a shard walks its classes in chunks, and again in the backward pass.
    Beyond the weights, their gradient and the optimiser's state, a step needs a few arrays of
    [batch, chunk], for one more multiplication by the weights (two with the FPR penalty).

    "sampled": as sharded, with a sample of each shard's classes a step: the batch's own, and others
    drawn uniformly without replacement. Which ones depends on the number of shards. Classes outside
    the sample move by weight decay and what momentum is left.

    Attributes:
      name: One of the four kinds above. With many classes "streamed" has the least memory;
        `train.head_shards` splits all but "dense".
      chunk: Number of classes at a time, for "streamed".
      rate: Share of a shard's classes in its sample, in (0, 1], for "sampled". Where the batch
        alone has more classes than that, its classes are the sample.

    Source: of "sampled", An et al. 2022 (arXiv 2203.15565), PartialFC; the loss is the softmax over
      the sample.
    """

    name: str = "dense"
    chunk: int = 8192
    rate: float = 0.1

    def __post_init__(self) -> None:
        one_of("name", self.name, ("dense", "sharded", "streamed", "sampled"))
        if self.chunk < 1:
            raise ValueError(f"chunk={self.chunk} must be 1 or more; 8192 is a good start.")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate={self.rate} must be above 0 and at most 1, such as 0.1.")

    @property
    def partition(self) -> PartitionSpec:
        """How the weights [rows, dim], and what the optimiser keeps of them, lie on the mesh."""
        return PartitionSpec() if self.name == "dense" else PartitionSpec(MODEL_AXIS)

    def rows(self, classes: int) -> int:
        """Rows of the weights: one a class, of a split head up to a multiple of ROWS_MULTIPLE."""
        return classes if self.name == "dense" else -(-classes // ROWS_MULTIPLE) * ROWS_MULTIPLE

"""The kinds of class head: settings only."""

from dataclasses import dataclass
from typing import Any

from jax.sharding import PartitionSpec

from fairjax.losses.margin import choose
from fairjax.types import MODEL_AXIS

# A split head has a multiple of so many rows, whatever the device count, so that a checkpoint fits
# any number of shards that divides it. Rows beyond the last class never count.
ROWS_MULTIPLE = 128


@dataclass(frozen=True, kw_only=True)
class Dense:
    """All cosines in one array; the weights whole on every device.

    The rows of a batch are spread over the devices as they are, and the gradient of the weights is
    summed over them: the least work while the weights are small.
    """

    @property
    def partition(self) -> PartitionSpec:
        """How the weights [classes, dim] and what the optimiser keeps of them lie on the mesh."""
        return PartitionSpec()

    def weights(self, classes: int) -> int:
        """Rows of the weights: one a class."""
        return classes


@dataclass(frozen=True, kw_only=True)
class Sharded(Dense):
    """The weights split over the mesh's `model` axis; each shard has its cosines in one array.

    Every device gets the embeddings of the global batch and keeps its own classes to itself: what
    is exchanged is the embeddings, their gradient and a few numbers a row. Replicas of a shard
    along the `data` axis do the same work, which costs less than to sum the weights' gradients.
    """

    @property
    def partition(self) -> PartitionSpec:
        """Classes over the `model` axis."""
        return PartitionSpec(MODEL_AXIS, None)

    def weights(self, classes: int) -> int:
        """Rows of the weights: one a class, up to the next multiple of ROWS_MULTIPLE."""
        return -(-classes // ROWS_MULTIPLE) * ROWS_MULTIPLE


@dataclass(frozen=True, kw_only=True)
class Streamed(Sharded):
    """As `Sharded`, and each shard walks its classes in chunks and again in the backward pass.

    The step's memory beyond the weights, their gradient and the optimiser's is a few arrays of
    [batch, chunk], for one more multiplication by the weights (two with the FPR penalty).

    Attributes:
      chunk: Classes at a time.
    """

    chunk: int

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"head.chunk={self.chunk} must be 1 or more; 8192 is a good start.")


@dataclass(frozen=True, kw_only=True)
class Sampled(Sharded):
    """As `Sharded`, with a sample of each shard's classes a step.

    The classes of the batch are in; others are drawn uniformly without replacement. Which ones
    depends on the number of shards. Where the batch has more classes than the sample, they alone
    are in.

    Attributes:
      rate: Share of a shard's classes, in (0, 1].
      stale_update: What the classes outside the sample do: "dense" moves them by weight decay and
        what momentum is left, as one optimiser does; "sampled" leaves them and their momentum.
      allow_sampled_fpr: Lets the FPR penalty see the sample for the whole.

    Source: An et al. 2022 (arXiv 2203.15565), PartialFC; the loss is the softmax over the sample.
    """

    rate: float
    stale_update: str
    allow_sampled_fpr: bool

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"head.rate={self.rate} must be above 0 and at most 1, such as 0.1.")
        if self.stale_update not in ("dense", "sampled"):
            raise ValueError(
                f"head.stale_update={self.stale_update!r} is not known; known: dense, sampled."
            )

    def size(self, rows: int) -> int:
        """Classes in the sample of a shard of so many rows."""
        return max(2, int(self.rate * rows))


HEADS: dict[str, type[Dense]] = {
    "dense": Dense,
    "sampled": Sampled,
    "sharded": Sharded,
    "streamed": Streamed,
}


def make_head(**section: Any) -> Dense:
    """The head of that `name`.

    Raises:
      ValueError: If the name or a setting is unknown, or a setting is missing.
    """
    return choose(HEADS, "head", **section)

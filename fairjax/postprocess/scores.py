"""The pairs that a method is fitted on or applied to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Scores:
    """Scored pairs with all that a method may need to know of them.

    Attributes:
      score: Score of each pair; larger means more alike.
      mated: Whether the pair shows one person.
      group: Groups of probe and reference, indices into `groups`, or -1.
      groups: Names of the groups.
      subject: Numbers of the people on probe and reference.
      image: Numbers of probe and reference image, indices into `images`; None where nobody names
        them.
      images: Names of the images.
      embedding: One vector an image, in the order of `images`; None where there are scores alone.
    """

    score: Float[np.ndarray, " pairs"]
    mated: Bool[np.ndarray, " pairs"]
    group: Int[np.ndarray, "pairs 2"]
    groups: tuple[str, ...]
    subject: Int[np.ndarray, "pairs 2"]
    image: Int[np.ndarray, "pairs 2"] | None = None
    images: tuple[str, ...] = ()
    embedding: Float[np.ndarray, "images dim"] | None = None

    def __len__(self) -> int:
        return len(self.score)

    @property
    def inside(self) -> Bool[np.ndarray, " pairs"]:
        """Whether both sides are of one known group."""
        return (self.group[:, 0] == self.group[:, 1]) & (self.group[:, 0] >= 0)


def places(names: tuple[str, ...], known: tuple[str, ...], what: str) -> Int[np.ndarray, " names"]:
    """Index of each name among those that a method was fitted with.

    Args:
      names: Names in the pairs at hand.
      known: Names that the method was fitted with.
      what: What the names are of, for the message.

    Raises:
      ValueError: If a name is not known.
    """
    number = {name: k for k, name in enumerate(known)}
    lost = [name for name in names if name not in number]
    if lost:
        raise ValueError(
            f"{len(lost):,} {what}s were not seen when the method was fitted, such as {lost[0]!r}."
        )
    return np.array([number[name] for name in names], np.int64)

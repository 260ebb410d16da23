"""The images of each person and their groups, as methods behind embeddings learn from them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fairjax.core.comparisons import unit_length
from fairjax.postprocess.scores import Scores


@dataclass(frozen=True)
class Portraits:
    """Embeddings with the people on them.

    Attributes:
      unit: Embeddings of unit length.
      person: Number of the person on each image, in 0 .. people - 1.
      group: Group of each person.
    """

    unit: Float[np.ndarray, "images dim"]
    person: Int[np.ndarray, " images"]
    group: Int[np.ndarray, " people"]

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.group)

    def centroids(self) -> Float[np.ndarray, "people dim"]:
        """The mean direction of each person's embeddings."""
        sums = np.zeros((self.people, self.unit.shape[1]))
        np.add.at(sums, self.person, self.unit)
        return unit_length(sums)


def portraits(scores: Scores) -> Portraits:
    """The images that the pairs show, with their people and groups.

    Raises:
      ValueError: If somebody's group is not known.
    """
    assert scores.image is not None and scores.embedding is not None
    image, first = np.unique(scores.image, return_index=True)
    subject = scores.subject.ravel()[first]
    group = scores.group.ravel()[first]
    if (group < 0).any():
        raise ValueError("somebody's group is not known; this method needs the groups to fit.")
    _, person = np.unique(subject, return_inverse=True)
    home = np.zeros(person.max() + 1, np.int64)
    home[person] = group
    unit = unit_length(scores.embedding[image]).astype(np.float64)
    return Portraits(unit, person, home)


def transformed(scores: Scores) -> Float[np.ndarray, "images dim"]:
    """All embeddings of the pairs at unit length, ready for a network."""
    assert scores.embedding is not None
    return unit_length(scores.embedding).astype(np.float64)

"""Made-up embeddings of people in two groups, one of which is harder, as `Scores`."""

import numpy as np

from fairjax.core.comparisons import unit_length
from fairjax.postprocess.scores import Scores


def faces(seed, *, people=30, images=4, dim=16, first=0):
    """All pairs of images: group "b" scatters more and shares a common direction."""
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1], people)
    centre = rng.normal(size=(2 * people, dim))
    centre[group == 1, 0] += 4.0
    centre = unit_length(centre)
    spread = np.array([0.12, 0.2])[group]
    noise = rng.normal(size=(2 * people, images, dim)) * spread[:, None, None]
    embedding = unit_length((centre[:, None] + noise).reshape(-1, dim))
    person = np.repeat(np.arange(2 * people), images)
    image = np.stack(np.triu_indices(len(person), 1), axis=1)
    subject = person[image]
    return Scores(
        score=np.sum(embedding[image[:, 0]] * embedding[image[:, 1]], axis=1),
        mated=subject[:, 0] == subject[:, 1],
        group=group[subject],
        groups=("a", "b"),
        subject=subject + first,
        image=image,
        images=tuple(f"{first}-{k}" for k in range(len(person))),
        embedding=embedding,
    )

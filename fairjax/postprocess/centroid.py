"""The centroid fairness loss: a network that gives each group a reference group's scores.

The network is small and stands behind frozen embeddings. Pseudo-scores are cosines of images with
centroids of people. A mated one (an image, its own person) or a non-mated one (another person of
the same group) of group a has as its target the score at which the reference group has the same
pseudo-FRR or pseudo-FAR: the quantile of the reference group's scores of that kind at the same
level. The network and the centroids are moved so that their cosines regress on these targets,

    mean over images (cos(z_i, nu_y) - t_iy)^2 + weight mean over others (cos(z_i, nu_k) - t_ik)^2

The network adds to its input and starts as the identity, the centroids at the mean embeddings; so
the reference group starts at its optimum. Groups are needed to fit, not to use.

Source: Conti and Clemencon, arXiv 2504.19370, from the text; no code is public. The residual form,
  equal weights and the choice of the reference group are ours.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairjax.postprocess.network import (
    Adam,
    backward,
    batches,
    forward,
    new_network,
    unit_slope,
)
from fairjax.postprocess.people import Portraits, portraits, transformed
from fairjax.postprocess.scores import Scores

DEFAULTS: dict[str, Any] = {
    "reference": "",
    "weight": 1.0,
    "hidden": 1024,
    "epochs": 50,
    "batch_size": 1024,
    "learning_rate": 0.001,
    "seed": 0,
}
_LEVELS = np.concatenate([[0.0], np.geomspace(1e-5, 0.5, 500)])


def fit(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Weights of the network, and the number of the reference group.

    Raises:
      ValueError: If the reference is no group, or a group has fewer than two people.
    """
    faces = portraits(scores)
    centroids = faces.centroids()
    tables = quantiles(faces, centroids, scores.groups)
    reference = _reference(tables, scores.groups, str(settings["reference"]))
    seed = int(settings["seed"])
    weights = new_network(faces.unit.shape[1], int(settings["hidden"]), residual=True, seed=seed)
    moved = {**weights, "people": centroids.copy()}
    adam = Adam(moved, rate=float(settings["learning_rate"]))
    for rows in batches(
        len(faces.unit), size=int(settings["batch_size"]), epochs=int(settings["epochs"]), seed=seed
    ):
        x, person = faces.unit[rows], faces.person[rows]
        own = faces.group[person]
        before = x @ centroids.T
        target = np.empty_like(before)
        for g in np.unique(own):
            inside = own == g
            mated, nonmated = tables[g]
            target[inside] = np.interp(before[inside], nonmated, tables[reference][1])
            mine = np.flatnonzero(inside)
            target[mine, person[mine]] = np.interp(
                before[mine, person[mine]], mated, tables[reference][0]
            )
        same = faces.group[None, :] == own[:, None]
        _, gradients = loss(moved, x, person, target, same, weight=float(settings["weight"]))
        adam.update(gradients)
    return {name: moved[name] for name in weights} | {"reference": np.array([reference])}


def apply(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """The network's outputs at unit length."""
    out, _ = forward(dict(arrays), transformed(scores), residual=True)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def loss(
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    person: np.ndarray,
    target: np.ndarray,
    same: np.ndarray,
    *,
    weight: float,
) -> tuple[float, dict[str, np.ndarray]]:
    """The regression's loss over a batch, and its gradients.

    Args:
      weights: The network's, and "people": one vector a person, of any length.
      x: Embeddings of unit length.
      person: Person of each row.
      target: Wanted cosine of each row with each person.
      same: Whether the row's person and each other person are of one group.
      weight: Weight of the non-mated term.
    """
    out, hidden = forward(weights, x, residual=True)
    z = out / np.linalg.norm(out, axis=1, keepdims=True)
    nu = weights["people"] / np.linalg.norm(weights["people"], axis=1, keepdims=True)
    off = z @ nu.T - target
    row = np.arange(len(x))
    share = same * (weight / max(int(same.sum()) - len(x), 1))
    share[row, person] = 1 / len(x)
    value = float(np.sum(share * off**2))
    slope = 2 * share * off
    gradients = backward(weights, x, hidden, unit_slope(out, slope @ nu))
    gradients["people"] = unit_slope(weights["people"], slope.T @ z)
    return value, gradients


def quantiles(
    faces: Portraits, centroids: np.ndarray, groups: tuple[str, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Quantiles of each group's mated and non-mated pseudo-scores, ascending, at fixed levels.

    Levels are dense at both ends, where error rates lie.

    Args:
      faces: Embeddings with people and groups.
      centroids: Mean direction of each person.
      groups: Names of the groups.

    Raises:
      ValueError: If a group has fewer than two people.
    """
    levels = np.unique(np.concatenate([_LEVELS, 1 - _LEVELS]))
    own = faces.group[faces.person]
    cuts = []
    for g, name in enumerate(groups):
        people, rows = np.flatnonzero(faces.group == g), np.flatnonzero(own == g)
        if len(people) < 2:
            raise ValueError(f"{name!r} has fewer than two people.")
        cosine = faces.unit[rows] @ centroids[people].T
        mine = people[None, :] == faces.person[rows][:, None]
        # strictly ascending, as interpolation wants it
        both = [np.quantile(cosine[kind], levels) for kind in (mine, ~mine)]
        rising = np.arange(len(levels)) * 1e-12
        cuts.append((both[0] + rising, both[1] + rising))
    return cuts


def _reference(
    tables: list[tuple[np.ndarray, np.ndarray]], groups: tuple[str, ...], asked: str
) -> int:
    """The group asked for, else the one whose two kinds of scores lie farthest apart."""
    if asked:
        if asked not in groups:
            raise ValueError(f"the reference {asked!r} is no group; there are {', '.join(groups)}.")
        return groups.index(asked)
    apart = [
        (np.median(mated) - np.median(nonmated)) / np.hypot(mated.std(), nonmated.std())
        for mated, nonmated in tables
    ]
    return int(np.argmax(apart))

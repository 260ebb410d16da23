"""The ethical module: von Mises-Fisher people whose concentration depends on their group.

A small network is trained behind frozen embeddings. With z an output of unit length, mu_k the
learned direction of person k and kappa the concentration of the person's group, the loss is the
cross-entropy of the logits

    log C_d(kappa) + kappa mu_k . z,
    log C_d(kappa) = (d/2 - 1) log kappa - (d/2) log 2 pi - log I_{d/2-1}(kappa)

A larger kappa asks for tighter people. Where none is given, each group's is estimated from its
embeddings and all are scaled to a mean of 64, the customary scale of cosine classifiers; the source
searches a grid. Groups are needed to fit, not to use.

Source: Conti et al., ICML 2022 (arXiv 2210.13664); 512 -> 1,024 -> 512, Adam 0.01, batches of
  1,024, 50 epochs, as in the authors' code. The estimate and the mean of 64 are ours.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

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
    "kappa": {},
    "hidden": 1024,
    "epochs": 50,
    "batch_size": 1024,
    "learning_rate": 0.01,
    "seed": 0,
}
_SCALE = 64.0


def fit(scores: Scores, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Weights of the network, and each group's concentration.

    Raises:
      ValueError: If a group's concentration is asked for that is not there, or is not above 0.
    """
    faces = portraits(scores)
    kappa = concentrations(faces, scores.groups, settings["kappa"])
    dim, seed = faces.unit.shape[1], int(settings["seed"])
    weights = new_network(dim, int(settings["hidden"]), residual=False, seed=seed)
    first, _ = forward(weights, faces.unit, residual=False)
    start = np.zeros((faces.people, dim))
    np.add.at(start, faces.person, first / np.linalg.norm(first, axis=1, keepdims=True))
    moved = {**weights, "people": start}
    adam = Adam(moved, rate=float(settings["learning_rate"]))
    own = kappa[faces.group]
    constant = np.array([log_normaliser(float(k), dim) for k in kappa])[faces.group]
    for rows in batches(
        len(faces.unit), size=int(settings["batch_size"]), epochs=int(settings["epochs"]), seed=seed
    ):
        x, person = faces.unit[rows], faces.person[rows]
        _, gradients = loss(moved, x, person, own, constant)
        adam.update(gradients)
    return {name: moved[name] for name in weights} | {"kappa": kappa}


def apply(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], scores: Scores
) -> np.ndarray:
    """The network's outputs at unit length."""
    out, _ = forward(dict(arrays), transformed(scores), residual=False)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def loss(
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    person: np.ndarray,
    kappa: np.ndarray,
    constant: np.ndarray,
) -> tuple[float, dict[str, np.ndarray]]:
    """Mean cross-entropy of a batch, and its gradients.

    Args:
      weights: The network's, and "people": one vector a person, of any length.
      x: Embeddings of unit length.
      person: Person of each row.
      kappa: Concentration of each person.
      constant: log C_d(kappa) of each person.
    """
    out, hidden = forward(weights, x, residual=False)
    z = out / np.linalg.norm(out, axis=1, keepdims=True)
    mu = weights["people"] / np.linalg.norm(weights["people"], axis=1, keepdims=True)
    logits = constant + kappa * (z @ mu.T)
    logits -= logits.max(axis=1, keepdims=True)
    share = np.exp(logits)
    share /= share.sum(axis=1, keepdims=True)
    row = np.arange(len(x))
    value = float(-np.mean(np.log(np.maximum(share[row, person], 1e-300))))
    slope = share
    slope[row, person] -= 1
    slope *= kappa / len(x)
    gradients = backward(weights, x, hidden, unit_slope(out, slope @ mu))
    gradients["people"] = unit_slope(weights["people"], slope.T @ z)
    return value, gradients


def concentrations(
    faces: Portraits, groups: tuple[str, ...], given: Mapping[str, float]
) -> np.ndarray:
    """Each group's kappa: as given, else estimated and scaled to a mean of 64.

    Args:
      faces: Embeddings with people and groups.
      groups: Names of the groups.
      given: Concentrations by group's name; {} estimates them all.

    Raises:
      ValueError: If a name is no group, a group is left out, or a value is not above 0.
    """
    if given:
        if wrong := sorted(set(given) ^ set(groups)):
            raise ValueError(f"kappa is given for each group or for none; see {wrong[0]!r}.")
        kappa = np.array([float(given[name]) for name in groups])
        if not (kappa > 0).all():
            raise ValueError(f"kappa must be above 0; got {kappa.min():g}.")
        return kappa
    dim = faces.unit.shape[1]
    sums = np.zeros((faces.people, dim))
    np.add.at(sums, faces.person, faces.unit)
    count = np.bincount(faces.person)
    several = count > 1
    # |sum|^2 of n unit vectors is n + n (n - 1) r^2 on average, r their mean resultant length
    squares = (np.sum(sums**2, axis=1) - count)[several] / (count * (count - 1))[several]
    kappa = np.full(len(groups), np.nan)
    for g, name in enumerate(groups):
        own = faces.group[several] == g
        if not own.any():
            raise ValueError(f"{name!r} has nobody with two images; give each group's kappa.")
        length = float(np.sqrt(np.clip(squares[own].mean(), 1e-6, 1 - 1e-6)))
        kappa[g] = length * (dim - length**2) / (1 - length**2)
    return _SCALE * kappa / kappa.mean()


def log_normaliser(kappa: float, dim: int) -> float:
    """Log C_d(kappa), the logarithm of the density's constant on the unit sphere of `dim` axes.

    Args:
      kappa: Concentration, above 0.
      dim: Dimensions, 2 or more.
    """
    order = dim / 2 - 1
    scaled = float(special.ive(order, kappa))
    if scaled > 1e-250:
        log_bessel = math.log(scaled) + kappa
    else:  # Debye's expansion in the order, which is large here (Abramowitz and Stegun 9.7.7)
        ratio = kappa / order
        root = math.hypot(1, ratio)
        eta = root + math.log(ratio / (1 + root))
        t = 1 / root
        correction = math.log1p((3 * t - 5 * t**3) / (24 * order))
        log_bessel = order * eta - 0.5 * math.log(2 * math.pi * order * root) + correction
    return order * math.log(kappa) - dim / 2 * math.log(2 * math.pi) - log_bessel

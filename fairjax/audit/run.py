"""One audit from loaded pairs to results with their provenance."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

import fairjax
from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError, fingerprint
from fairjax.core.results import Results
from fairjax.protocols.verification import accuracy
from fairjax.protocols.verification import core as verification
from fairjax.protocols.verification import stream as verification_stream
from fairjax.protocols.verification.gaps import BiasDegree

# Accuracy variants of each protocol, its own first; those that centre need embeddings.
PROTOCOLS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "rfw": ("rfw_official", "uncentred", "insightface", "facexzoo", "tface_rfw", "exact"),
    "bfw": (),
    "lfw": ("insightface", "exact"),
}
FMRS = (1e-3, 1e-4)
MOST_NAMELESS = 200_000  # pairs of unknown people that are resampled one by one


@dataclass(frozen=True)
class Settings:
    """What is measured, and how sure it must be.

    Attributes:
      fmrs: Target false match rates.
      thresholds: Given thresholds, in the scores' unit.
      protocol: A key of `PROTOCOLS`.
      tolerances: By summary's name the gap that is accepted.
      resamples: Of people.
      level: Coverage of intervals.
      seed: Of everything drawn.
      limits: More sentences for the reader.
    """

    fmrs: Sequence[float] = FMRS
    thresholds: Sequence[float] = ()
    protocol: str = "plain"
    tolerances: Mapping[str, float] = field(default_factory=dict)
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0
    limits: Sequence[str] = ()


def measure(
    loaded: Loaded,
    settings: Settings,
    *,
    calibration: Loaded | None = None,
    calibration_source: str = "",
) -> Results:
    """The verification protocol on loaded pairs; the provenance holds the pairs' hash.

    Args:
      loaded: The pairs.
      settings: What to measure.
      calibration: Other pairs of the same systems, to find thresholds on.
      calibration_source: Their file's name.

    Raises:
      InputError: If the protocol needs what the pairs lack, or the calibration's systems differ.
    """
    if not loaded.has_subjects and len(loaded) > MOST_NAMELESS:
        return _without_resamples(loaded, settings, calibration)
    variants = PROTOCOLS[settings.protocol]
    folds = len(np.unique(loaded.fold))
    if variants and folds < 2:
        raise InputError(
            f"--protocol {settings.protocol} chooses thresholds on other folds, but the pairs name "
            "no folds; add a column 'fold', or name it with --fold."
        )
    if calibration and (lost := sorted(set(loaded.scores) - set(calibration.scores))):
        raise InputError(f"{calibration_source} has no scores of {lost[0]!r}.")
    degree = BiasDegree() if settings.protocol in ("rfw", "bfw") else None
    alone = len(loaded.scores) == 1
    names = {system: "" if alone else system for system in loaded.scores}
    try:
        results = verification.measure_comparisons(
            {name: loaded.comparisons(system) for system, name in names.items()},
            attribute=loaded.by,
            fmrs=settings.fmrs,
            thresholds=settings.thresholds,
            calibration={name: calibration.comparisons(system) for system, name in names.items()}
            if calibration
            else None,
            calibration_source=calibration_source,
            accuracies=_own_first(variants, bool(loaded.embeddings)),
            centred={
                names[system]: scores for system, scores in _centred(loaded, variants).items()
            },
            bias_degree=degree,
            tolerances=settings.tolerances,
            resamples=settings.resamples,
            level=settings.level,
            seed=settings.seed,
            limits=[*loaded.limits(), *settings.limits],
            name=settings.protocol,
        )
    except ValueError as error:  # a setting out of range; its message is one line
        raise InputError(str(error)) from error
    said = {}
    if degree:
        said = {"bias_rule": degree.rule, "bias_pool": "protocol", "bias_pairs": "protocol"}
    if not loaded.has_subjects:
        results = _of_nobody(results)
    return replace(
        results,
        protocol={**results.protocol, **said},
        provenance={"scored": list(loaded.scores), "pairs": pairs_hash(loaded)},
    )


def _of_nobody(results: Results) -> Results:
    """Takes back the numbers of people, who were made up one or two a pair."""
    arrays = dict(results.arrays)
    systems = {name: dict(one) for name, one in arrays.get("systems", {}).items()}
    for one in [arrays, *systems.values()]:
        one["adequacy"] = [{**row, "subjects": None} for row in one["adequacy"]]
    return replace(
        results,
        protocol={**results.protocol, "n_clusters": None},
        measures=[replace(m, n_clusters=None) for m in results.measures],
        arrays={**arrays, "systems": systems} if systems else arrays,
    )


def _without_resamples(loaded: Loaded, settings: Settings, calibration: Loaded | None) -> Results:
    """Many pairs of unknown people: resamples would fill memory and still be too narrow."""
    if len(loaded.scores) > 1 or calibration or settings.tolerances or settings.protocol != "plain":
        raise InputError(
            f"{len(loaded):,} pairs do not say who is on them; above {MOST_NAMELESS:,} such pairs "
            "there are rates of one system and their intervals alone. Give the subjects, or leave "
            "out --tolerance, --protocol, --calibrate-on and other systems."
        )
    (system,) = loaded.scores
    comparisons = loaded.comparisons(system)
    results = verification_stream.measure_stream(
        lambda: [comparisons],
        groups=loaded.groups,
        attribute=loaded.by,
        fmrs=settings.fmrs,
        thresholds=settings.thresholds,
        level=settings.level,
        limits=[*loaded.limits(), *settings.limits],
        name=settings.protocol,
    )
    return replace(
        results,
        measures=[replace(m, n_clusters=None) for m in results.measures],
        provenance={"scored": [system], "pairs": pairs_hash(loaded)},
    )


def pairs_hash(loaded: Loaded) -> str:
    """SHA-256 of which people are compared how often, whatever the order, scores and groups."""
    low, high = np.sort(loaded.subject, axis=1).T.astype(np.int64)
    couples = np.sort(low * (int(high.max(initial=0)) + 1) + high)
    return f"sha256:{hashlib.sha256(couples.astype('<i8').tobytes()).hexdigest()}"


def provenance(
    files: Mapping[str, Path], command: str, stated: Mapping[str, str]
) -> dict[str, Any]:
    """Which files were read, by which command, with which versions.

    Args:
      files: By role: {"scores": path, "groups": path}.
      command: The command line.
      stated: What the user says of the system, such as {"flip": "yes"}; taken on trust.

    Raises:
      InputError: If a file is missing, or a text table has a quote left open.
    """
    for path in files.values():
        if not path.is_file():
            raise InputError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.")
    return {
        "command": command,
        "files": {
            role: {"name": path.name, "bytes": path.stat().st_size, "hash": fingerprint(path)}
            for role, path in files.items()
        },
        **({"stated": dict(stated)} if stated else {}),
        "versions": {
            "fairjax": fairjax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _own_first(variants: Sequence[str], has_embeddings: bool) -> list[str]:
    """The protocol's accuracies; where there is nothing to centre, those that don't come first."""
    return sorted(variants, key=lambda v: not has_embeddings and accuracy.VARIANTS[v].centred)


def _centred(loaded: Loaded, variants: Sequence[str]) -> dict[str, Float[np.ndarray, " pairs"]]:
    if not any(accuracy.VARIANTS[v].centred for v in variants) or loaded.pairs is None:
        return {}
    return {
        system: accuracy.centred_scores(
            embeddings, loaded.pairs, accuracy.same_group(loaded.comparisons(system))
        )
        for system, embeddings in loaded.embeddings.items()
    }

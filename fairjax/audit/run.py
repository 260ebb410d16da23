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
from fairjax.audit.distances import in_own_unit
from fairjax.audit.failures import failure_tests, with_failures
from fairjax.audit.kinds import (
    check_calibration,
    check_threshold,
    cosines,
    odd_threshold,
    usable_variants,
)
from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError, Source, fingerprint, size
from fairjax.core.results import Results
from fairjax.core.verdict import resample_limits
from fairjax.protocols.verification import accuracy
from fairjax.protocols.verification import core as verification
from fairjax.protocols.verification import stream as verification_stream
from fairjax.protocols.verification.embedded import of_likelihood
from fairjax.protocols.verification.gaps import BiasDegree
from fairjax.protocols.verification.scene import Point

# Accuracy variants of each protocol, its own first; those that centre need embeddings.
ACCURACY_VARIANTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "rfw": tuple(accuracy.VARIANTS),
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
      thresholds: Given thresholds, in the scores' own unit: distances for distances.
      protocol: A key of `ACCURACY_VARIANTS`.
      tolerances: By summary's name the gap that is accepted.
      resamples: Resamples of people.
      level: Coverage of intervals.
      seed: Seed of all draws.
      limits: More sentences for the reader.
      paired: Whether changes from the first system to the others are tested.
    """

    fmrs: Sequence[float] = FMRS
    thresholds: Sequence[float] = ()
    protocol: str = "plain"
    tolerances: Mapping[str, float] = field(default_factory=dict)
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0
    limits: Sequence[str] = ()
    paired: bool = False

    def __post_init__(self) -> None:
        for rate in self.fmrs:
            if not 0 < rate < 1:
                raise InputError(f"fmr={rate:g}: a rate is a fraction between 0 and 1, as 1e-3.")


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
      calibration_source: Name of the calibration scores' file.

    Raises:
      InputError: If the protocol needs what the pairs lack, or the calibration's systems differ.
    """
    if loaded.decided and (settings.fmrs or settings.protocol != "plain" or calibration):
        raise InputError(
            "decisions have one operating point: no --fmr, --protocol, --calibrate-on."
        )
    thresholds = given_points(loaded, settings)
    if not loaded.has_subjects and len(loaded) > MOST_NAMELESS:
        return _without_resamples(loaded, settings, calibration)
    variants, left_out = usable_variants(
        ACCURACY_VARIANTS[settings.protocol], [loaded.kinds.get(name, "") for name in loaded.scores]
    )
    folds = len(np.unique(loaded.fold))
    if variants and folds < 2:
        raise InputError(
            f"--protocol {settings.protocol} chooses thresholds on other folds, but the pairs name "
            "no folds; add a column 'fold', or name it with --fold."
        )
    if calibration and (lost := sorted(set(loaded.scores) - set(calibration.scores))):
        raise InputError(f"{calibration_source} has no scores of {lost[0]!r}.")
    if calibration:
        _check_units(loaded, calibration, calibration_source)
    degree = BiasDegree() if settings.protocol in ("rfw", "bfw") else None
    alone = len(loaded.scores) == 1
    names = {system: "" if alone else system for system in loaded.scores}
    try:
        results = verification.measure_comparisons(
            {name: loaded.comparisons(system) for system, name in names.items()},
            attribute=loaded.by,
            fmrs=settings.fmrs,
            given={names[system]: points for system, points in thresholds.items()},
            calibration={name: calibration.comparisons(system) for system, name in names.items()}
            if calibration
            else None,
            calibration_source=calibration_source,
            accuracies=_own_first(variants, bool(loaded.embeddings)),
            centred={
                names[system]: scores for system, scores in _centred(loaded, variants).items()
            },
            cosines=_cosines(loaded, names),
            bias_degree=degree,
            tolerances=settings.tolerances,
            more_tests=failure_tests(loaded),
            paired=settings.paired,
            resamples=settings.resamples,
            level=settings.level,
            seed=settings.seed,
            limits=_limits(loaded, settings, left_out, calibration, calibration_source),
            name=settings.protocol,
        )
    except ValueError as error:  # a setting out of range; its message is one line
        raise InputError(str(error)) from error
    settings_used: dict[str, Any] = {
        "thresholds": list(settings.thresholds),
        "score_kinds": {name: kind or "not stated" for name, kind in loaded.kinds.items()},
    }
    if degree:
        settings_used |= {
            "bias_rule": degree.rule,
            "bias_pool": "protocol",
            "bias_pairs": "protocol",
        }
    if set(loaded.kinds.values()) == {"mls"}:
        results = of_likelihood(results)
    if loaded.decided:
        results = _without_scores(results)
    results = with_failures(results, loaded)
    if not loaded.has_subjects:
        results = _of_nobody(results)
    results = in_own_unit(
        results,
        [names[system] for system in loaded.distances],
        as_cosines=_cosines(loaded, names),
    )
    return replace(
        results,
        protocol={**results.protocol, **settings_used},
        provenance={"scored": list(loaded.scores), "pairs": pairs_hash(loaded)},
    )


def given_points(loaded: Loaded, settings: Settings) -> dict[str, list[Point]]:
    """The given thresholds as operating points of each system, in its own unit.

    A threshold of distances is held as minus it, as the distances are, and named as it was given.

    Raises:
      InputError: If a threshold lies outside a system's scores, or is given twice.
    """
    if loaded.decided:
        return {name: [Point("decision", 0.5, "given")] for name in loaded.scores}
    if len(set(settings.thresholds)) < len(settings.thresholds):
        raise InputError(f"--threshold holds a value twice: {list(settings.thresholds)}.")
    points: dict[str, list[Point]] = {}
    for name, score in loaded.scores.items():
        distance = name in loaded.distances
        points[name] = []
        for threshold in settings.thresholds:
            check_threshold(threshold, name, score, distance=distance)
            stored = -float(threshold) if distance else float(threshold)
            points[name].append(Point(f"threshold {threshold:g}", stored, "given"))
    return points


def _limits(
    loaded: Loaded,
    settings: Settings,
    left_out: str,
    calibration: Loaded | None,
    calibration_source: str,
) -> list[str]:
    """All sentences for the reader: of the pairs, their calibration, and the settings."""
    sentences = [*loaded.limits(), *filter(None, [left_out])]
    for name, score in loaded.scores.items():
        sentences += [
            note
            for threshold in settings.thresholds
            if not loaded.decided
            and (
                note := odd_threshold(
                    threshold, name, score, loaded.mated, distance=name in loaded.distances
                )
            )
        ]
    if calibration:
        sentences += [f"{calibration_source}: {note}" for note in calibration.notes]
    return [*sentences, *settings.limits]


def _check_units(loaded: Loaded, calibration: Loaded, source: str) -> None:
    for name, score in loaded.scores.items():
        if (name in loaded.distances) != (name in calibration.distances):
            raise InputError(f"{source}: {name} is a distance in one of the tables only.")
        check_calibration(
            name,
            score[~loaded.mated],
            calibration.scores[name][~calibration.mated],
            source,
        )


def _cosines(loaded: Loaded, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The scores as cosines, by the system's name in the results, where their kind allows it."""
    turned = {
        names[system]: cosines(score, loaded.kinds.get(system, ""))
        for system, score in loaded.scores.items()
        if loaded.kinds.get(system, "") not in ("", "cosine")
    }
    return {name: score for name, score in turned.items() if score is not None}


def _without_scores(results: Results) -> Results:
    """Takes back what runs over thresholds: decisions have none."""
    arrays = {
        key: value
        for key, value in results.arrays.items()
        if key not in ("det", "rates", "histograms")
    }
    return replace(
        results,
        measures=[m for m in results.measures if m.at],
        arrays=arrays,
        protocol={**results.protocol, "threshold_rule": "decisions as they are in the table"},
        limits=[
            "The table holds decisions, not scores: there is one operating point, and no curve, "
            "equal error rate or other threshold.",
            *results.limits,
        ],
    )


def _of_nobody(results: Results) -> Results:
    """Takes back the numbers of people, who were made up one or two a pair."""
    arrays = dict(results.arrays)
    systems = {name: dict(plots) for name, plots in arrays.get("systems", {}).items()}
    for plots in [arrays, *systems.values()]:
        plots["adequacy"] = [{**row, "subjects": None} for row in plots["adequacy"]]
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
    thresholds = given_points(loaded, settings)[system]
    results = verification_stream.measure_stream(
        verification_stream.InChunks(lambda: [comparisons], len(loaded.groups)),
        groups=loaded.groups,
        attribute=loaded.by,
        fmrs=settings.fmrs,
        thresholds=[point.threshold for point in thresholds if point.threshold is not None],
        names=[point.at for point in thresholds],
        level=settings.level,
        limits=_limits(loaded, settings, "", None, ""),
        name=settings.protocol,
        more_tests=failure_tests(loaded),
    )
    if loaded.decided:
        results = _without_scores(results)
    results = in_own_unit(with_failures(results, loaded), [""] if loaded.distances else [])
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
    files: Mapping[str, Source], command: str, stated: Mapping[str, str]
) -> dict[str, Any]:
    """Which files were read, by which command, with which versions.

    Args:
      files: Files, or tables in memory, by role: {"scores": path, "groups": path}.
      command: The command line.
      stated: What the user says of the system, such as {"flip": "yes"}; taken on trust.

    Raises:
      InputError: If a file is missing, or a text table has a quote left open.
    """
    for path in files.values():
        if isinstance(path, Path) and not path.is_file():
            raise InputError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.")
    return {
        "command": command,
        "files": {
            role: {"name": path.name, "bytes": size(path), "hash": fingerprint(path)}
            for role, path in files.items()
        },
        **({"stated": dict(stated)} if stated else {}),
        "versions": versions(),
    }


def with_facts(results: Results, facts: Mapping[str, Any], limits: Sequence[str] = ()) -> Results:
    """Results with their whole provenance, and with the sentences that close the list of limits.

    Args:
      results: Results of one attribute.
      facts: Provenance to add, from `provenance`.
      limits: Sentences for the reader.
    """
    return replace(
        results,
        provenance={**results.provenance, **facts},
        limits=[*results.limits, *limits, *resample_limits(results)],
    )


def versions() -> dict[str, str]:
    """Versions of FairJAX and of what its numbers depend on."""
    return {
        "fairjax": fairjax.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
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

"""A run's numbers in resamples of the test's people: the basis of paired tests.

Runs that were tested on the same people get the same resamples, so the difference of two runs'
resampled numbers is the resampled difference. The run's own protocol is applied to each resample,
thresholds chosen anew, whatever the protocol is: pairs (or rows) are repeated as often as the
resample holds their people.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from fairjax.config.study import Column
from fairjax.core.comparisons import Comparisons, Embeddings, Pairs
from fairjax.core.results import Results
from fairjax.data.dataset import Attribute
from fairjax.metrics import bootstrap, subject_bootstrap
from fairjax.protocols.lfw import LfwSettings
from fairjax.protocols.settings import PairSettings
from fairjax.protocols.verification import embedded
from fairjax.protocols.verification.all_pairs import resampled_all_pairs
from fairjax.protocols.verification.bias import all_pairs_measures, pooled_points
from fairjax.run.build import build_scoring
from fairjax.run.score import Columns, Scoring, attributes_of, read_predictions, score_columns
from fairjax.run.workdir import WorkdirError, read_checked, read_json
from fairjax.study.numbers import value_of

SEED = 0  # of the resamples: the same for all runs
OF_ALL_PAIRS = " of all pairs"  # ends the operating points over all pairs of the images


def fingerprint(folder: Path) -> str:
    """A hash of which people, images and pairs a run was tested on."""
    columns, pairs = read_predictions(folder / "predictions.npz")
    state = hashlib.blake2b("\0".join(map(str, columns["id"])).encode(), digest_size=16)
    for array in (columns["cluster"], *(astuple(pairs) if pairs else ())):
        state.update(np.asarray(array, "<i8").tobytes())
    return state.hexdigest()


@dataclass(frozen=True)
class _Predictions:
    """What runs predicted, together; see `run.score.score_columns`."""

    scoring: Scoring
    columns: Columns
    pairs: Pairs | None
    attributes: Mapping[str, Attribute]


def _predictions(folders: Sequence[Path]) -> _Predictions:
    """The predictions of a run, or of the folds of a cross-validation one after the other.

    Raises:
      WorkdirError: If folds compare pairs, or test an image twice.
    """
    first = folders[0]
    folds = [read_predictions(folder / "predictions.npz") for folder in folders]
    columns, pairs = folds[0]
    if len(folds) > 1:
        if any(fold_pairs is not None for _, fold_pairs in folds):
            raise WorkdirError(f"{first} compares pairs, which folds cannot pool.")
        names = [name for name in columns if all(name in fold for fold, _ in folds)]
        columns = {name: np.concatenate([fold[name] for fold, _ in folds]) for name in names}
        if len(np.unique(columns["id"])) < len(columns["id"]):
            raise WorkdirError(
                f"{first} and its other folds test an image twice; they are no folds."
            )
    return _Predictions(
        build_scoring(read_json(first / "config.json")),
        columns,
        pairs,
        attributes_of(read_checked(first / "data.json")),
    )


def pooled_results(folders: Sequence[Path], *, resamples: int | None = None) -> Results:
    """What the protocol makes of the predictions of all folds together.

    Args:
      folders: Folders of finished runs, each image being tested in one.
      resamples: For the intervals; None is as many as the runs' protocol has.
    """
    tested = _predictions(folders)
    scoring = tested.scoring
    if resamples is not None:
        scoring = replace(scoring, settings=replace(scoring.settings, resamples=resamples))
    return score_columns(scoring, tested.columns, tested.pairs, tested.attributes)


def resampled_values(
    folders: Sequence[Path], columns: Sequence[Column], *, resamples: int
) -> dict[str, np.ndarray]:
    """Every column's number in each resample, as printed, by title; NaN where it is undefined.

    Rates over all pairs of the images have resamples of their own: all people of the images, not
    those of the list, are drawn, and each two of them are compared.

    Args:
      folders: Folder of a finished run, or of all folds of one.
      columns: Columns to measure.
      resamples: Number of resamples.
    """
    tested = _predictions(folders)
    scoring, predictions, pairs = tested.scoring, tested.columns, tested.pairs
    attributes = tested.attributes
    settings = scoring.settings
    values = dict.fromkeys((column.title for column in columns), np.full(resamples, np.nan))
    over_all = [column for column in columns if column.at.endswith(OF_ALL_PAIRS)]
    if over_all and pairs is not None and isinstance(settings, LfwSettings):
        embeddings = embedded.embeddings_of(
            predictions,
            attributes={name: attribute.values for name, attribute in attributes.items()},
            group_by=settings.group_by,
            pairs=pairs,
            scorer=settings.scorer,
        )
        resampled = _over_all_pairs(embeddings, settings, resamples)
        values |= _by_title(over_all, resampled)
    settings = replace(settings, resamples=1)  # intervals are of no use here
    if isinstance(settings, PairSettings):
        settings = replace(settings, bias_fmrs=())
    scoring = replace(scoring, settings=settings)
    if listed := [column for column in columns if column not in over_all]:
        values |= _by_title(
            listed,
            (
                score_columns(scoring, resample, resample_pairs, attributes)
                for resample, resample_pairs in _rows(
                    settings.group_by, predictions, pairs, attributes, resamples
                )
            ),
        )
    return values


def _by_title(columns: Sequence[Column], results: Iterable[Results]) -> dict[str, np.ndarray]:
    values = [[value_of(resample, column) for column in columns] for resample in results]
    table = np.array(values, np.float64)  # None becomes NaN
    return {column.title: table[:, k] for k, column in enumerate(columns)}


def _over_all_pairs(
    embeddings: Embeddings, settings: LfwSettings, resamples: int
) -> Iterator[Results]:
    """The rates over all pairs of the images in each resample of their people."""
    bias = settings.bias()
    for counted in resampled_all_pairs(embeddings, fmrs=bias.fmrs, resamples=resamples, seed=SEED):
        measures = all_pairs_measures(
            counted, pooled_points(counted, bias), bias.degree, attribute=settings.group_by
        )
        yield Results("lfw", {}, measures, {}, [], {})


def _rows(
    group_by: str,
    predictions: Columns,
    pairs: Pairs | None,
    attributes: Mapping[str, Attribute],
    resamples: int,
) -> Iterator[tuple[Columns, Pairs | None]]:
    """The predictions and pairs of each resample."""
    if pairs is None:
        draws = bootstrap.draw(predictions["cluster"], resamples=resamples, seed=SEED)
        for weights in draws.weights.T:
            rows = np.repeat(np.arange(len(draws.position)), weights[draws.position])
            yield {name: column[rows] for name, column in predictions.items()}, None
        return
    both = np.stack([pairs.first, pairs.second], axis=1)
    comparisons = Comparisons(
        score=np.zeros(len(pairs)),
        mated=pairs.mated,
        subject=predictions["cluster"][both],
        group=predictions[group_by][both],
        groups=attributes[group_by].values,
        fold=pairs.fold,
    )
    drawn = subject_bootstrap.draw_subjects(comparisons, resamples=resamples, seed=SEED)
    for weights in drawn.weights.astype(np.int64):
        first, second = weights[drawn.person].T
        rows = np.repeat(np.arange(len(pairs)), np.where(pairs.mated, first, first * second))
        yield predictions, Pairs(*(column[rows] for column in astuple(pairs)))

"""A control that is not trained: a run's embeddings, with noise until it is as accurate as another.

A model that tells people apart less well can look more even between groups for that reason alone.
Whether another one owes its evenness to that shows beside the same embeddings with noise.
"""

import io
import shutil
from dataclasses import replace

import numpy as np
from absl import logging
from rich.console import Console

from fairjax.config.study import Study
from fairjax.core.comparisons import unit_length
from fairjax.protocols.settings import PairSettings
from fairjax.run.build import build_scoring
from fairjax.run.score import (
    Columns,
    attributes_of,
    read_predictions,
    report,
    score,
    score_columns,
    write_predictions,
)
from fairjax.run.workdir import WorkdirError, claim, read_checked, read_json, write_json
from fairjax.study.numbers import value_of
from fairjax.study.runs import Run

_HALVINGS = 12
_MOST = 64.0  # length of the noise, embeddings being of length 1


def make_control(run: Run, study: Study) -> None:
    """Writes the folder of a control, with predictions and a report as a trained run has.

    Args:
      run: The control; its `noise` names two finished runs.
      study: The study, whose floor names the column of accuracy.

    Raises:
      WorkdirError: If a run's files are missing or damaged, or it has no embeddings.
    """
    assert run.noise is not None and study.floor is not None
    column = next(c for c in study.columns if c.title == study.floor.column)
    of, like = run.noise
    wanted = value_of(score(build_scoring(read_checked(like / "config.json")), like), column)
    predictions, pairs = read_predictions(of / "predictions.npz")
    if "embedding" not in predictions or pairs is None:
        raise WorkdirError(f"{of} has no embeddings of pairs, so there is nothing to add noise to.")
    if wanted is None:
        raise WorkdirError(f"{like} has no {column.title!r} to be as accurate as.")
    scoring = build_scoring(run.tree)
    settings = replace(scoring.settings, resamples=1)  # intervals are of no use here
    if isinstance(settings, PairSettings):
        settings = replace(settings, bias_fmrs=())
    quick = replace(scoring, settings=settings)
    attributes = attributes_of(read_checked(of / "data.json"))
    unit = unit_length(np.asarray(predictions["embedding"], np.float64))
    noise = np.random.default_rng(run.seed).normal(size=unit.shape) / unit.shape[1] ** 0.5

    def noisy(size: float) -> Columns:
        return {**predictions, "embedding": (unit + size * noise).astype(np.float32)}

    def accurate(size: float) -> bool:
        value = value_of(score_columns(quick, noisy(size), pairs, attributes), column)
        return value is not None and value > wanted

    low, high = 0.0, 0.0
    if accurate(0.0):
        high = 0.125
        while accurate(high) and high < _MOST:
            low, high = high, 2 * high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if accurate(middle) else (low, middle)
    logging.info("%s: noise of length %.4g.", run.name, high)
    with claim(run.folder):
        for name in ("data.json", "environment.json"):
            shutil.copyfile(of / name, run.folder / name)
        outcome = read_json(of / "outcome.json")
        write_json(run.folder / "outcome.json", {**outcome, "noise_length": high})
        write_json(run.folder / "config.json", run.tree)
        write_predictions(run.folder / "predictions.npz", noisy(high), pairs)
        report(scoring, run.folder, Console(file=io.StringIO()))

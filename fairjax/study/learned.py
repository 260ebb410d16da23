"""Whether the trainings of a row have learned enough for its numbers to say anything of its method.

Networks that are compared on the plateau they start from differ in how soon they leave it, not in
what their methods do. A row counts only if every one of its trainings

- has left its plateau: its last training loss is below `PLATEAU` times its first; with class
  weights, the mean target cosine of the training images after the margin is above the threshold of
  the test instead (the lowest one), for a margin that grows moves the loss, too;
- costs no more than `OVER_CONTROL` times the row that is trained from labels alone, if it names
  one: its lowest validation loss over that row's;
- started from a training that has learned, if it started from one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from fairjax.config.study import Row, Study
from fairjax.core.results import load_results
from fairjax.run.progress import read_metrics
from fairjax.study.runs import folder_name

PLATEAU = 0.95
OVER_CONTROL = 1.5
_LEAST_LINES = 5  # of the log: fewer tell no start from an end
_END = 0.9  # share of the steps after which a training is at its end


class Training(NamedTuple):
    """What the log of a training says of its end; None where it does not.

    Attributes:
      first_loss: Loss of the first line.
      last_loss: Mean loss over the last tenth of the steps.
      margined: Mean target cosine after the margin, there.
      threshold: Lowest threshold at which the test's pairs are accepted.
      validation: Lowest validation loss.
    """

    first_loss: float | None
    last_loss: float | None
    margined: float | None
    threshold: float | None
    validation: float | None


def training_of(folder: Path) -> Training:
    """What the folder's log and results say of its training."""
    lines = read_metrics(folder / "metrics.jsonl")
    trained = [line for line in lines if line["kind"] == "train"]
    losses = [line["loss"] for line in lines if line["kind"] == "validation" and "loss" in line]
    start = _END * trained[-1]["step"] if trained else 0
    end = [line for line in trained if line["step"] > start]
    enough = len(trained) >= _LEAST_LINES

    def at_the_end(name: str) -> float | None:
        values = [line[name] for line in end if name in line]
        return fmean(values) if values else None

    return Training(
        first_loss=trained[0].get("loss") if enough else None,
        last_loss=at_the_end("loss"),
        margined=at_the_end("margined_cosine"),
        threshold=_threshold(folder / "results.json"),
        validation=min(losses, default=None),
    )


def _threshold(results: Path) -> float | None:
    if not results.exists():
        return None
    try:
        measures = load_results(results).measures
    except ValueError:  # damaged, as the study's table says
        return None
    everyone = [m.threshold for m in measures if m.name == "fmr" and not m.group]
    return min((t for t in everyone if t is not None), default=None)


def why_not(training: Training, control: Training | None) -> str:
    """Why a training has not learned; "" where it has, or its log does not tell.

    Args:
      training: The training.
      control: The training of the same network from labels alone, or None.
    """
    first, last, margined, threshold, cost = training
    if margined is not None and threshold is not None:
        if margined <= threshold:
            return (
                f"its images do not meet the margin: mean target cosine after it {margined:.2f}, "
                f"the test accepts from {threshold:.2f} on"
            )
    elif first is not None and last is not None and last >= PLATEAU * first:
        return f"its loss is still on the plateau: {last:.3g} at the end, {first:.3g} at the start"
    base = control.validation if control else None
    if cost is not None and base is not None and cost > OVER_CONTROL * base:
        return (
            f"its validation loss is {cost:.3g}, above {OVER_CONTROL:g} times the {base:.3g} of "
            "training from labels alone"
        )
    return ""


def trainings(workdir: Path, study: Study) -> dict[str, list[Training]]:
    """The trainings of each row that is trained, seed by seed."""
    return {
        row.name: [training_of(workdir / folder_name(row.name, seed)) for seed in study.seeds]
        for row in study.rows
        if not row.noise
    }


def not_learned(study: Study, trained: Mapping[str, Sequence[Training]]) -> dict[str, str]:
    """Why rows have not learned: the first reason of each; rows that have are left out.

    Args:
      study: The study.
      trained: From `trainings`.
    """
    reasons: dict[str, str] = {}
    for row in study.rows:
        if why := _why(row, study, trained) or _inherited(row, reasons):
            reasons[row.name] = why
    return reasons


def _why(row: Row, study: Study, trained: Mapping[str, Sequence[Training]]) -> str:
    if row.noise:
        return ""
    controls: Sequence[Training | None] = trained.get(row.control) or [None] * len(study.seeds)
    reasons = [
        why_not(training, control)
        for training, control in zip(trained[row.name], controls, strict=True)
    ]
    wrong = [(seed, why) for seed, why in zip(study.seeds, reasons, strict=True) if why]
    if not wrong:
        return ""
    seed, why = wrong[0]
    return f"seed {seed}: {why} ({len(wrong)} of {len(reasons)} seeds)"


def _inherited(row: Row, reasons: Mapping[str, str]) -> str:
    """The reason of a row that this one starts from, or that its embeddings are."""
    for name in (*row.needs.values(), *([row.noise.of] if row.noise else [])):
        if name in reasons:
            return f"{name}, which it is made from, has not: {reasons[name]}"
    return ""

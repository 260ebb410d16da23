"""Is it the group or the picture? Words and tables where covariates were held."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fairjax.core.results import Results, Table
from fairjax.report.wording import digits, listed, number, sentence, span

TITLE = "Is it the group or the picture?"
_RATES = {
    "fmr": "false matches",
    "fnmr": "false non-matches",
    "fpr": "false positives",
    "fnr": "false negatives",
    "error_rate": "wrong predictions",
}
_TRIALS = {
    "fmr": "non-mated pairs",
    "fnmr": "mated pairs",
    "fpr": "negatives",
    "fnr": "positives",
    "error_rate": "images",
}
_OVERLAP = (
    "Like this group: share of all {trials} at which the group is at least a tenth as frequent as "
    "overall. Below 80% the comparison rests on the model alone, and there is no answer."
)


@dataclass(frozen=True)
class Answer:
    """One error rate at one operating point with covariates held.

    Attributes:
      rate: "fmr" or "fnmr"; of an attribute model "fpr", "fnr" or "error_rate".
      system: Name of the system; "" where there is one.
      at: Operating point; "" for an attribute model.
      groups: Groups that are compared.
      left_out: Groups with too few errors or people.
      errors: Errors of each group.
      trials: Pairs, or images, of each group.
      covariates: What is held.
      means: Mean of each covariate over the trials of each group.
      why: Why nothing could be compared; "" where it was.
      found: Rate of each group as found.
      found_interval: Interval of each group's rate as found.
      held: Rate of each group with covariates held.
      held_interval: Interval of each group's rate with covariates held.
      overlap: Share of all trials that are like those of each group.
      worst: Place of the group with the highest rate as found.
      best: Place of the group with the lowest one.
      found_ratio: Ratio of these two as found, and its interval.
      held_ratio: Ratio of these two with covariates held, and its interval.
      share: Share of the logarithm of the ratio that goes when covariates are held.
      smaller: Whether the ratio is smaller with covariates held.
      p_found: P-value of equal rates as found.
      p_held: P-value of equal rates with covariates held.
      p_share: P-value of no change of the ratio.
      p_found_adjusted: After Holm over all answers.
      p_held_adjusted: After Holm over all answers.
      p_share_adjusted: After Holm over all answers.
      effects: Rate at the upper quartile of each covariate less rate at the lower one, both ends
        of its interval, and its p-value.
      answer: "group", "picture", "both", "hidden", "no gap", "too few data" or "no overlap".
    """

    rate: str
    system: str
    at: str
    groups: Sequence[str]
    left_out: Sequence[str]
    errors: Sequence[int]
    trials: Sequence[int]
    covariates: Sequence[str]
    means: Sequence[Sequence[float]] = ()
    why: str = ""
    found: Sequence[float] = ()
    found_interval: Sequence[Sequence[float]] = ()
    held: Sequence[float] = ()
    held_interval: Sequence[Sequence[float]] = ()
    overlap: Sequence[float] = ()
    worst: int = 0
    best: int = 0
    found_ratio: Sequence[float] = (1.0, 1.0, 1.0)
    held_ratio: Sequence[float] = (1.0, 1.0, 1.0)
    share: float | None = None
    smaller: bool = False
    p_found: float | None = None
    p_held: float | None = None
    p_share: float | None = None
    p_found_adjusted: float | None = None
    p_held_adjusted: float | None = None
    p_share_adjusted: float | None = None
    effects: Sequence[Sequence[float]] = ()
    answer: str = field(default="too few data")

    def as_json(self) -> dict[str, Any]:
        """The answer as results.json holds it."""
        return asdict(self)

    @property
    def two(self) -> str:
        """The two groups that the ratio is of."""
        return f"{self.groups[self.worst]} over {self.groups[self.best]}"

    @property
    def named(self) -> str:
        """Which rate, at which point, of which system."""
        system = f"{self.system}, " if self.system else ""
        return f"{system}{_RATES[self.rate]}{f' at {self.at}' if self.at else ''}"

    @property
    def trial_words(self) -> str:
        """What the rate is counted over, in the plural."""
        return _TRIALS[self.rate]


def _cell(value: float, interval: Sequence[float]) -> str:
    return f"{digits(value, 'fraction')} [{span((interval[0], interval[1]), 'fraction')}]"


def answers(results: Results) -> list[Answer]:
    """The answers that the results hold; none where no covariates were held."""
    held = results.arrays.get("covariates", [])
    return [Answer(**fields) for fields in held]


def sentences(results: Results) -> list[str]:
    """Each answer in a sentence, those with a gap first."""
    ordered = sorted(answers(results), key=lambda a: a.answer in ("no gap", "too few data"))
    return [_sentence(answer) for answer in ordered]


def _sentence(answer: Answer) -> str:
    held = listed(answer.covariates)
    start = f"{sentence(answer.named)}:"
    if not answer.held:
        return f"{start} too few data to hold covariates ({answer.why})."
    now, low, high = answer.held_ratio
    ratio = f"{answer.two} {answer.found_ratio[0]:.2g} times as found"
    ratio += f", {now:.2g} [{low:.2g}, {high:.2g}] with {held} held"
    says: Mapping[str, str] = {
        "group": "The gap stays: these covariates do not explain it",
        "picture": "The gap goes with the picture: what is left is not shown",
        "both": "Part of the gap goes with the picture, part stays",
        "hidden": "No gap is shown as found, but one is with the picture held",
        "no gap": "No gap is shown, with the picture held or not",
        "too few data": "Too few data to tell whether it is the group or the picture",
        "no overlap": "The groups' pictures are too unlike to compare: of all "
        f"{answer.trial_words}, only {100 * min(answer.overlap, default=0):.0f}% are like those of "
        f"{answer.groups[_least(answer.overlap)]}",
    }
    left_out = f" Left out, with too few errors or people: {listed(answer.left_out)}."
    return f"{start} {ratio}. {says[answer.answer]}.{left_out if answer.left_out else ''}"


def _least(values: Sequence[float]) -> int:
    return min(range(len(values)), key=values.__getitem__, default=0)


def tables(results: Results) -> list[Table]:
    """Answers, rates by group, and what each covariate does; none without covariates."""
    shown = answers(results)
    if not shown:
        return []
    fitted = [answer for answer in shown if answer.held]
    summary = Table(
        TITLE,
        ["of", "answer", "in words"],
        [[sentence(a.named), a.answer, _sentence(a)] for a in shown],
        drawn=True,
    )
    rates = Table(
        "Error rates with covariates held",
        ["of", "group", "errors", "as found, %", "held, %", "like this group, %"],
        [
            [
                sentence(a.named),
                group,
                f"{a.errors[k]:,} of {a.trials[k]:,}",
                _cell(a.found[k], a.found_interval[k]),
                _cell(a.held[k], a.held_interval[k]),
                f"{100 * a.overlap[k]:.0f}",
            ]
            for a in fitted
            for k, group in enumerate(a.groups)
        ],
        _OVERLAP.format(trials=" or ".join(dict.fromkeys(a.trial_words for a in fitted))),
        drawn=True,
    )
    does = Table(
        "What each covariate does to the error rate",
        ["of", "covariate", "upper less lower quartile, points", "p"],
        [
            [
                sentence(a.named),
                name,
                f"{number(e[0], 'fraction', difference=True)} [{span((e[1], e[2]), 'fraction')}]",
                f"{e[3]:.2g}",
            ]
            for a in fitted
            for name, e in zip(a.covariates, a.effects, strict=True)
        ],
        "Group and all other covariates stay as they are. p is not adjusted for other tests.",
        drawn=True,
    )
    return [table for table in (summary, rates, does, _means(fitted)) if table.rows]


def _means(fitted: Sequence[Answer]) -> Table:
    """Mean covariate of each group's pairs, once a rate."""
    rows = []
    groups = list(dict.fromkeys(group for a in fitted for group in a.groups))
    for rate in dict.fromkeys(a.rate for a in fitted):
        answer = max((a for a in fitted if a.rate == rate), key=lambda a: len(a.groups))
        for name, values in zip(answer.covariates, answer.means, strict=True):
            of = dict(zip(answer.groups, values, strict=True))
            rows.append(
                [name, answer.trial_words, *(f"{of[g]:.3g}" if g in of else "–" for g in groups)]
            )
    return Table("Covariates by group, means", ["covariate", "of", *groups], rows, drawn=True)

"""The plan of an audit: how many people to collect, or which gap the people at hand can show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.audit.findings import Findings
from fairjax.audit.tables import InputError
from fairjax.core.errors import UsageError
from fairjax.core.results import Measure, Results, Table, load_results
from fairjax.core.verdict import ALPHA
from fairjax.metrics import planning
from fairjax.metrics.equality import POWER
from fairjax.metrics.planning import Design, Rate

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_WORDS: Mapping[Rate, str] = {
    "fmr": "False match rate (FMR)",
    "fnmr": "False non-match rate (FNMR)",
}


@dataclass(frozen=True)
class Question:
    """An audit that is planned.

    Attributes:
      fmr: False match rate over all groups at the threshold in use, a fraction.
      fnmr: False non-match rate over all groups there, a fraction.
      groups: How many groups, 2 or more.
      images: Images of each person, 2 or more.
      ratio: Rate of one group over that of the others that is to be shown, above 1.
      power: Chance of showing it, a fraction.
      points: Operating points of the audit: two primary tests each.
      shared: Share of a score's variance that comes from its people, where nothing is measured.
      most_pairs: Non-mated pairs of each group at most; None for all pairs.
      people: People in each group that there are, one number a group or one for all; () to ask
        how many are needed.
    """

    fmr: float
    fnmr: float
    groups: int
    images: int
    ratio: float = 2.0
    power: float = POWER
    points: int = 1
    shared: float = planning.SHARED
    most_pairs: int | None = None
    people: Sequence[int] = ()

    def __post_init__(self) -> None:
        _need(1 < self.ratio <= 20, "ratio", self.ratio, "above 1 and at most 20")
        for name in ("fmr", "fnmr"):
            _need(0 < getattr(self, name) < 1, name, getattr(self, name), "between 0 and 1")
            times = self.ratio * getattr(self, name)
            _need(times < 1, name, getattr(self, name), f"below 1 / ratio = {1 / self.ratio:.3g}")
        _need(self.groups >= 2, "groups", self.groups, "2 or more")
        _need(
            self.images >= 2, "images-per-person", self.images, "2 or more: one has no mated pair"
        )
        _need(0 < self.power < 1, "power", self.power, "between 0 and 1")
        _need(self.points >= 1, "points", self.points, "1 or more")
        _need(0 <= self.shared < 1, "shared", self.shared, "at least 0 and below 1")
        _need(
            len(self.people) in (0, 1, self.groups),
            "people",
            list(self.people),
            f"one number, or one for each of the {self.groups} groups",
        )
        for n in self.people:
            _need(n >= 2, "people", n, "2 or more in each group")

    @property
    def alpha(self) -> float:
        """Level of each primary test in the worst case of Holm's adjustment."""
        return ALPHA / (2 * self.points)


def plan(question: Question, *, like: Path | None = None) -> Findings:
    """Answers how many people are needed, or what the people at hand can show.

    Args:
      question: The audit that is planned.
      like: results.json of an earlier verification audit, or its folder, whose correlations between
        pairs that share a person are taken; None assumes them.

    Raises:
      InputError: If the earlier audit cannot be read or measured no correlation.
    """
    designs: dict[Rate, Design] = {}
    sources: dict[Rate, str] = {}
    earlier = _earlier(like) if like else {}
    values: dict[Rate, float] = {"fmr": question.fmr, "fnmr": question.fnmr}
    for rate, value in values.items():
        if rate in earlier:
            correlation, source = _carried(earlier[rate], value)
        else:
            correlation = planning.assumed_correlation(rate, value, shared=question.shared)
            source = f"assumed: {question.shared:.0%} of a score's variance comes from its people"
        most = question.most_pairs if rate == "fmr" else None
        designs[rate] = Design(rate, value, correlation, question.images, most or np.inf)
        sources[rate] = source
    answer = _needed if not question.people else _resolved
    return answer(question, designs, sources, str(like or ""))


def _needed(
    question: Question, designs: Mapping[Rate, Design], sources: Mapping[Rate, str], like: str
) -> Findings:
    """People a group for each ratio, and in particular for the ratio asked for."""
    ratios = sorted({*RATIOS, question.ratio})
    needed: dict[tuple[Rate, float], int | None] = {
        (rate, ratio): planning.people_needed(
            design, ratio, groups=question.groups, alpha=question.alpha, power=question.power
        )
        for rate, design in designs.items()
        for ratio in ratios
        if ratio * design.value < 1
    }
    rows, measures = [], []
    for ratio in ratios:
        row = [f"{ratio:g}"]
        for rate, design in designs.items():
            people = needed.get((rate, ratio))
            pairs = None if people is None else _pairs(design, people)
            row += ["–", "–"] if people is None else [f"{people:,}", f"{pairs:,}"]
            measures.append(_measure(f"{rate}_people_needed", people, "count", ratio, pairs or 0))
        both = [needed.get((rate, ratio)) for rate in designs]
        row.append("–" if None in both else f"{max(filter(None, both)):,}")
        rows.append(row)
    table = Table(
        "People that each group needs",
        [
            "ratio to be shown",
            "people, FMR",
            "non-mated pairs",
            "people, FNMR",
            "mated pairs",
            "people, both",
        ],
        rows,
        "Ratio: error rate of one group, whichever it is, over that of the others. Pairs are those "
        f"within one group. –: not with {planning.MOST_PEOPLE:,} people a group, or a rate above "
        "100 %.",
    )
    options = {rate: needed[rate, question.ratio] for rate in designs}
    sentences = [_one_rate(question, rate, designs[rate], options[rate]) for rate in designs]
    if None in options.values():
        answer = (
            f"A ratio of {question.ratio:g} cannot be planned for: more than "
            f"{planning.MOST_PEOPLE:,} people a group would be needed."
        )
    else:
        most = max(filter(None, options.values()))
        answer = (
            f"Collect about {most:,} people in each of the {question.groups} groups, with "
            f"{question.images} images each ({most * question.groups:,} people, "
            f"{most * question.groups * question.images:,} images)."
        )
    picture = _picture(
        [
            (
                rate.upper(),
                [r for r in ratios if needed.get((rate, r)) is not None],
                [float(needed[rate, r] or 0) for r in ratios if needed.get((rate, r)) is not None],
            )
            for rate in designs
        ],
        question,
    )
    return Findings(
        answer,
        [*sentences, *_conditions(question, designs, sources)],
        [table],
        _results(question, designs, sources, measures, like),
        picture,
    )


def _resolved(
    question: Question, designs: Mapping[Rate, Design], sources: Mapping[Rate, str], like: str
) -> Findings:
    """The smallest ratio that the people at hand show, for each rate."""
    people = np.array(question.people, np.float64)
    if len(people) == 1:
        people = np.repeat(people, question.groups)
    rows, measures, sentences, ratios = [], [], [], []
    for rate, design in designs.items():
        ratio = planning.detectable_ratio(
            design, people, alpha=question.alpha, power=question.power
        )
        pairs = design.pairs(people)
        chance = design.known(people).power(question.ratio, alpha=question.alpha, seed=0)
        rows.append(
            [
                rate.upper(),
                f"{100 * design.value:.3g}",
                _span(people),
                _span(pairs),
                f"{float(pairs @ np.full(len(pairs), design.value)):,.0f}",
                "–" if ratio is None else f"{ratio:.2f}",
                f"{chance:.0%}",
            ]
        )
        measures.append(
            _measure(f"{rate}_detectable_ratio", ratio, "ratio", None, int(pairs.min()))
        )
        measures.append(
            _measure(f"{rate}_power", chance, "fraction", question.ratio, int(pairs.min()))
        )
        ratios.append(ratio)
        if ratio is None:
            sentences.append(f"{_WORDS[rate]}: even a ratio of 20 would be missed.")
        else:
            sentences.append(
                f"{_WORDS[rate]}: a group with {ratio:.2g} times the others' rate is shown in "
                f"{question.power:.0%} of audits, a smaller gap less often."
            )
    shown = [
        f"{ratio:.2g} for {rate.upper()}"
        for rate, ratio in zip(designs, ratios, strict=True)
        if ratio is not None
    ]
    answer = f"These people can show a ratio of {' and '.join(shown)}."
    if not shown:
        answer = "These people are too few to show even a ratio of 20."
    table = Table(
        "What these people can show",
        [
            "rate",
            "value, %",
            "people a group",
            "pairs a group",
            "errors expected",
            "ratio that is shown",
            f"chance to show {question.ratio:g}",
        ],
        rows,
        "Ratio: error rate of one group, whichever it is, over that of the others.",
    )
    return Findings(
        answer,
        [*sentences, *_conditions(question, designs, sources)],
        [table],
        _results(question, designs, sources, measures, like),
    )


def _one_rate(question: Question, rate: Rate, design: Design, people: int | None) -> str:
    start = f"{_WORDS[rate]} of {100 * design.value:.3g} %"
    if people is None:
        return f"{start}: a ratio of {question.ratio:g} needs more people than can be planned for."
    kind = "non-mated" if rate == "fmr" else "mated"
    return (
        f"{start}: {people:,} people a group ({_pairs(design, people):,} {kind} pairs) show that "
        f"one group has {question.ratio:g} times the others' rate in {question.power:.0%} of "
        "audits."
    )


def _conditions(
    question: Question, designs: Mapping[Rate, Design], sources: Mapping[Rate, str]
) -> list[str]:
    tests = 2 * question.points
    sentences = [
        f"Level: {ALPHA:.0%} over {tests} two-sided tests (FMR and FNMR"
        + (f" at {question.points} thresholds" if question.points > 1 else "")
        + f"), so {question.alpha:.3g} for each."
    ]
    if len(set(sources.values())) == 1:
        sentences.append(f"Pairs that share a person: {sources['fmr']}.")
    else:
        sentences += [
            f"Pairs that share a person, {rate.upper()}: {sources[rate]}." for rate in designs
        ]
    return sentences


def _results(
    question: Question,
    designs: Mapping[Rate, Design],
    sources: Mapping[Rate, str],
    measures: Sequence[Measure],
    like: str,
) -> Results:
    protocol: dict[str, Any] = {
        "name": "plan audit",
        **{key: list(v) if isinstance(v, tuple) else v for key, v in asdict(question).items()},
        "alpha": question.alpha,
        "like": like,
        "correlation": {rate: design.correlation for rate, design in designs.items()},
        "correlation_source": dict(sources),
    }
    limits = [
        "A plan is as good as its rates and correlations: plan again with --like once a first "
        "audit has measured them. People who refuse, or whose images fail, come on top."
    ]
    return Results("plan", protocol, measures, {}, limits, {})


def _measure(
    name: str, value: int | float | None, unit: str, ratio: float | None, n: int
) -> Measure:
    at = "" if ratio is None else f"ratio {ratio:g}"
    number = None if value is None else float(value)
    note = "" if number is not None else "beyond all numbers tried"
    return Measure(name, number, unit, n, across="group", at=at, note=note)


def _pairs(design: Design, people: int) -> int:
    return int(design.pairs(np.array([float(people)]))[0])


def _span(numbers: np.ndarray) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _picture(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]], question: Question
) -> dict[str, Callable[[], str]]:
    def draw() -> str:
        from fairjax.report.drawing.plans import people_by_ratio

        return people_by_ratio(drawn, ratio=question.ratio, power=question.power)

    drawn = [line for line in lines if line[1]]
    return {"plan": draw} if drawn else {}


def _earlier(path: Path) -> dict[Rate, dict[str, Any]]:
    """The planner's entry of each rate that the earlier audit counted most errors for."""
    file = path / "results.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"--like {path}: there is no results.json.")
    try:
        results = load_results(file)
    except ValueError as error:
        raise InputError(str(error)) from error
    plans = results.arrays.get("planner", [])
    if results.kind != "verification" or not plans:
        raise InputError(f"{file}: no verification audit with errors; --like needs one.")
    designs: dict[Rate, dict[str, Any]] = {}
    for rate in ("fmr", "fnmr"):
        own = [entry for entry in plans if entry["rate"] == rate and "correlation" in entry]
        if own:
            designs[rate] = max(own, key=lambda entry: entry["errors"])
    if not designs:
        raise InputError(
            f"{file}: written before correlations were kept; repeat the audit, or leave out --like."
        )
    return designs


def _carried(entry: Mapping[str, Any], value: float) -> tuple[float, str]:
    correlation = planning.carried_correlation(
        entry["correlation"], measured_at=entry["value"], planned_at=value
    )
    source = (
        f"measured at {entry['at']} over {entry['errors']:,} errors (design effect "
        f"{entry['design_effect']:.3g}, correlation {entry['correlation']:.3g}), carried over to "
        f"{100 * value:.3g} %"
    )
    return correlation, source


def _need(ok: bool, flag: str, value: Any, rule: str) -> None:
    if not ok:
        raise UsageError(f"--{flag} {value} must be {rule}.")

"""A study in words and tables."""

from collections import Counter
from collections.abc import Mapping, Sequence

from fairjax.config.study import Study
from fairjax.core.results import Table
from fairjax.study.costs import Cost
from fairjax.study.learned import OVER_CONTROL, PLATEAU, Training
from fairjax.study.numbers import LEVEL, Cell, ClaimResult, Conclusion, Verdict

MOST_REASONS = 3  # claims that are quoted for a verdict
TEST = (
    "{difference} Its interval, for that claim alone, "
    "covers both other people in the test ({resamples} paired resamples of them) and, with two "
    f"seeds or more, other trainings: {LEVEL:.0%}, Student's t, its critical value weighted by the "
    "two shares of the variance (Cochran 1964). p is the two-sided p-value of no difference, or of "
    "one as large as the claim's margin; p (Holm) is adjusted for the number of claims{families}, "
    f"so that the chance of any false verdict stays below {1 - LEVEL:.0%}{{each}}. A claim holds "
    f"here where p (Holm) is at most {1 - LEVEL:.2f} and the difference lies on the claimed side, "
    "is contradicted where it lies on the other, and is inconclusive else."
)
BY_SEED = "Each difference is a mean over seeds, paired by seed."
BY_FOLD = (
    "Each difference is that of the predictions of all folds together, each image tested once; the "
    "folds are the seeds."
)
RULE = (
    "The whole is contradicted where any of these claims is; it holds where none is and all that "
    "must hold do; else it is inconclusive."
)


def main_table(study: Study, cells: dict[str, dict[str, Cell]]) -> Table:
    """Our numbers, below each row the paper's and the difference, and the rows it has besides."""
    digits = {c.title: c.digits for c in study.columns}
    lines = []
    for name, line in cells.items():
        lines += _line(name, line, digits)
        if any(c.published is not None for c in line.values()):
            for what, values, sign in (
                ("paper", {title: c.published for title, c in line.items()}, ""),
                ("ours - paper", {title: c.difference for title, c in line.items()}, "+"),
            ):
                numbers = (_number(value, digits[t], sign) for t, value in values.items())
                lines.append([f"  {what}", *numbers])
    for name, cited in study.cited.items():
        numbers = (_number(cited.get(title), d) for title, d in digits.items())
        lines.append([f"{name} (cited)", *numbers])
    note = f"{_over_seeds(study, 'over the test people')} Fractions in percent."
    if study.source:
        note += f" Paper: {study.source}."
    return Table(study.title, ["", *digits], lines, note)


def conclusion_table(conclusion: Conclusion) -> Table:
    """How many of the claims that the thesis rests on came out how."""
    verdicts: tuple[Verdict, ...] = ("holds", "inconclusive", "contradicted", "not tested")
    if conclusion.verdict == "not converged":
        verdicts = (*verdicts, "not converged")
    return Table(
        "Verdict",
        ["", "verdict", *verdicts],
        [
            ["the whole", conclusion.verdict, *("" for _ in verdicts)],
            *(
                [f"claims that must {what}", "", *(str(tally.get(v, 0)) for v in verdicts)]
                for what, tally in (
                    ("hold", conclusion.must_hold),
                    ("not be contradicted", conclusion.must_not_fail),
                )
                if tally
            ),
        ],
        f"{whole(conclusion)} {RULE}",
    )


def claim_table(study: Study, claims: Sequence[ClaimResult]) -> Table:
    """One line a claim that is tested; those that are only described have a table of their own."""
    claims = [outcome for outcome in claims if not outcome.claim.descriptive]
    families = len({t.claim.family for t in claims}) > 1
    digits = {c.title: c.digits for c in study.columns}
    columns = [
        "claim",
        "column",
        "ours",
        "margin",
        f"{LEVEL:.0%} interval",
        "p",
        "p (Holm)",
        "paper",
        "verdict",
    ]
    lines = []
    for t in claims:
        d = digits[t.claim.column]
        lines.append(
            [
                *([t.claim.family] if families else []),
                t.claim.text,
                t.claim.column,
                _number(t.difference, d, "+"),
                _number(t.claim.bound, d, "+") if t.claim.margin else "",
                _span(t.interval, d, "+"),
                _p(t.p_value),
                _p(t.p_value_holm),
                _number(t.published, d, "+"),
                t.verdict,
            ]
        )
    return Table("Claims", [*(["family"] if families else []), *columns], lines, how_tested(study))


def difference_table(study: Study, claims: Sequence[ClaimResult]) -> Table:
    """One line a difference that is only described."""
    digits = {c.title: c.digits for c in study.columns}
    lines = [
        [
            t.claim.row,
            t.claim.than,
            t.claim.column,
            _number(t.difference, digits[t.claim.column], "+"),
            _span(t.interval, digits[t.claim.column], "+"),
            _number(t.published, digits[t.claim.column], "+"),
        ]
        for t in claims
        if t.claim.descriptive
    ]
    return Table(
        "Differences, described",
        ["row", "less", "column", "ours", f"{LEVEL:.0%} interval", "paper"],
        lines,
        "Intervals are made as those of the claims, for each difference alone. With so many "
        "differences some intervals miss 0 by chance, so none of these is a finding.",
    )


def training_table(
    trained: Mapping[str, Sequence[Training]], unlearned: Mapping[str, str]
) -> Table:
    """One line a row that is trained: what its log says of the end of training, over seeds."""
    titles = {
        "first_loss": ("loss at the start", 2),
        "last_loss": ("at the end", 2),
        "margined": ("target cosine after the margin", 2),
        "threshold": ("threshold of the test", 2),
        "validation": ("lowest validation loss", 3),
    }
    lines = []
    for name, trainings in trained.items():
        numbers = []
        for field, (_, digits) in titles.items():
            known = [v for v in (getattr(one, field) for one in trainings) if v is not None]
            numbers.append(_number(sum(known) / len(known) if known else None, digits))
        lines.append([name, *numbers, "no" if name in unlearned else "yes"])
    return Table(
        "Training",
        ["", *(title for title, _ in titles.values()), "learned"],
        lines,
        "Means over seeds; the end is the last tenth of the steps. A row has learned where each of "
        f"its trainings ends below {PLATEAU:.0%} of the loss it starts from, or, with class "
        "weights, with the mean target cosine after the margin above the lowest threshold of the "
        "test. Beside training from labels alone it may cost "
        f"{OVER_CONTROL:g} times the validation loss.",
    )


def similarity_table(study: Study, similar: Mapping[tuple[str, str], Mapping[str, Cell]]) -> Table:
    """One row a pair, one column a group."""
    digits = dict.fromkeys((name for line in similar.values() for name in line), 2)
    lines = []
    for pair, line in similar.items():
        name = " and ".join(pair)
        lines += _line(name, line, digits) if line else [[name, *("–" for _ in digits)]]
    note = (
        "Linear CKA of the two rows' features of the same test images, with unbiased HSIC: 1 is "
        "alike up to rotation and scale, 0 has nothing in common. "
        + _over_seeds(study, "jackknife over blocks of people")
    )
    return Table("Similarity of features", ["", *digits], lines, note)


def cost_table(study: Study, costs: Mapping[str, Cost]) -> Table:
    """One row a row of the study: facts, parameters and the time of a step next to the baseline."""
    headings = list(dict.fromkeys(h for facts in study.facts.values() for h in facts))
    lines = []
    for name, cost in costs.items():
        facts = study.facts.get(name, {})
        more = "–" if cost.more_parameters is None else f"{cost.more_parameters:+,}"
        step = "–" if cost.step is None else f"{cost.step:.2f}"
        lines.append([name, *(facts.get(h, "–") for h in headings), more, step])
    return Table(
        "Costs",
        ["", *headings, "parameters", "time of a step"],
        lines,
        f"Parameters: trained ones more than {study.baseline}'s. Time of a step: relative to "
        f"{study.baseline}, mean over seeds, from the images a second that the runs logged (median "
        "of all but the first logged line, which has the compilation in it). It holds for this "
        "machine and whatever else ran on it.",
    )


def how_tested(study: Study) -> str:
    """How the study's claims are tested."""
    sizes = Counter(claim.family for claim in study.claims if not claim.descriptive)
    several = len(sizes) > 1
    families = ", ".join(f"{name or 'others'} {size}" for name, size in sizes.items())
    return TEST.format(
        difference=BY_FOLD if study.folds else BY_SEED,
        resamples=study.resamples,
        families=f" in its family ({families})" if several else "",
        each=" in each family" if several else "",
    )


def whole(conclusion: Conclusion) -> str:
    """The claim as a whole, the verdict on it and the reasons, in a few sentences."""
    return " ".join([conclusion.thesis.text, headline(conclusion), reasons(conclusion)])


def headline(conclusion: Conclusion) -> str:
    """The verdict on the claim as a whole: "Inconclusive here."."""
    return f"{conclusion.verdict.capitalize()} here."


def reasons(conclusion: Conclusion) -> str:
    """What the verdict means, and the claims that it rests on."""
    thesis, because = conclusion.thesis, conclusion.because
    meaning, reason = {
        "holds": (thesis.holds, ""),
        "contradicted": (thesis.contradicted, "Contradicted:"),
        "inconclusive": (thesis.inconclusive, "Not shown:"),
        "not tested": ("", "It rests on:"),
        "not converged": ("Trainings have not learned enough to compare.", "Not tested:"),
        "descriptive": ("", "Only described:"),
    }[conclusion.verdict]
    more = f"And {len(because) - MOST_REASONS} more." if because[MOST_REASONS:] else ""
    return " ".join(filter(None, (meaning, reason, *because[:MOST_REASONS], more)))


def words(study: Study, outcome: ClaimResult) -> str:
    """The verdict in a sentence or two."""
    if outcome.difference is None or outcome.interval is None:
        return f"{outcome.why[:1].upper()}{outcome.why[1:].removesuffix('.')}."
    claim = outcome.claim
    digits = next(c.digits for c in study.columns if c.title == claim.column)
    text = (
        f"{claim.column}: {claim.row} minus {claim.than} is "
        f"{_number(outcome.difference, digits, '+')} ({LEVEL:.0%} interval "
        f"{_span(outcome.interval, digits, '+')}; p {_p(outcome.p_value)}"
        + (f" of {_number(claim.bound, digits, '+')}" if claim.margin else "")
        + f", {_p(outcome.p_value_holm)} after Holm)"
    )
    if outcome.published is not None:
        text += f"; the paper's difference is {_number(outcome.published, digits, '+')}"
    return f"{text}. {outcome.why[:1].upper()}{outcome.why[1:]}{'.' if outcome.why else ''}".strip()


def _line(name: str, line: Mapping[str, Cell], digits: Mapping[str, int]) -> list[list[str]]:
    """A row's numbers over seeds, and their intervals where there are any."""
    means = [
        _number(c.mean, digits[t]) + (f" ± {c.std:.{digits[t]}f}" if c.std is not None else "")
        for t, c in line.items()
    ]
    spans = [_span(c.interval, digits[t]) for t, c in line.items()]
    intervals = (
        [[f"  {LEVEL:.0%} interval", *spans]] if any(c.interval for c in line.values()) else []
    )
    return [[name, *means], *intervals]


def _over_seeds(study: Study, method: str) -> str:
    """What stands beside a mean over seeds; `method` is how a single run's interval is made."""
    if study.folds:
        return (
            f"Predictions of {len(study.seeds)} folds together ± standard deviation over folds "
            f"(ddof 1); interval: {method}."
        )
    if len(study.seeds) == 1:
        return f"One seed; interval: {method}."
    return (
        f"Mean over {len(study.seeds)} seeds ± standard deviation over seeds (ddof 1); interval: "
        "Student's t over seeds."
    )


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{digits}f}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _span(interval: tuple[float, float] | None, digits: int, sign: str = "") -> str:
    return "–" if interval is None else " to ".join(_number(end, digits, sign) for end in interval)

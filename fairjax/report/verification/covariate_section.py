"""Is it the group or the picture? The section of the report where covariates were held."""

from collections.abc import Sequence

from markupsafe import Markup

from fairjax.core.results import Measure, Results
from fairjax.report.sections import Figure, Section
from fairjax.report.verification import plots
from fairjax.report.verification.covariates import TITLE, Answer, answers, tables
from fairjax.report.wording import listed, sentence

_LEAD = (
    "Hollow: each group's rate as found. Filled: the rate of everyone, were they all of this "
    "group; the covariates stay as they are, the group alone changes. A gap that stays is not "
    "explained by these covariates. A gap that goes runs along with them, which is no excuse: the "
    "people still meet the errors."
)


def section(results: Results) -> Section:
    """The answers with their pictures and tables; empty where no covariates were held."""
    figures: list[Figure] = []
    for index, answer in enumerate(answers(results)):
        if not answer.held:
            continue
        caption = sentence(answer.named)
        svg = plots.found_and_held(
            f"covariates-{index}",
            f"{caption}, as found and with covariates held",
            _rates(answer, answer.found, answer.found_interval),
            _rates(answer, answer.held, answer.held_interval),
        )
        note = f"%; hollow: as found; filled: with {listed(answer.covariates)} held"
        figures.append(Figure(Markup(svg), caption, note))
    return Section("covariates", TITLE, _LEAD, parts=[("", figures)], tables=tables(results))


def _rates(
    answer: Answer, values: Sequence[float], intervals: Sequence[Sequence[float]]
) -> list[Measure]:
    return [
        Measure(answer.rate, value, "fraction", n, {"group": name}, interval=(low, high))
        for name, n, value, (low, high) in zip(
            answer.groups, answer.trials, values, intervals, strict=True
        )
    ]

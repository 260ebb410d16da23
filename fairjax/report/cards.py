"""A comparison of groups as a card: the decision as a badge, bars, and the test behind it."""

from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup

from fairjax.core.verdict import Answer
from fairjax.report.drawing import plots
from fairjax.report.quantities import Quantity
from fairjax.report.summary import evidence
from fairjax.report.wording import level

BADGES: Mapping[Answer, str] = {
    "shown": "▲ Differs between groups",
    "not shown": "○ Could be chance",
    "too few data": "– Too few data to tell",
}


class Card(NamedTuple):
    """One comparison of groups.

    Attributes:
      title: The quantity in plain words: "False matches".
      answer: The decision.
      badge: The decision in words.
      figure: A bar for each group, with its interval.
      note: What the bars show, and at which threshold.
      evidence: The test behind the decision.
    """

    title: str
    answer: Answer
    badge: str
    figure: Markup
    note: str
    evidence: str


def card(q: Quantity, key: str) -> Card:
    """The card of a comparison.

    Args:
      q: The rates of the groups, and the decision.
      key: Begins the ids of the figure; unique on the page.
    """
    title = f"{q.heading} by {q.claim.across}" if q.claim.across else q.heading
    svg = plots.bars(key, title, q.measures, overall=q.overall)
    answer = q.claim.answer
    interval = next((f"; line: {level(m)}" for m in q.measures if m.interval), "")
    note = f"{q.note}{interval}"
    return Card(q.heading, answer, BADGES[answer], Markup(svg), note, evidence(q.claim))

"""What a study is, as data: its runs, who starts from whom, its table, and the claims it tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Column:
    """A column of a study's table: one measure of `results.json`.

    Attributes:
      title: The heading, the paper's own where a paper's table is repeated.
      measure: The measure's name: "accuracy".
      group: The group it is about: {"race": "African"}; {} is everyone.
      across: The attribute a summary runs over: "race"; "" for a rate.
      at: The operating point: "FMR 1e-3"; "" where there is none.
      digits: Decimals that are shown.
      over_others: Whether the group's number is divided by the unweighted mean of the same number
        of the attribute's other groups; `group` then names one attribute.
    """

    title: str
    measure: str
    group: Mapping[str, str] = field(default_factory=dict)
    across: str = ""
    at: str = ""
    digits: int = 2
    over_others: bool = False


@dataclass(frozen=True)
class Noise:
    """Noise on a row's embeddings, just enough to make it no more accurate than another row.

    Rates that are more even because a model tells people apart less well are as even with noise.

    Attributes:
      of: The row whose embeddings get the noise.
      like: The row whose mean accuracy over the groups is reached, seed by seed.
    """

    of: str
    like: str


@dataclass(frozen=True)
class Row:
    """A row of a study's table: one recipe, trained once a seed.

    Attributes:
      name: The heading, unique.
      changes: What differs from the study's config: dotted keys and their values, which may be
        whole sections.
      needs: Config keys that take the folder of another row's run with the same seed, and that
        row's name: {"init.run": "classifier"}. That row comes first.
      published: The paper's numbers by column title, as printed there.
      shown: Whether the table has it; a run that others only start from may be left out.
      noise: Makes the row a control that is not trained: another row's embeddings with noise.
      control: Row with the same network that is trained from labels alone; this one counts as
        trained only where its lowest validation loss is at most 1.5 times that row's.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    shown: bool = True
    noise: Noise | None = None
    control: str = ""


@dataclass(frozen=True)
class Claim:
    """Something a paper says of its table, to be tested here.

    Attributes:
      text: In words; unique.
      row: The row that is said to be better.
      than: The row that it is compared with.
      column: The title of the column it is about.
      direction: Whether the number of `row` is said to be lower or higher.
      margin: How much it may be on the other side, 0 or more, in the column's printed unit: with 2,
        "higher" says that `row` is less than 2 below `than` (non-inferiority).
      family: Claims of one family are read together, and adjusted for their number together.
      descriptive: Whether the difference and its interval are printed without a verdict. A study
        has one primary claim, named before its runs; the others are descriptive.
    """

    text: str
    row: str
    than: str
    column: str
    direction: Literal["lower", "higher"]
    margin: float = 0.0
    family: str = ""
    descriptive: bool = False

    @property
    def bound(self) -> float:
        """The difference, `row` minus `than`, on whose far side the claim lies."""
        return self.margin if self.direction == "lower" else -self.margin


@dataclass(frozen=True)
class Spread:
    """How far the difference of two rows moves by chance, known from earlier runs.

    Attributes:
      seeds: Standard deviation over trainings of the difference of two runs with the same seed, in
        the column's printed unit.
      people: Standard deviation of the difference over resamples of the test's people, above 0.
      source: The runs that it is from.
    """

    seeds: float
    people: float
    source: str


@dataclass(frozen=True)
class Floor:
    """How much worse than a reference a row may be for its claims to be tested.

    A row that is worse by more may owe what else is better about it to that alone.

    Attributes:
      column: Title of a column of which more is better.
      than: The row of reference.
      margin: How much less is allowed, in the column's printed unit.
    """

    column: str
    than: str
    margin: float


@dataclass(frozen=True)
class Thesis:
    """What a paper claims as a whole, put together from claims that are tested one by one.

    It is contradicted where any of the named claims is; it holds where none is and all of
    `must_hold` hold; else it is inconclusive.

    Attributes:
      text: In words.
      must_hold: Texts of claims that must hold, every one.
      must_not_fail: Texts of claims of which none may be contradicted.
      holds: What to say where it holds.
      contradicted: What to say where it is contradicted.
      inconclusive: What to say where it is neither.
    """

    text: str
    must_hold: tuple[str, ...]
    must_not_fail: tuple[str, ...]
    holds: str
    contradicted: str
    inconclusive: str


@dataclass(frozen=True)
class Study:
    """Runs, and the table that they fill.

    Attributes:
      title: The page's heading.
      source: Where the published numbers are from; "" where there are none.
      rows: In the table's order.
      columns: In the table's order.
      claims: What is tested.
      thesis: What they amount to, or None.
      cited: Rows of the source that are not trained here: their numbers by column title, as printed
        there, under their names.
      similar: Pairs of rows whose runs' features are compared, seed by seed; both save them
        (`method.save_features`).
      seeds: Every row is trained once with each.
      resamples: Resamples of the test's people: 200 know a deviation to 5 %, which the tests
        allow for.
      notes: Sentences for the reader: what differs from the paper.
      trade_off: Titles of two columns that a plot sets against each other: the first is better the
        higher, the second the lower. None draws no plot.
      baseline: Row that the costs of the others are given relative to; "" shows no costs.
      facts: What stands beside the costs of a row, by row and heading: {"GABN": {"labels": "yes"}}.
      spreads: Spread of a difference by column title, for the forecast of what the study can find.
      floor: What a row must reach for its claims to be tested, or None.
      folds: Whether the seeds are folds of one data set, so that every image is tested by one of
        them: a number is then that of the predictions of all folds together.
    """

    title: str
    source: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    claims: tuple[Claim, ...] = ()
    thesis: Thesis | None = None
    cited: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    similar: tuple[tuple[str, str], ...] = ()
    seeds: tuple[int, ...] = (0,)
    resamples: int = 200
    notes: tuple[str, ...] = ()
    trade_off: tuple[str, str] | None = None
    baseline: str = ""
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    floor: Floor | None = None
    folds: bool = False

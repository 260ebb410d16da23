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
    """

    title: str
    measure: str
    group: Mapping[str, str] = field(default_factory=dict)
    across: str = ""
    at: str = ""


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
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    shown: bool = True


@dataclass(frozen=True)
class Claim:
    """Something a paper says of its table, to be tested here.

    Attributes:
      text: In words.
      row: The row that is said to be better.
      than: The row that it is compared with.
      column: The title of the column it is about.
      direction: Whether the number of `row` is said to be lower or higher.
    """

    text: str
    row: str
    than: str
    column: str
    direction: Literal["lower", "higher"]


@dataclass(frozen=True)
class Study:
    """Runs, and the table that they fill.

    Attributes:
      title: The page's heading.
      source: Where the published numbers are from; "" where there are none.
      rows: In the table's order.
      columns: In the table's order.
      claims: What is tested.
      seeds: Every row is trained once with each.
      resamples: Of the test's people, for the claims.
      notes: Sentences for the reader: what differs from the paper.
    """

    title: str
    source: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    claims: tuple[Claim, ...] = ()
    seeds: tuple[int, ...] = (0,)
    resamples: int = 200
    notes: tuple[str, ...] = ()

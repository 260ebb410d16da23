"""Numbers with their provenance: the schema of `results.json`, tables, reports and audits."""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fairjax.core.files import read_json, write_whole

SCHEMA_VERSION = "1.1"
FEW = 30  # errors below which a rate is not known to within 30 % (rule of 30, ISO/IEC 19795-1)


@dataclass(frozen=True)
class Measure:
    """One number, and what a reviewer would ask about it.

    Attributes:
      name: What was measured, snake_case: `gender_fpr`, `age_mae`.
      value: The number; rates are fractions in [0, 1]. None where it is undefined; `note` says why.
      unit: "fraction", "years", "ratio" or "count".
      n: How many examples (or pairs) the value was computed over.
      group: The group it is about, {"race": "White"}; {} is everyone. A gap between groups
        names the attribute it runs over in `across`.
      across: The attribute whose groups a summary runs over ("race"), or "".
      interval: (low, high), or None where there is none.
      level: Nominal coverage of the interval.
      method: How the interval was made: "cluster bootstrap, percentile, 2000 resamples".
      n_clusters: Independent units behind n (duplicate groups or subjects).
      n_errors: The errors counted, for a rate; None otherwise.
      ddof: Delta degrees of freedom of a standard deviation; None otherwise.
      rule: The decision rule or definition that a reader needs: "positive = age >= 30".
      note: Anything that limits the number.
      at: The operating point it was taken at: "FMR 1e-3", "threshold 0.31"; "" where there is none.
      threshold: The score from which on a pair is accepted there; of a system in
        `protocol["distances"]` the distance up to which it is.
      threshold_source: Where that threshold comes from: "all non-mated pairs", "given", a file.
      system: Which of several audited systems it is about; "" where there is one.
    """

    name: str
    value: float | None
    unit: str
    n: int
    group: Mapping[str, str] = field(default_factory=dict)
    across: str = ""
    interval: tuple[float, float] | None = None
    level: float | None = None
    method: str = ""
    n_clusters: int | None = None
    n_errors: int | None = None
    ddof: int | None = None
    rule: str = ""
    note: str = ""
    at: str = ""
    threshold: float | None = None
    threshold_source: str = ""
    system: str = ""

    @property
    def is_thin(self) -> bool:
        """Whether too few errors (or, where errors aren't counted, examples) back the number."""
        return (self.n if self.n_errors is None else self.n_errors) < FEW


@dataclass(frozen=True)
class Results:
    """Everything one evaluation says.

    Attributes:
      kind: "attributes" (classifiers and regressors of attributes) or "verification".
      protocol: Name and every choice that changes a number.
      measures: The numbers.
      arrays: Plot data by name, JSON-ready: confusion matrices, calibration bins, curves.
      limits: Sentences for the reader: who assigned labels, what the data cannot show.
      provenance: Config, code version, data hash, checkpoint step, devices.
    """

    kind: str
    protocol: dict[str, Any]
    measures: Sequence[Measure]
    arrays: dict[str, Any]
    limits: Sequence[str]
    provenance: dict[str, Any]

    def get(
        self, name: str, *, across: str = "", at: str = "", system: str = "", **group: str
    ) -> Measure:
        """The one measure that is all this; KeyError names what is missing."""
        measure = self.find(name, group, across=across, at=at, system=system)
        if measure is not None:
            return measure
        where = "".join(f", {word} {text!r}" for word, text in (("at", at), ("of", system)) if text)
        raise KeyError(f"no measure {name!r} for group {group} across {across!r}{where}")

    def find(
        self,
        name: str,
        group: Mapping[str, str] | None = None,
        *,
        across: str = "",
        at: str = "",
        system: str = "",
    ) -> Measure | None:
        """The first measure that is all this, or None."""
        return self._index.get((name, across, at, system, frozenset((group or {}).items())))

    @functools.cached_property
    def _index(self) -> dict[tuple[str, str, str, str, frozenset[tuple[str, str]]], Measure]:
        by_key: dict[tuple[str, str, str, str, frozenset[tuple[str, str]]], Measure] = {}
        for m in self.measures:
            by_key.setdefault((m.name, m.across, m.at, m.system, frozenset(m.group.items())), m)
        return by_key


@dataclass(frozen=True)
class Table:
    """A table ready to print: every cell is text, numbers are already rounded.

    Attributes:
      title: What it shows.
      columns: Headings.
      rows: Text cells, one list a row, the first cell being the row's name.
      note: The rules behind the columns.
      drawn: Whether the report shows the same numbers by itself, and leaves this table out.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    drawn: bool = False


def save_results(path: Path, results: Results) -> None:
    """Writes `results.json`, whole or not at all."""
    text = json.dumps(
        {"schema_version": SCHEMA_VERSION, **asdict(results)}, indent=1, allow_nan=False
    )
    write_whole(path, text + "\n")


def load_results(path: Path) -> Results:
    """Reads `results.json`.

    Raises:
      ValueError: If the file is damaged, was written under another major schema version or lacks
        a field; one line.
      OSError: If it cannot be read.
    """
    tree = read_json(path)
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: not a results file: it holds a {type(tree).__name__}.")
    version = str(tree.pop("schema_version", "none"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ValueError(
            f"{path}: schema_version is {version}; this FairJAX reads {SCHEMA_VERSION}."
        )
    try:
        json.dumps(tree, allow_nan=False)  # Python reads NaN and infinities, which JSON has not
        results = Results(measures=[_measure(m) for m in tree.pop("measures")], **tree)
        for name, kind in (("protocol", dict), ("arrays", dict), ("provenance", dict)):
            if not isinstance(getattr(results, name), kind):
                raise TypeError(f"{name} is no object")
        return results
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a results file of schema {SCHEMA_VERSION}: {error}."
        ) from error


def _measure(kept: Mapping[str, Any]) -> Measure:
    """A measure as JSON holds it; TypeError or ValueError where it is none."""
    low, high = kept["interval"] or (0.0, 0.0)
    numbers = (low, high, kept["value"] or 0.0, kept.get("threshold") or 0.0)
    counts = (kept["n"], kept.get("n_clusters") or 0, kept.get("n_errors") or 0)
    if not all(isinstance(number, int | float) for number in numbers) or not all(
        isinstance(count, int) for count in counts
    ):
        raise TypeError(f"{kept['name']!r} has a text where a number belongs")
    if not isinstance(kept.get("group", {}), dict):
        raise TypeError(f"{kept['name']!r} has a group that is no object")
    return Measure(**{**kept, "interval": (low, high) if kept["interval"] else None})


def finite_or_none(value: float) -> float | None:
    """A float for JSON: NaN and infinities become None, the schema's 'undefined'."""
    return float(value) if math.isfinite(value) else None

"""A study that was stored: its `study.json` read back into numbers, and compared with a new run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from fairjax.config.study import Claim, Spread, Study
from fairjax.run.workdir import WorkdirError, read_checked
from fairjax.study.learned import Training
from fairjax.study.numbers import LEVEL, Cell, ClaimResult, Conclusion
from fairjax.study.summary import study_of, thesis_of

_SAME = 1e-9  # relative: numbers without an interval must be equal


class Stored(NamedTuple):
    """What `study.json` says.

    Attributes:
      study: The plan.
      cells: The table's cells by row and column.
      claims: Tested and described claims, in the plan's order.
      conclusion: Verdict on the whole, or None.
      training: The trainings of each row; empty in older files.
      not_converged: Why rows have not learned.
      runs: State of each run.
    """

    study: Study
    cells: dict[str, dict[str, Cell]]
    claims: list[ClaimResult]
    conclusion: Conclusion | None
    training: dict[str, list[Training]]
    not_converged: dict[str, str]
    runs: list[dict[str, Any]]


def read_stored(path: Path) -> Stored:
    """Reads a `study.json`, or that of a folder.

    Raises:
      WorkdirError: If it is damaged, or no finished study's.
    """
    kept = read_checked(path / "study.json" if path.is_dir() else path)
    study = study_of(kept)
    try:
        return Stored(
            study,
            {
                row["name"]: {title: _cell(cell) for title, cell in row["cells"].items()}
                for row in kept.get("rows", [])
            },
            [_claim(claim) for claim in kept.get("claims", [])],
            _conclusion(kept.get("verdict")),
            {
                name: [_training(one) for one in several]
                for name, several in kept.get("training", {}).items()
            },
            kept.get("not_converged", {}),
            kept.get("runs", []),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise WorkdirError(
            f"{path} holds a damaged study ({error}); run `fairjax report` on its folder again."
        ) from None


def _cell(kept: Mapping[str, Any]) -> Cell:
    interval = kept["interval"]
    return Cell(
        tuple(kept["values"]),
        kept["mean"],
        kept["std"],
        tuple(interval) if interval else None,
        kept["method"],
        kept["published"],
    )


def _training(kept: Mapping[str, Any]) -> Training:
    """A training; what an older file does not say of it is None."""
    return Training(**{name: kept.get(name) for name in Training._fields})


def _claim(kept: Mapping[str, Any]) -> ClaimResult:
    interval = kept["interval"]
    fields = {name: kept[name] for name in ClaimResult.__dataclass_fields__ if name != "spread"}
    spread = kept.get("spread")  # which older files lack
    return ClaimResult(
        **{
            **fields,
            "claim": Claim(**kept["claim"]),
            "interval": tuple(interval) if interval else None,
            "spread": tuple(spread) if spread else None,
        }
    )


def spreads_of(stored: Stored, source: str) -> dict[str, Spread]:
    """How far differences moved by chance, by column: the largest of the column's claims.

    A study to come forecasts with them what it can find, as its `Study.spreads`.

    Args:
      stored: A finished study.
      source: Name of the study, for the reader.
    """
    spreads: dict[str, Spread] = {}
    for outcome in stored.claims:
        if outcome.spread is None or not outcome.spread[1]:
            continue
        title, (seeds, people) = outcome.claim.column, outcome.spread
        before = spreads.get(title, Spread(0.0, 0.0, ""))
        spreads[title] = Spread(max(seeds, before.seeds), max(people, before.people), source)
    return spreads


def _conclusion(kept: Mapping[str, Any] | None) -> Conclusion | None:
    thesis = thesis_of(kept["thesis"]) if kept else None
    if kept is None or thesis is None:
        return None
    return Conclusion(
        thesis,
        kept["verdict"],
        tuple(kept["because"]),
        kept["must_hold"],
        kept["must_not_fail"],
    )


class Difference(NamedTuple):
    """Something in which a new run of a study differs from the stored one.

    Attributes:
      what: The row and column, the claim, or the row.
      stored: What the stored study says.
      new: What the new one says.
    """

    what: str
    stored: str
    new: str


def differences(new: Stored, stored: Stored) -> list[Difference]:
    """In what a new run contradicts a stored study.

    Two numbers agree where they lie no further apart than the half widths of their intervals,
    added in quadrature and widened for the number of cells, so that chance alone makes any cell
    differ one time in twenty. Numbers without intervals must be equal. Verdicts must be the same,
    and what the stored study has must be there.

    Args:
      new: The new run; what it has besides is not looked at.
      stored: The stored study.
    """
    differing = list(_of_cells(new, stored))
    verdicts = {outcome.claim.text: outcome.verdict for outcome in new.claims}
    for outcome in stored.claims:
        theirs = verdicts.get(outcome.claim.text, "missing")
        if theirs != outcome.verdict:
            differing.append(Difference(outcome.claim.text, outcome.verdict, theirs))
    for name in sorted(stored.not_converged.keys() ^ new.not_converged.keys()):
        words = (
            "not converged" if name in one.not_converged else "learned" for one in (stored, new)
        )
        differing.append(Difference(name, *words))
    return differing


def _of_cells(new: Stored, stored: Stored) -> Iterator[Difference]:
    cells = sum(len(line) for line in stored.cells.values())
    widened = float(
        stats.norm.isf((1 - LEVEL) / 2 / max(cells, 1)) / stats.norm.isf((1 - LEVEL) / 2)
    )
    for name, line in stored.cells.items():
        for title, cell in line.items():
            other = new.cells.get(name, {}).get(title)
            if other is None:
                yield Difference(f"{name}, {title}", _shown(cell), "missing")
            elif not _agree(cell, other, widened):
                yield Difference(f"{name}, {title}", _shown(cell), _shown(other))


def _agree(one: Cell, other: Cell, widened: float) -> bool:
    if one.mean is None or other.mean is None:
        return one.mean is other.mean
    halves = [(cell.interval[1] - cell.interval[0]) / 2 for cell in (one, other) if cell.interval]
    reach = widened * sum(half**2 for half in halves) ** 0.5
    return abs(one.mean - other.mean) <= max(reach, _SAME * abs(one.mean))


def _shown(cell: Cell) -> str:
    if cell.mean is None:
        return "–"
    span = f" [{cell.interval[0]:.4g}, {cell.interval[1]:.4g}]" if cell.interval else ""
    return f"{cell.mean:.4g}{span}"

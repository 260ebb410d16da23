"""A finished audit in Python: its numbers, tables, plots and report."""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fairjax.core.results import Measure, Results


@dataclass(frozen=True, repr=False)
class Audit:
    """What an audit found.

    Attributes:
      results: Every number with its provenance, as in results.json.
      title: Heading of the report.
    """

    results: "Results"
    title: str = "Audit"

    @property
    def verdict(self) -> str:
        """The verdict in a few words, as the report's first screen says it."""
        from fairjax.report.summary import summarise

        summary = summarise(self.results)
        return summary.headline or summary.scope

    def __str__(self) -> str:
        """Notes, verdict and reasons, and what changed between systems, as the command prints."""
        from fairjax.audit import paired
        from fairjax.report.summary import summarise

        summary = summarise(self.results)
        notes = [f"Note: {limit}" for limit in self.results.limits]
        verdict = [*(summary.text or [summary.scope]), *summary.tolerances]
        return "\n".join([*notes, *verdict, *paired.sentences(self.results)])

    __repr__ = __str__

    def measure(
        self,
        name: str,
        *,
        group: str | Sequence[str] | Mapping[str, str] | None = None,
        at: str | None = None,
        system: str | None = None,
    ) -> "Measure":
        """One number with its interval, count and rule.

        Args:
          name: Name of the measure: "fmr", "fnmr", "fmr_max_over_min"; of an attribute model with
            or without the label in front: "gender_fpr" or "fpr".
          group: A group's name; two names for pairs of two groups; None is everyone, or the gap
            over all groups.
          at: Operating point, "FMR 1e-3"; None is the first one that has the number.
          system: Name of one of several systems; None where there is one.

        Raises:
          KeyError: If there is no such number, naming what there is.
        """
        candidates = self._named(name)
        for what, wanted, field in (("system", system, "system"), ("point", at, "at")):
            have = list(dict.fromkeys(getattr(m, field) for m in candidates))
            if wanted is None and what == "system" and len(have) > 1:
                raise KeyError(
                    f"{name!r} is there of {len(have)} systems; say system= one of {have}."
                )
            if wanted is not None and wanted not in have:
                raise KeyError(f"no {name!r} with {field}={wanted!r}; there is {have}.")
            candidates = [m for m in candidates if wanted in (None, getattr(m, field))]
        matching = [m for m in candidates if _is_about(m, group)]
        if not matching:
            about = list(
                dict.fromkeys(" and ".join(m.group.values()) or "everyone" for m in candidates)
            )
            raise KeyError(f"no {name!r} of group {group!r}; there is {about}.")
        return matching[0]

    def _named(self, name: str) -> "list[Measure]":
        """The measures of a name, of which there is at least one."""
        prefix = str(self.results.protocol.get("attribute", ""))
        names = [name, f"{prefix}_{name}"]
        candidates = [m for m in self.results.measures if m.name in names]
        if not candidates:
            known = list(dict.fromkeys(m.name for m in self.results.measures))
            short = [word.removeprefix(f"{prefix}_") for word in known]
            close = difflib.get_close_matches(name, dict.fromkeys([*known, *short]), 3)
            more = f" and {len(known) - 10} more, see .table()" if len(known) > 10 else ""
            hint = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else f"there is {known[:10]}{more}."
            )
            raise KeyError(f"no measure {name!r}; {hint}")
        return candidates

    def table(self, name: str = "") -> Any:
        """Every number, one row each, with the columns of measures.csv.

        Args:
          name: Keeps the rows of one measure, named as for `measure`; "" keeps all.

        Returns:
          A pandas DataFrame, or a list of dicts where pandas is not installed.

        Raises:
          KeyError: If there is no such measure, naming what there is.
        """
        from fairjax.report.csv_tables import measure_rows

        names = {m.name for m in self._named(name)} if name else None
        header, *lines = measure_rows(self.results)
        rows = [dict(zip(header, line, strict=True)) for line in lines]
        rows = [row for row in rows if names is None or row["name"] in names]
        try:
            import pandas
        except ModuleNotFoundError:
            return rows
        return pandas.DataFrame(rows, columns=header)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Writes the report.

        Args:
          path: An .html file; or a folder, which gets all that `fairjax audit --out` writes:
            results.json, report.html, model_card.md and every table as CSV.

        Returns:
          The path of the page.
        """
        from fairjax.audit import outputs
        from fairjax.report import write_report

        path = Path(path)
        if path.suffix.lower() in (".html", ".htm"):
            path.parent.mkdir(parents=True, exist_ok=True)
            tables = outputs.tables(self.results)
            write_report(path, title=self.title, results=self.results, tables=tables)
            return path
        outputs.write(path, self.results, title=self.title)
        return path / "report.html"

    def plot_rates(
        self,
        name: str = "",
        *,
        at: str | None = None,
        system: str | None = None,
        ax: "Axes | None" = None,
    ) -> "Axes":
        """One number of every group with its interval.

        Args:
          name: Name of the measure; "" is "fmr" for pairs, and the share of images told right (or
            the mean error) for an attribute model.
          at: Operating point; None is the first one.
          system: Name of one of several systems.
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If no group has the number.
        """
        from fairjax.report.axes import draw_rates

        if not name:
            name = "fmr" if self.results.kind == "verification" else self._first_of_groups()
        everyone = self.measure(name, at=at, system=system)
        groups = [
            m
            for m in self.results.measures
            if (m.name, m.at, m.system, m.across)
            == (everyone.name, everyone.at, everyone.system, "")
            and len(m.group) == 1
        ]
        return draw_rates(groups, everyone, ax)

    def plot_det(self, *, system: str | None = None, ax: "Axes | None" = None) -> "Axes":
        """False non-match rate against false match rate of every group, both on a probit scale.

        Args:
          system: Name of one of several systems.
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If the results hold no such curves, as those of decisions or predictions.
        """
        from fairjax.report.axes import draw_det

        return draw_det(self._array("det", system)["groups"], ax)

    def plot_scores(
        self, *, group: str | None = None, system: str | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Histograms of mated and of non-mated scores, of everyone or of one group.

        Args:
          group: A group's name; None is everyone within their own groups.
          system: Name of one of several systems.
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If there are no scores, or no such group.
        """
        from fairjax.report.axes import draw_scores

        bins = self._array("histograms", system)
        if group is not None and group not in bins["mated"]:
            raise KeyError(f"no scores of group {group!r}; there is {list(bins['mated'])}.")
        return draw_scores(bins, group, ax)

    def plot_calibration(self, *, ax: "Axes | None" = None) -> "Axes":
        """How often predictions are right against how sure they are, for every group.

        Args:
          ax: Axes to draw on; None makes a figure.

        Raises:
          KeyError: If the predictions have no probabilities.
        """
        from fairjax.report.axes import draw_calibration

        return draw_calibration(next(iter(self._array("calibration", None).values())), ax)

    def _repr_html_(self) -> str:
        """The verdict and a bar for each group, for a notebook."""
        from fairjax.report.notebook import notebook_html

        return notebook_html(self.results, self.title)

    def _first_of_groups(self) -> str:
        """The first measure that groups have."""
        return next(m.name for m in self.results.measures if m.group and not m.across)

    def _array(self, name: str, system: str | None) -> Any:
        """Plot data of one system."""
        systems = self.results.arrays.get("systems") or {"": self.results.arrays}
        if system is None and len(systems) > 1:
            raise KeyError(f"there are {len(systems)} systems; say system= one of {list(systems)}.")
        plots = systems.get(next(iter(systems)) if system is None else system)
        if plots is None:
            raise KeyError(f"no system {system!r}; there is {list(systems)}.")
        if not plots.get(name):
            raise KeyError(
                f"these results hold no {name}; they have {[k for k in plots if plots[k]]}."
            )
        return plots[name]


def _is_about(m: "Measure", group: str | Sequence[str] | Mapping[str, str] | None) -> bool:
    """Whether a measure is of this group; of everyone or of a gap for None."""
    if group is None:
        return bool(m.across) or not m.group
    if isinstance(group, Mapping):
        return dict(m.group) == dict(group)
    names = [group] if isinstance(group, str) else list(group)
    return not m.across and sorted(m.group.values()) == sorted(map(str, names))

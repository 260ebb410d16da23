"""A verification audit as tables of text, in the papers' layouts where papers have one.

`published` puts a paper's rows beside ours; they are kept in
`fairjax.protocols.published`, as printed.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from fairjax.core.results import FEW, Measure, Results, Table
from fairjax.core.verdict import PLANNER_NOTE
from fairjax.protocols.cells import UNDEFINED, cell, p_text, plain
from fairjax.protocols.published import ACCURACY, BIAS, RACES
from fairjax.protocols.verification.accuracy import VARIANTS

Published = Literal["", "balancedface", "globalface"]
_GAPS = ("difference", "max_over_min", "max_over_geomean", "gini")
_FINE = {"percent": ".3g", "ratio": ".4g"}
_JOINT = ("fairness_discrepancy_rate", "inequity_rate", "garbe", "worst_error_rate_multiplier")


def tables(results: Results, *, published: Published = "") -> list[Table]:
    """The tables of one audit; those that it has no numbers for are left out.

    Fractions are in percent with their interval in brackets; `*` marks a number with fewer than 30
    errors behind it, an en dash what is undefined.

    Args:
      results: From `measure_comparisons` or a benchmark's protocol, or read from a file.
      published: Which training set's published rows to show beside ours, on RFW; "" for none.
    """
    all_tables = []
    for system in results.protocol["systems"]:
        one = _One(results, system)
        arrays = results.arrays.get("systems", {}).get(system, results.arrays)
        all_tables += [
            one.accuracies(published),
            one.rates(),
            one.gaps(),
            one.over_all_pairs(),
            one.bias(published),
            _planner(arrays.get("planner", ()), one.title),
        ]
    return [table for table in all_tables if table.rows]


def _planner(plans: Sequence[Mapping[str, Any]], title: str) -> Table:
    """How many people a group needs before a gap of a given ratio would show."""
    ratios = list(dict.fromkeys(ratio for plan in plans for ratio in plan["people"]))
    rows = [
        [
            plan["at"],
            plan["rate"].upper(),
            f"{100 * plan['value']:.3g}",
            f"{plan['people_now']:,}",
            *(f"{plan['people'][r]:,}" if r in plan["people"] else UNDEFINED for r in ratios),
        ]
        for plan in plans
    ]
    columns = [
        "at",
        "rate",
        "observed, %",
        "people in the smallest group now",
        *(f"for a ratio of {ratio}" for ratio in ratios),
    ]
    return Table(f"{title}People needed to resolve a gap", columns, rows, PLANNER_NOTE, drawn=True)


class _One:
    """One system's numbers, by name."""

    def __init__(self, results: Results, system: str) -> None:
        self.protocol = results.protocol
        self.attribute: str = results.protocol["attribute"]
        self.groups: Sequence[str] = results.protocol["groups"]
        self.title = f"{system}: " if system else ""
        own = [m for m in results.measures if m.system == system]
        self.find = partial(results.find, system=system)
        self.degrees = [
            m for m in own if m.name == "fmr_bias_degree" and m.across == self.attribute
        ]
        points = dict.fromkeys(m.at for m in own if m.at)
        self.points = [at for at in points if not at.endswith(("all pairs", "within groups"))]
        self.pooled = [at for at in points if at not in self.points]
        self.brackets = f"Brackets: {100 * results.protocol['level']:g} % interval, "
        self.brackets += f"{results.protocol['interval']}. * = fewer than {FEW} errors."

    def get(
        self, name: str, at: str = "", *, group: str = "", across: bool = False
    ) -> Measure | None:
        """The measure of everyone, of a group, or across groups; None where there is none."""
        place = {self.attribute: group} if group else {}
        return self.find(name, place, at=at, across=self.attribute if across else "")

    def accuracies(self, published: Published) -> Table:
        """The layout of CIFP's Tables 3 and 4."""
        columns = ["method", *self.groups, "Avg", "Std (ddof 1)", "SER", "worst", "pairs"]
        if not self.groups:
            columns = ["method", "everyone", "pairs"]
        rows, notes = [], []
        variants: Sequence[str] = self.protocol["accuracies"]
        for index, variant in enumerate(variants):
            name = f"accuracy_{variant}" if index else "accuracy"
            of_groups = [self.get(name, group=group) for group in self.groups]
            shown = of_groups or [self.get(name)]
            known = [m for m in shown if m is not None]
            if not known:
                continue
            spread = [self.get(f"{name}_{s}", across=True) for s in ("mean", "std", "ser")]
            lowest = min(known, key=lambda m: 2.0 if m.value is None else m.value)
            rows.append(
                [
                    f"here, {variant}",
                    *(cell(m, percent=".2f") for m in shown),
                    *(cell(m, percent=".2f") for m in spread if self.groups),
                    *lowest.group.values(),
                    f"{sum(m.n for m in known):,}",
                ]
            )
            rule = VARIANTS[variant].rule
            if self.protocol.get("scorer") == "mls":
                rule = rule.replace("cosine", "score", 1)
            notes.append(f"{variant}: {rule}")
        if published and tuple(self.groups) == RACES:
            table = ACCURACY[published]
            for row in table.rows:
                errors = [100 - a for a in row.accuracies]
                rows.append(
                    [
                        row.method + (" †" if row.note else ""),
                        *(f"{a:.2f}" for a in row.accuracies),
                        f"{row.average:.2f}",
                        f"{row.std:.2f}",
                        f"{max(errors) / min(errors):.2f}",
                        RACES[errors.index(max(errors))],
                        "24,000",
                    ]
                )
            wrong = [f"{row.method}: {row.note}" for row in table.rows if row.note]
            notes.append(
                f"Other rows: {table.title}; {table.source}, as printed. † {'; '.join(wrong)}"
            )
        title = (
            f"{self.title}Accuracy by {self.attribute}"
            if self.groups
            else (f"{self.title}Accuracy")
        )
        return Table(title, columns, rows, ". ".join([self.brackets[:-1], *notes]) + ".")

    def rates(self) -> Table:
        """Error rates of everyone and each group at every operating point of the list."""
        rows = []
        for at in self.points:
            for group in ["", *self.groups]:
                fmr, fnmr = (self.get(name, at, group=group) for name in ("fmr", "fnmr"))
                if fmr is None or fnmr is None:
                    continue
                threshold = UNDEFINED if fmr.threshold is None else f"{fmr.threshold:.4f}"
                rows.append(
                    [
                        at,
                        group or "everyone",
                        threshold,
                        cell(fmr, percent=".3g"),
                        f"{fmr.n:,}",
                        cell(fnmr, percent=".3g"),
                        f"{fnmr.n:,}",
                    ]
                )
        columns = [
            "at",
            self.attribute or "group",
            "threshold",
            "FMR, %",
            "non-mated",
            "FNMR, %",
            "mated",
        ]
        source, rule = (self.protocol[f"threshold_{name}"] for name in ("source", "rule"))
        origin = f"Threshold from {source}: {rule}. "
        if rule == "given":
            origin = "Thresholds as given. "
        elif source == "given":
            origin = f"{rule[0].upper()}{rule[1:]}. "
        elif self.protocol.get("thresholds"):
            origin = f"Threshold at an FMR from {source}: {rule}. Other thresholds as given. "
        note = f"{origin}{self.brackets}"
        title = f"{self.title}Error rates at one threshold"
        return Table(title, columns, rows, note, drawn=True)

    def gaps(self) -> Table:
        """Gaps across groups beside what equal groups would stay below."""
        rows = []
        names = [f"{rate}_{gap}" for rate in ("fmr", "fnmr") for gap in ("equality", *_GAPS)]
        for at in self.points:
            for name in [*names, *_JOINT]:
                for full in (name, f"{name}_smoothed"):
                    m = self.get(full, at, across=True)
                    floor, p, adjusted = (
                        self.get(f"{full}_{suffix}", at, across=True)
                        for suffix in ("noise_floor", "p_value", self._adjusted)
                    )
                    if m is None and p is None:
                        continue
                    ratio = self.get(f"{name.split('_')[0]}_detectable_ratio", at, across=True)
                    rows.append(
                        [
                            at,
                            full.replace("_", " "),
                            cell(m, **_FINE),
                            UNDEFINED
                            if m is None or floor is None
                            else plain(floor.value, m.unit, **_FINE),
                            *(p_text(None if x is None else x.value) for x in (p, adjusted)),
                            UNDEFINED if ratio is None else plain(ratio.value, "ratio"),
                        ]
                    )
        columns = ["at", "gap", "value", "noise floor", "p", "p adjusted", "ratio to be found"]
        note = (
            "Fractions in percent. Noise floor: what equal groups reach by chance, "
            f"{self.protocol['noise_floor']}. The rows 'equality' are the tests that decide; they "
            "are adjusted for each other, the rest for all tests of this table's system: "
            f"{self.protocol['adjusted'].replace('_', '-')}. Ratio to be found: the smallest ratio "
            "of one group's rate to the others' that these data show with 80 % power."
        )
        title = f"{self.title}Gaps across {self.attribute}"
        return Table(title, columns, rows, note, drawn=True)

    @property
    def _adjusted(self) -> str:
        return "p_value_holm" if self.protocol["adjusted"] == "holm" else "p_value_bh"

    def over_all_pairs(self) -> Table:
        """True match rates at overall FMRs over all pairs: the layout of CIFP's successor.

        Of the mated pairs over which the bias degree is taken: all, or the list's.
        """
        listed = self.protocol.get("bias_pairs") == "protocol"
        suffixes = () if listed else ("tmr_mean", "tmr_std")
        rows = []
        for at in self.pooled:
            shown = [self.get("tmr", at, group=group) for group in self.groups]
            if not any(shown):
                continue
            fmr = self.get("fmr", at)
            spread = [self.get(name, at, across=True) for name in suffixes]
            accepted = UNDEFINED if fmr is None or fmr.n_errors is None else f"{fmr.n_errors:,}"
            rows.append([at, *(cell(m, percent=".2f") for m in [*shown, *spread]), accepted])
        columns = [
            "at",
            *self.groups,
            *(("mean", "std (ddof 1)") if suffixes else ()),
            "false matches",
        ]
        whose = "the list's pairs" if listed else "all pairs of the images"
        note = f"True match rate, %, and false matches of {whose}."
        return Table(f"{self.title}At thresholds over all pairs", columns, rows, note)

    def bias(self, published: Published) -> Table:
        """The layout of CIFP's Tables 5 and 6."""
        by_point = {m.at: m for m in self.degrees}
        columns = ["method", *by_point]
        rows = [["here", *(cell(m) for m in by_point.values())]] if by_point else []
        note = f"{self.protocol.get('bias_rule', '')}. Thresholds: pool "
        note += f"{self.protocol.get('bias_pool', '')}; FMR of groups: "
        note += f"{self.protocol.get('bias_pairs', '')} pairs."
        table = BIAS.get(self.protocol["name"])
        if by_point and published == "balancedface" and table is not None:
            targets = dict(zip(self.protocol["bias_fmrs"], by_point, strict=False))
            for method, degrees in table.rows.items():
                rows.append(
                    [
                        method,
                        *(f"{degrees[t]:.2f}" if t in degrees else UNDEFINED for t in targets),
                    ]
                )
            note += f" Other rows: {table.source}, as printed; its definition is not printed."
        return Table(f"{self.title}Bias degree", columns, rows, note)

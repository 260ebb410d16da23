"""What an audit leaves behind: numbers, tables, a model card's section and a page."""

from collections.abc import Iterator
from pathlib import Path

from fairjax.report import write_report
from fairjax.report.audited import Audited, audited_systems
from fairjax.report.csv_tables import write_csv
from fairjax.report.model_card import model_card
from fairjax.report.wording import describe, digits, number, span
from fairjax.results import Measure, Results, Table, save_results

FILES = ("results.json", "report.html", "model_card.md", "measures.csv")
_UNDEFINED = "–"


def write(folder: Path, results: Results, *, title: str) -> None:
    """Writes `FILES` and one CSV a table into a folder, which is made if it is missing.

    Each file is whole or not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = tables(results)
    save_results(folder / "results.json", results)
    write_csv(folder, results, shown)
    card = folder / "model_card.md.partial"
    card.write_text(model_card(results, shown) + "\n", encoding="utf-8")
    card.replace(folder / "model_card.md")
    write_report(folder / "report.html", title=title, results=results, tables=shown)


def tables(results: Results) -> list[Table]:
    """What a terminal shows of a verification audit: a table a system and operating point."""
    found = [t for system in audited_systems(results) for t in _of_system(system, results)]
    return [table for table in found if table.rows]


def _of_system(system: Audited, results: Results) -> Iterator[Table]:
    attribute = system.attribute
    level = f"Brackets: {100 * results.protocol['level']:g} % interval. * = fewer than 30 errors."
    for at in system.points:
        threshold, source = system.thresholds.get(at, (None, ""))
        place = f"threshold {threshold:.6g} from {source}" if source else "no threshold"
        rows = []
        for name in [*system.groups, "everyone"]:
            fmr, fnmr = (_one(system, rate, at, name) for rate in ("fmr", "fnmr"))
            rows.append([name, _rate(fmr), _errors(fmr), _rate(fnmr), _errors(fnmr)])
        notes = {m.note for m in system.measures if m.at == at and m.value is None and m.note
                 and not m.across}  # fmt: skip
        yield Table(
            system.titled(f"Error rates by {attribute} at {at} ({place})"),
            [attribute, "FMR, %", "errors / non-mated", "FNMR, %", "errors / mated"],
            rows,
            " ".join([level, *(f"{_UNDEFINED}: {note}." for note in sorted(notes))]),
        )
        yield _gaps(system, at)
    variants = list(dict.fromkeys(
        m.name for m in system.measures if m.name.split("_")[0] == "accuracy" and not m.across
    ))  # fmt: skip
    if variants:
        yield _accuracies(system, variants)
    yield Table(
        system.titled("Verdicts"),
        ["summary", "at", "verdict", "words"],
        [
            [describe(v["measure"]), v["at"], v["verdict"], v["words"]]
            for v in system.arrays.get("verdicts", [])
        ],
        "Within or exceeds: the whole interval lies on that side of the tolerance.",
    )


def _gaps(system: Audited, at: str) -> Table:
    found = {m.name: m for m in system.summaries(at)}
    rows = []
    for name, m in found.items():
        if name.endswith(("_noise_floor", "_p_value", "_p_value_holm", "_p_value_bh")):
            continue
        floor = found.get(f"{name}_noise_floor")
        adjusted = found.get(f"{name}_p_value_holm") or found.get(f"{name}_p_value_bh")
        worst = ", ".join(m.group.values())
        rows.append([
            describe(name) + (f" ({worst})" if worst else ""), _rate(m),
            digits(floor.value, floor.unit) if floor else "",
            f"{adjusted.value:.4f}" if adjusted and adjusted.value is not None else "",
        ])  # fmt: skip
    return Table(
        system.titled(f"Gaps across {system.attribute} at {at}"),
        ["summary", "value", "noise floor", "p, adjusted"],
        rows,
        "Noise floor: what alike groups of these sizes stay below in 95 of 100 draws. Fractions "
        "and their differences in percent.",
    )


def _accuracies(system: Audited, variants: list[str]) -> Table:
    rows = [
        [name, *(_rate(_one(system, variant, "", name)) for variant in variants)]
        for name in system.groups
    ]
    for word in ("mean", "std", "ser", "difference"):
        cells = [system.summary(f"{variant}_{word}") for variant in variants]
        rows.append([f"{word} over groups" + (", ddof 1" if word == "std" else ""),
                     *map(_rate, cells)])  # fmt: skip
    rules = {}
    for variant in variants:
        own = system.by_group(variant)
        rules[variant] = own[0].rule if own else ""
    note = " ".join(f"{variant}: {rule}." for variant, rule in rules.items())
    return Table(system.titled("Accuracy, %"), [system.attribute, *variants], rows, note)


def _one(system: Audited, rate: str, at: str, group: str) -> Measure | None:
    if group == "everyone" and group not in system.groups:
        return system.everyone(rate, at)
    found = [m for m in system.by_group(rate, at) if m.group[system.attribute] == group]
    return found[0] if found else None


def _rate(m: Measure | None) -> str:
    if m is None or m.value is None:
        return _UNDEFINED
    text = digits(m.value, m.unit) + ("*" if m.n_errors is not None and m.is_thin else "")
    return text + (f" [{span(m.interval, m.unit)}]" if m.interval else "")


def _errors(m: Measure | None) -> str:
    return "" if m is None else f"{number(m.n_errors, 'count')} / {m.n:,}"

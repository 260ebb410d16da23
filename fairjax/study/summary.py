"""Numbers and files of a study, from the folders of its runs."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from absl import logging
from rich.console import Console

from fairjax.config.study import Claim, Column, Floor, Noise, Row, Spread, Study, Thesis
from fairjax.core.results import Results, Table, load_results, save_results
from fairjax.protocols import PROTOCOLS
from fairjax.report import print_tables
from fairjax.report.conditions import conditions, config_options, titled
from fairjax.report.csv_tables import renew_tables
from fairjax.report.study_page import StudyPage, write_study_page
from fairjax.run.build import build_scoring
from fairjax.run.score import compare_features, score
from fairjax.run.workdir import WorkdirError, read_checked, write_json
from fairjax.study import power
from fairjax.study.costs import choices_of, costs_of
from fairjax.study.learned import not_learned, trainings
from fairjax.study.numbers import (
    LEVEL,
    Cell,
    ClaimResult,
    adjust,
    cell,
    combined,
    conclude,
    published_difference,
    value_of,
)
from fairjax.study.paired import fingerprint, pooled_results, resampled_values
from fairjax.study.runs import folder_name
from fairjax.study.tables import (
    RULE,
    claim_table,
    conclusion_table,
    cost_table,
    difference_table,
    headline,
    how_tested,
    main_table,
    reasons,
    similarity_table,
    training_table,
    words,
)

SCHEMA_VERSION = "1.1"


def summarise(
    workdir: Path, console: Console, *, failed: Mapping[str, str] = MappingProxyType({})
) -> Path:
    """Writes `study.json`, the page and a CSV a table, prints the tables, returns the page's path.

    Args:
      workdir: The study's folder, which holds its description and its runs.
      console: Terminal for the tables.
      failed: Names of runs that failed just now, each with the reason.

    Raises:
      WorkdirError: If the folder holds no study.
    """
    kept = read_checked(workdir / "study.json")
    study = study_of(kept)
    results = {row.name: _results(workdir, row, study) for row in study.rows}
    shown = [row for row in study.rows if row.shown]
    pooled = _pooled(workdir, study, results)
    cells = {
        row.name: {
            c.title: cell(c, row, results[row.name], pooled.get(row.name)) for c in study.columns
        }
        for row in shown
    }
    trained = trainings(workdir, study)
    unlearned = not_learned(study, trained)
    claims = test_claims(workdir, study, results)
    conclusion = conclude(study.thesis, claims) if study.thesis else None
    similar = similarities(workdir, study, results)
    costs = costs_of(workdir, study, shown)
    choices = choices_of(study, cells)
    tables = [
        *([conclusion_table(conclusion)] if conclusion else []),
        main_table(study, cells),
        *([claim_table(study, claims)] if _tested(claims) else []),
        *([similarity_table(study, similar)] if similar else []),
        *([cost_table(study, costs)] if study.baseline else []),
        *([difference_table(study, claims)] if len(_tested(claims)) < len(claims) else []),
        training_table(trained, unlearned),
        *(_tables_of(pooled[shown[0].name]) if len(shown) == 1 and pooled else []),
    ]
    runs = [
        {
            "name": name,
            "row": row.name,
            "seed": seed,
            "state": state(run, name in failed),
            "why": failed.get(name, ""),
        }
        for row in study.rows
        for seed, run in zip(study.seeds, results[row.name], strict=True)
        for name in [folder_name(row.name, seed)]
    ]
    write_json(
        workdir / "study.json",
        {
            **kept,
            "runs": runs,
            "rows": [
                {"name": name, "cells": {title: _cell(c) for title, c in line.items()}}
                for name, line in cells.items()
            ],
            "verdict": asdict(conclusion) | {"rule": RULE} if conclusion else None,
            "claims": [{**asdict(t), "test": how_tested(study)} for t in claims],
            "training": {
                name: [one._asdict() for one in several] for name, several in trained.items()
            },
            "not_converged": unlearned,
            "similar": [
                {"rows": pair, "cells": {group: _cell(c) for group, c in line.items()}}
                for pair, line in similar.items()
            ],
            "costs": {name: cost._asdict() for name, cost in costs.items()},
            "front": [choice.name for choice in choices if choice.front],
        },
    )
    provenance = {"command": kept["command"], **_dataset(results)}
    tables = [replace(table, title=titled(table.title, provenance)) for table in tables]
    renew_tables(workdir, tables)
    path = workdir / "report.html"
    page = StudyPage(
        title=titled(study.title, provenance),
        source=study.source,
        notes=[*stuck_lines(unlearned), *_notes(study, provenance)],
        tables=tables,
        headline=headline(conclusion) if conclusion else "",
        thesis=conclusion.thesis.text if conclusion else "",
        reasons=reasons(conclusion) if conclusion else "",
        claims=[(t.verdict, t.claim.text, words(study, t)) for t in _tested(claims)],
        test=how_tested(study),
        runs=runs,
        provenance=provenance,
        choices=choices,
        axes=study.trade_off or ("", ""),
    )
    write_study_page(path, page)
    print_tables(tables, console)
    for line in conditions(provenance):
        console.print(line, soft_wrap=True)
    for line in stuck_lines(unlearned):
        console.print(line, soft_wrap=True)
    if conclusion:
        console.print(f"Claim of the paper: {conclusion.thesis.text}", soft_wrap=True)
        console.print(f"{headline(conclusion)} {reasons(conclusion)}", soft_wrap=True)
    return path


def save_study(workdir: Path, study: Study, command: str) -> None:
    """Writes what `summarise` starts from; the numbers come later."""
    described = asdict(study)
    for row in described["rows"]:
        row["changes"] = {key: _plain(value) for key, value in row["changes"].items()}
    write_json(
        workdir / "study.json",
        {"schema_version": SCHEMA_VERSION, "command": command, "plan": described},
    )


def study_of(kept: dict[str, Any]) -> Study:
    """The study that `save_study` wrote.

    Raises:
      WorkdirError: If it was written under another schema.
    """
    try:
        described = kept["plan"]
        return Study(
            **{
                **described,
                "rows": tuple(map(_row, described["rows"])),
                "columns": tuple(Column(**column) for column in described["columns"]),
                "claims": tuple(Claim(**claim) for claim in described["claims"]),
                "thesis": thesis_of(described["thesis"]),
                "similar": tuple(tuple(pair) for pair in described["similar"]),
                "seeds": tuple(described["seeds"]),
                "notes": tuple(described["notes"]),
                "trade_off": _pair(described.get("trade_off")),
                "spreads": {
                    title: Spread(**spread)
                    for title, spread in described.get("spreads", {}).items()
                },
                "floor": Floor(**floor) if (floor := described.get("floor")) else None,
            }
        )
    except (KeyError, TypeError) as error:
        raise WorkdirError(
            f"study.json is not of schema {SCHEMA_VERSION} ({error}); run the study's line again."
        ) from None


def test_claims(
    workdir: Path, study: Study, results: dict[str, list[Results | None]]
) -> list[ClaimResult]:
    """Every claim on the seeds for which both of its rows are done, where both have learned."""
    unlearned = not_learned(study, trainings(workdir, study))
    titles = {claim.column for claim in study.claims}
    columns = [column for column in study.columns if column.title in titles]
    rows = {row.name: row for row in study.rows}

    @functools.cache
    def values(*folders: Path) -> dict[str, np.ndarray]:
        names = ", ".join(folder.name for folder in folders)
        logging.info("Resampling the test's people %s times: %s.", f"{study.resamples:,}", names)
        return resampled_values(folders, columns, resamples=study.resamples)

    @functools.cache
    def together(*folders: Path) -> Results:
        return pooled_results(folders, resamples=1)

    tested = []
    for claim in study.claims:
        published = published_difference(claim, rows)
        column = next(column for column in columns if column.title == claim.column)
        ours, theirs = (
            cell(column, rows[name], results[name]).values for name in (claim.row, claim.than)
        )
        pairs = [
            (seed, a - b)
            for seed, a, b in zip(study.seeds, ours, theirs, strict=True)
            if a is not None and b is not None
        ]
        folders = [
            [workdir / folder_name(name, seed) for name in (claim.row, claim.than)]
            for seed, _ in pairs
        ]
        estimate, why = None, ""
        if stuck := [name for name in (claim.row, claim.than) if name in unlearned]:
            why = f"{stuck[0]} has not converged: {unlearned[stuck[0]]}"
            tested.append(ClaimResult(claim, published, verdict="not converged", why=why))
            continue
        if not pairs:
            why = "no seed has both numbers"
        elif below := _below_floor(study, claim, results):
            why = below
        elif any(fingerprint(a) != fingerprint(b) for a, b in folders):
            why = "the two were tested on different people, images or pairs"
        else:
            pooled = None
            sides: tuple[list[tuple[Path, ...]], list[tuple[Path, ...]]]
            sides = [(a,) for a, _ in folders], [(b,) for _, b in folders]
            if study.folds:
                sides = [tuple(a for a, _ in folders)], [tuple(b for _, b in folders)]
                one, other = (value_of(together(*side[0]), column) for side in sides)
                pooled = None if one is None or other is None else one - other
            moved = [
                values(*a)[claim.column] - values(*b)[claim.column]
                for a, b in zip(*sides, strict=True)
            ]
            estimate = combined([d for _, d in pairs], np.array(moved), pooled=pooled)
            if estimate is None:
                why = "the difference does not vary, or is undefined, in resamples of the people"
            elif len(pairs) == 1:
                why = "one seed: how much another training would change is not in the interval"
        outcome = ClaimResult(claim, published, why=why)
        if estimate is not None:
            outcome = replace(
                outcome,
                difference=estimate.mean,
                interval=estimate.interval,
                spread=estimate.spread(seeds=len(pairs)),
            )
        if estimate is not None and claim.descriptive:
            outcome = replace(outcome, verdict="descriptive")
        elif estimate is not None:
            outcome = replace(outcome, p_value=estimate.p_value(claim.bound))
        tested.append(outcome)
    return adjust(tested)


def _pooled(
    workdir: Path, study: Study, results: Mapping[str, Sequence[Results | None]]
) -> dict[str, Results]:
    """What the folds of each shown row give together; kept beside the table, too."""
    if not study.folds:
        return {}
    pooled = {}
    for row in study.rows:
        folders = [
            workdir / folder_name(row.name, seed)
            for seed, done in zip(study.seeds, results[row.name], strict=True)
            if done
        ]
        if row.shown and folders:
            pooled[row.name] = pooled_results(folders)
            name = folder_name(row.name, 0).removesuffix("-seed0")
            save_results(workdir / f"pooled-{name}.json", pooled[row.name])
    return pooled


def _tables_of(results: Results) -> list[Table]:
    """The protocol's own tables."""
    tables = PROTOCOLS[results.protocol["name"]].tables(results, published="")
    return [table for table in tables if not table.drawn]


def _tested(claims: Sequence[ClaimResult]) -> list[ClaimResult]:
    """Those that are not only described."""
    return [outcome for outcome in claims if not outcome.claim.descriptive]


def stuck_lines(unlearned: Mapping[str, str]) -> list[str]:
    """Sentences that say which rows have not converged."""
    return [
        f"Not converged: {row} ({why}). No claim on it is tested." for row, why in unlearned.items()
    ]


def _below_floor(
    study: Study, claim: Claim, results: Mapping[str, Sequence[Results | None]]
) -> str:
    """Why a claim is not tested whose row is too much worse than the floor allows; "" else.

    What is only described, or is about the floor's own column, is not held back.
    """
    floor = study.floor
    if floor is None or claim.descriptive or claim.column == floor.column:
        return ""
    column = next(column for column in study.columns if column.title == floor.column)
    for name in (claim.row, claim.than):
        ours, theirs = (
            [None if r is None else value_of(r, column) for r in results[row]]
            for row in (name, floor.than)
        )
        lost = [b - a for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
        if lost and np.mean(lost) > floor.margin:
            return (
                f"{name} is {np.mean(lost):.2f} below {floor.than} in {floor.column}, more than "
                f"the {floor.margin:g} that the study allows"
            )
    return ""


def similarities(
    workdir: Path, study: Study, results: dict[str, list[Results | None]]
) -> dict[tuple[str, str], dict[str, Cell]]:
    """Linear CKA of the features of each pair of rows over seeds: for everyone and by group."""
    similar = {}
    for pair in study.similar:
        by_seed = []
        for seed, *done in zip(study.seeds, *(results[name] for name in pair), strict=True):
            folders = [workdir / folder_name(name, seed) for name in pair]
            by_seed.append(compare_features(*folders) if all(done) else None)
        known = next((results for results in by_seed if results), None)
        measures = known.measures if known else ()
        columns = {", ".join(m.group.values()) or "everyone": m.group for m in measures}
        similar[pair] = {
            name: cell(Column(name, "cka", group), Row(name), by_seed)
            for name, group in columns.items()
        }
    return similar


def state(results: Results | None, failed: bool) -> str:
    """State of a run: "done", "missing" or "failed"."""
    if failed:
        return "failed"
    return "missing" if results is None else "done"


def _dataset(results: Mapping[str, Sequence[Results | None]]) -> dict[str, str]:
    """The name of the data that the runs are on, where a finished run says it."""
    names = (
        run.provenance.get("dataset")
        for results_of_row in results.values()
        for run in results_of_row
        if run
    )
    return next(({"dataset": name} for name in names if name), {})


def _notes(study: Study, provenance: Mapping[str, str]) -> list[str]:
    """The study's notes and its forecast; a smoke test's notes speak of the study at full size."""
    if "smoke" not in config_options(provenance):
        return [*study.notes, *power.lines(power.forecast(study))]
    return [f"Of the study at full size: {note}" for note in study.notes]


def _results(workdir: Path, row: Row, study: Study) -> list[Results | None]:
    return [_result(workdir / folder_name(row.name, seed)) for seed in study.seeds]


def _result(folder: Path) -> Results | None:
    """A run's results, computed anew where the file is damaged; None where there are none."""
    path = folder / "results.json"
    if not path.exists():
        return None
    try:
        return load_results(path)
    except ValueError as error:
        logging.warning("%s; it is computed again from the run's predictions.", error)
    try:
        results = score(build_scoring(read_checked(folder / "config.json")), folder)
    except WorkdirError as error:
        logging.warning("%s", error)
        return None
    save_results(path, results)
    return results


def _row(kept: Mapping[str, Any]) -> Row:
    noise = kept.get("noise")
    return Row(**{**kept, "noise": Noise(**noise) if noise else None})


def thesis_of(kept: Mapping[str, Any] | None) -> Thesis | None:
    """A thesis as `asdict` wrote it."""
    if kept is None:
        return None
    needed, spared = (tuple(kept[key]) for key in ("must_hold", "must_not_fail"))
    return Thesis(**{**kept, "must_hold": needed, "must_not_fail": spared})


def _pair(kept: Sequence[str] | None) -> tuple[str, str] | None:
    return (kept[0], kept[1]) if kept else None


def _cell(c: Cell) -> dict[str, Any]:
    return {**asdict(c), "difference": c.difference, "level": LEVEL, "ddof": 1}


def _plain(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else value

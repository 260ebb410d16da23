"""From saved predictions to numbers, tables and a report: no model, no image, no JAX."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fairjax.core.comparisons import Pairs
from fairjax.core.files import whole_file
from fairjax.core.names import counted
from fairjax.core.results import Results, Table, save_results
from fairjax.data.dataset import Attribute
from fairjax.protocols import PROTOCOLS, similarity
from fairjax.protocols.settings import ProtocolSettings
from fairjax.report import print_summary, print_tables, write_report
from fairjax.report.conditions import conditions, titled
from fairjax.run.progress import read_metrics
from fairjax.run.workdir import WorkdirError, read_arrays, read_checked, read_json

Columns = dict[str, np.ndarray]
PAIR = "pairs."  # begins the names of the arrays that have one row a pair
AGAIN = "and run the training line again: it evaluates the kept checkpoint"


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What is made of predictions: numbers, tables and a report.

    Attributes:
      dataset: Key of DATASETS.
      protocol: Key of PROTOCOLS.
      settings: Settings of the protocol.
      seed: Seed of the resamples.
      published: Whose published numbers stand beside ours; "" for none.
      title: Heading of the report; "" takes the folder's name.
      tree: The resolved config as plain values, for the report.
    """

    dataset: str
    protocol: str
    settings: ProtocolSettings
    seed: int
    published: str
    title: str
    tree: Mapping[str, Any]

    @property
    def compares_pairs(self) -> bool:
        """Whether the protocol compares pairs of images."""
        return PROTOCOLS[self.protocol].compares_pairs


def score_columns(
    scoring: Scoring,
    columns: Columns,
    pairs: Pairs | None,
    attributes: Mapping[str, Attribute],
) -> Results:
    """The protocol on predictions; the results' provenance is empty.

    Args:
      scoring: What is measured.
      columns: The predictions, one row an image.
      pairs: Rows that are compared, for a protocol of verification; others leave them alone.
      attributes: What is known of the images.

    Raises:
      ValueError: If the predictions, or the lack of pairs, do not fit the protocol.
    """
    compared = {}
    if scoring.compares_pairs:
        if pairs is None:
            raise ValueError(
                f"{scoring.protocol!r} compares pairs of images and this dataset has none; choose "
                "a dataset with a benchmark, or another protocol."
            )
        compared = {"pairs": pairs}
    return PROTOCOLS[scoring.protocol].measure(
        columns,
        scoring.settings,
        attributes={name: tuple(attribute.values) for name, attribute in attributes.items()},
        limits=[
            f"{name} labels: {attribute.assigned_by}" for name, attribute in attributes.items()
        ],
        seed=scoring.seed,
        **compared,
    )


def write_predictions(path: Path, columns: Columns, pairs: Pairs | None) -> None:
    """Saves what every table is computed from, whole or not at all."""
    beside = {PAIR + f.name: getattr(pairs, f.name) for f in fields(Pairs)} if pairs else {}
    with whole_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **columns, **beside)


def read_predictions(path: Path) -> tuple[Columns, Pairs | None]:
    """The columns, one row an image, and the pairs where the run has any.

    Raises:
      WorkdirError: If the run has no predictions yet, or they are damaged.
    """
    if not path.exists():
        raise WorkdirError(f"{path} is missing; run the training line again to finish the run.")
    arrays = read_arrays(path)
    compared = {name.removeprefix(PAIR): arrays.pop(name) for name in [*arrays] if PAIR in name}
    rows = {len(array) if array.ndim else -1 for array in arrays.values()}
    if not {"id", "cluster"} <= arrays.keys() or len(rows) > 1:
        raise WorkdirError(f"{path} holds no predictions with one row an image; delete it {AGAIN}.")
    try:
        return arrays, Pairs(**compared) if compared else None
    except TypeError as error:
        raise WorkdirError(f"{path} holds no pairs ({error}); delete it {AGAIN}.") from error


def attributes_of(manifest: Mapping[str, Any]) -> dict[str, Attribute]:
    """What is known of the test's images, from a run's `data.json`.

    Raises:
      WorkdirError: If an attribute is not described as it must be.
    """
    try:
        return {
            name: Attribute(**{**kept, "values": tuple(kept["values"])})
            for name, kept in manifest["attributes"].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise WorkdirError(
            f"data.json describes an attribute wrongly ({error}); restore it from a copy."
        ) from error


def score(scoring: Scoring, workdir: Path) -> Results:
    """Numbers from the run's saved predictions and manifest; needs no model and no image.

    Raises:
      WorkdirError: If the run has no predictions yet, or they cannot be scored.
    """
    path = workdir / "predictions.npz"
    columns, pairs = read_predictions(path)
    manifest = read_checked(workdir / "data.json")
    environment = read_checked(workdir / "environment.json")
    try:
        results = score_columns(scoring, columns, pairs, attributes_of(manifest))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise WorkdirError(f"{path} cannot be scored: {error}") from error
    if looks := _sensitivity(workdir / "sensitivity.npz"):
        results.arrays["sensitivity"] = looks
    return replace(
        results,
        limits=[*results.limits, *data_notes(manifest)],
        provenance={
            "dataset": scoring.dataset,
            "data_hash": manifest["hash"],
            "fairjax": environment["fairjax"],
            "git_revision": environment["git_revision"],
            "command": environment["command"],
            **read_checked(workdir / "outcome.json"),
        },
    )


def data_notes(manifest: Mapping[str, Any]) -> list[str]:
    """What `data.json` says of odd or skipped images, one sentence each, for a report's limits."""
    sentences = []
    for key, value in manifest.items():
        if isinstance(value, Mapping):
            sentences += data_notes(value)
        elif key == "notes" and isinstance(value, list):
            sentences += [f"Data: {note}" for note in value]
        elif key == "skipped" and isinstance(value, list) and value:
            kinds = Counter(str(item["kind"]) for item in value if "kind" in item)
            shown = ", ".join(f"{kind} {n:,}" for kind, n in kinds.most_common())
            count = counted(len(value), "image file was", "image files were")
            sentences.append(
                f"Data: {count} skipped{shown and f' ({shown})'}; data.json names them."
            )
    return sentences


def compare_features(first: Path, second: Path, *, by: str = "") -> Results:
    """How alike two runs represent the same test images, for everyone and by group.

    Args:
      first: A finished run's folder; what the images are and the intervals' level are its own.
      second: Another's.
      by: The attribute of the groups; "" is the first run's.

    Raises:
      WorkdirError: If a run has no predictions, or they cannot be compared.
    """
    one, other = (read_predictions(folder / "predictions.npz")[0] for folder in (first, second))
    config = read_json(first / "config.json")
    attributes = attributes_of(read_checked(first / "data.json"))
    try:
        return similarity.measure_similarity(
            one,
            other,
            attributes={name: attribute.values for name, attribute in attributes.items()},
            group_by=by or config["eval"]["protocol"]["group_by"],
            level=config["eval"]["protocol"]["level"],
            names=(first.name, second.name),
        )
    except ValueError as error:
        raise WorkdirError(str(error)) from error
    except (AttributeError, LookupError, TypeError) as error:
        raise WorkdirError(f"{first} and {second} cannot be compared: {error}.") from error


def _sensitivity(path: Path) -> dict[str, Any]:
    """Where a classifier looks, JSON-ready; nothing where no map was made."""
    if not path.exists():
        return {}
    stored = read_arrays(path)
    try:
        description = json.loads(str(stored["made"]))
        by_value = zip(stored["values"].tolist(), stored["by_value"].tolist(), strict=True)
        return {
            "attribute": description["attribute"],
            "source": description["source"],
            "layers": description["layers"],
            "overall": stored["sensitivity"].tolist(),
            "by_value": {v: w for v, w in by_value if not np.isnan(w).any()},
            "n": dict(zip(stored["values"].tolist(), stored["n"].tolist(), strict=True)),
            **_noise(stored),
        }
    except (LookupError, TypeError, ValueError) as error:
        raise WorkdirError(f"{path} holds no sensitivity map ({error}); delete it.") from error


def _noise(stored: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Standard errors by value; nothing in the files of older runs."""
    if "noise" not in stored:
        return {}
    by_value = zip(stored["values"].tolist(), stored["noise"].tolist(), strict=True)
    return {"noise": {value: row for value, row in by_value if not np.isnan(row).any()}}


def _pictures(path: Path) -> dict[str, np.ndarray]:
    """What a method shows of generated faces, by caption."""
    if not path.exists():
        return {}
    return read_arrays(path)


def tables_of(scoring: Scoring, results: Results) -> list[Table]:
    """The protocol's tables of results, with the published numbers beside them."""
    return PROTOCOLS[scoring.protocol].tables(results, published=scoring.published)


def report(scoring: Scoring, workdir: Path, console: Console, *, show_tables: bool = False) -> Path:
    """Writes `results.json` and `report.html`, prints the verdict, and returns the report's path.

    Args:
      scoring: What is measured, and the report's heading.
      workdir: The finished run's folder.
      console: Where the verdict goes.
      show_tables: Whether the protocol's tables are printed before the verdict.
    """
    results = score(scoring, workdir)
    save_results(workdir / "results.json", results)
    tables = tables_of(scoring, results)
    path = workdir / "report.html"
    write_report(
        path,
        title=titled(scoring.title or workdir.name, results.provenance),
        results=results,
        tables=tables,
        curves=read_metrics(workdir / "metrics.jsonl"),
        config=scoring.tree,
        manifest=read_checked(workdir / "data.json"),
        environment=read_checked(workdir / "environment.json"),
        pictures=_pictures(workdir / "pictures.npz"),
    )
    if show_tables:
        print_tables(tables, console)
    for line in conditions(results.provenance):
        console.print(line, soft_wrap=True)
    print_summary(results, console)
    return path

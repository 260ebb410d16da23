"""From saved predictions to numbers, tables and a report: no model, no image, no JAX."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from fairjax.config import ConfigError, bind_section
from fairjax.core.comparisons import Pairs
from fairjax.core.results import Results, save_results
from fairjax.data.dataset import Attribute
from fairjax.protocols import PROTOCOLS, similarity
from fairjax.protocols.settings import ProtocolSettings
from fairjax.report import print_tables, write_report
from fairjax.run.progress import read_metrics
from fairjax.run.workdir import WorkdirError, read_json

Columns = dict[str, np.ndarray]
PAIR = "pairs."  # begins the names of the arrays that have one row a pair


def protocol_settings(config: ConfigDict) -> ProtocolSettings:
    """The settings of the protocol that `eval.protocol` names.

    Raises:
      ConfigError: If the name or a key is wrong, or a value is out of range.
    """
    settings = {name: protocol.settings for name, protocol in PROTOCOLS.items()}
    make = bind_section(settings, config.eval.protocol, "config.eval.protocol", given=())
    try:
        return make()
    except ValueError as error:
        prefix = "" if str(error).startswith("config.") else "config.eval.protocol: "
        raise ConfigError(f"{prefix}{error}") from error


def evaluate_columns(
    config: ConfigDict,
    columns: Columns,
    pairs: Pairs | None,
    attributes: Mapping[str, Attribute],
) -> Results:
    """The configured protocol on predictions; the results' provenance is empty.

    Args:
      config: The resolved config; its `eval.protocol` and `seed` are read.
      columns: The predictions, one row an image.
      pairs: Rows that are compared, for a protocol of verification; others leave them alone.
      attributes: What is known of the images.

    Raises:
      ValueError: If the predictions, or the lack of pairs, do not fit the protocol.
    """
    protocol, compared = PROTOCOLS[config.eval.protocol.name], {}
    if protocol.compares_pairs:
        if pairs is None:
            raise ValueError(
                f"{config.eval.protocol.name!r} compares pairs of images and this dataset has "
                "none; choose a dataset with a benchmark, or another protocol."
            )
        compared = {"pairs": pairs}
    return protocol.measure(
        columns,
        protocol_settings(config),
        attributes={name: tuple(attribute.values) for name, attribute in attributes.items()},
        limits=[
            f"{name} labels: {attribute.assigned_by}" for name, attribute in attributes.items()
        ],
        seed=config.seed,
        **compared,
    )


def write_predictions(path: Path, columns: Columns, pairs: Pairs | None) -> None:
    """Saves what every table is computed from, whole or not at all."""
    beside = {PAIR + f.name: getattr(pairs, f.name) for f in fields(Pairs)} if pairs else {}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **columns, **beside)
    partial.replace(path)


def read_predictions(path: Path) -> tuple[Columns, Pairs | None]:
    """The columns, one row an image, and the pairs where the run has any.

    Raises:
      WorkdirError: If the run has no predictions yet.
    """
    if not path.exists():
        raise WorkdirError(f"{path} is missing; run the training line again to finish the run.")
    with np.load(path) as stored:  # allow_pickle stays off: nothing read can run code
        arrays = dict(stored)
    found = {name.removeprefix(PAIR): arrays.pop(name) for name in [*arrays] if PAIR in name}
    return arrays, Pairs(**found) if found else None


def attributes_of(manifest: Mapping[str, Any]) -> dict[str, Attribute]:
    """What is known of the test's images, from a run's `data.json`."""
    return {
        name: Attribute(**{**kept, "values": tuple(kept["values"])})
        for name, kept in manifest["attributes"].items()
    }


def score(config: ConfigDict, workdir: Path) -> Results:
    """Numbers from the run's saved predictions and manifest; needs no model and no image.

    Raises:
      WorkdirError: If the run has no predictions yet, or they cannot be scored.
    """
    path = workdir / "predictions.npz"
    columns, pairs = read_predictions(path)
    manifest = read_json(workdir / "data.json")
    environment = read_json(workdir / "environment.json")
    try:
        results = evaluate_columns(config, columns, pairs, attributes_of(manifest))
    except ValueError as error:
        raise WorkdirError(f"{path} cannot be scored: {error}") from error
    if looks := _sensitivity(workdir / "sensitivity.npz"):
        results.arrays["sensitivity"] = looks
    return replace(
        results,
        provenance={
            "data_hash": manifest["hash"],
            "fairjax": environment["fairjax"],
            "git_revision": environment["git_revision"],
            "command": environment["command"],
            **read_json(workdir / "outcome.json"),
        },
    )


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
    protocol = read_json(first / "config.json")["eval"]["protocol"]
    attributes = attributes_of(read_json(first / "data.json"))
    try:
        return similarity.measure_similarity(
            one,
            other,
            attributes={name: attribute.values for name, attribute in attributes.items()},
            group_by=by or protocol["group_by"],
            level=protocol["level"],
            names=(first.name, second.name),
        )
    except ValueError as error:
        raise WorkdirError(str(error)) from error


def _sensitivity(path: Path) -> dict[str, Any]:
    """Where a classifier looks, JSON-ready; nothing where no map was made."""
    if not path.exists():
        return {}
    with np.load(path) as stored:  # as above
        made = json.loads(str(stored["made"]))
        by_value = zip(stored["values"].tolist(), stored["by_value"].tolist(), strict=True)
        return {
            "attribute": made["attribute"],
            "source": made["source"],
            "layers": made["layers"],
            "overall": stored["sensitivity"].tolist(),
            "by_value": {v: w for v, w in by_value if not np.isnan(w).any()},
            "n": dict(zip(stored["values"].tolist(), stored["n"].tolist(), strict=True)),
        }


def _pictures(path: Path) -> dict[str, np.ndarray]:
    """What a method shows of generated faces, by caption."""
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return dict(stored)


def report(config: ConfigDict, workdir: Path, console: Console) -> Path:
    """Writes `results.json` and `report.html`, prints the tables, and returns the report's path."""
    results = score(config, workdir)
    save_results(workdir / "results.json", results)
    tables = PROTOCOLS[config.eval.protocol.name].tables(results, published=config.eval.published)
    path = workdir / "report.html"
    write_report(
        path,
        title=config.title or workdir.name,
        results=results,
        tables=tables,
        curves=read_metrics(workdir / "metrics.jsonl"),
        config=config.to_dict(),
        manifest=read_json(workdir / "data.json"),
        environment=read_json(workdir / "environment.json"),
        pictures=_pictures(workdir / "pictures.npz"),
    )
    print_tables(tables, console)
    return path

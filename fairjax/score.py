"""From saved predictions to numbers, tables and a report: no model, no image, no JAX."""

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from fairjax.config import bind_section
from fairjax.data.dataset import Attribute
from fairjax.progress import read_metrics
from fairjax.protocols import PROTOCOLS
from fairjax.report import print_tables, write_report
from fairjax.results import Results, save_results
from fairjax.workdir import WorkdirError, read_json

Columns = dict[str, np.ndarray]


def bind_protocol(config: ConfigDict) -> "functools.partial[Results]":
    """The evaluation that `eval.protocol` names, its settings bound.

    Raises:
      ConfigError: If the name or a key is wrong.
    """
    return bind_section(
        {name: protocol.evaluate for name, protocol in PROTOCOLS.items()},
        config.eval.protocol,
        "config.eval.protocol",
        given={"predictions", "attributes", "limits", "seed"},
    )


def evaluate_columns(
    config: ConfigDict, columns: Columns, attributes: Mapping[str, Attribute]
) -> Results:
    """The configured protocol on predictions; the results' provenance is empty."""
    return bind_protocol(config)(
        columns,
        attributes={name: tuple(attribute.values) for name, attribute in attributes.items()},
        limits=[
            f"{name} labels: {attribute.assigned_by}" for name, attribute in attributes.items()
        ],
        seed=config.seed,
    )


def write_predictions(path: Path, columns: Columns) -> None:
    """Saves the columns that every table is computed from, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **columns)
    partial.replace(path)


def score(config: ConfigDict, workdir: Path) -> Results:
    """Numbers from the run's saved predictions and manifest; needs no model and no image.

    Raises:
      WorkdirError: If the run has no predictions yet.
    """
    path = workdir / "predictions.npz"
    if not path.exists():
        raise WorkdirError(f"{path} is missing; run the training line again to finish the run.")
    with np.load(path) as stored:  # allow_pickle stays off: nothing read can run code
        columns = dict(stored)
    manifest = read_json(workdir / "data.json")
    environment = read_json(workdir / "environment.json")
    attributes = {
        name: Attribute(**{**kept, "values": tuple(kept["values"])})
        for name, kept in manifest["attributes"].items()
    }
    results = evaluate_columns(config, columns, attributes)
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
    )
    print_tables(tables, console)
    return path

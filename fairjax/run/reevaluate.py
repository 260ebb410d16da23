"""Evaluation without training: a finished run, or public weights, on other data or a protocol."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from absl import logging
from flax.errors import FlaxError
from ml_collections import ConfigDict

from fairjax.config import ConfigError, validate, validate_devices
from fairjax.core.types import Method, PyTree
from fairjax.data.dataset import Dataset
from fairjax.interop import FILES
from fairjax.run import prepare, sharding
from fairjax.run.build import build_run
from fairjax.run.checkpoint import read_weights
from fairjax.run.evaluate import evaluate
from fairjax.run.loading import load_run
from fairjax.run.settings import RunSettings
from fairjax.run.state import check_variables
from fairjax.run.workdir import (
    WorkdirError,
    claim,
    environment,
    is_finished,
    read_checked,
    settle_config,
    settle_data,
    write_json,
)

# What another evaluation may change; the rest is the model's, and comes from the run.
_FREE = ("data", "eval", "title")


@dataclass(frozen=True)
class Evaluated:
    """The model of an evaluation without training.

    Attributes:
      method: The method on its backbone.
      variables: Weights, on the host.
      step: Step of the run's checkpoint; 0 for a file.
    """

    method: Method
    variables: PyTree
    step: int


def evaluation_settings(tree: Mapping[str, Any], source: Path) -> RunSettings:
    """The settings of an evaluation: those of the run, with data, protocol and title of another.

    Args:
      tree: Plain values of the config that names data and protocol.
      source: The run's folder; a file of weights has no config, and takes all of this one.

    Raises:
      ConfigError: If both together are impossible.
      WorkdirError: If there is no such run.
    """
    if source.suffix not in FILES:
        trained = read_checked(source / "config.json")
        tree = {**tree, **trained, **{name: tree[name] for name in _FREE}}
    validate(ConfigDict(dict(tree)))
    settings = build_run(tree)
    validate_devices(settings.train, settings.eval, jax.device_count())
    return settings


def default_folder(settings: RunSettings, source: Path) -> Path:
    """Where results go: beside the run, one folder for each choice of data and protocol."""
    choice = {name: settings.tree[name] for name in ("data", "eval")}
    digest = hashlib.blake2b(json.dumps(choice, sort_keys=True).encode(), digest_size=4).hexdigest()
    data = choice["data"].get("benchmark", choice["data"])
    name = source.stem if source.suffix in FILES else source.name
    protocol = choice["eval"]["protocol"]["name"]
    return source.with_name(f"{name}-evaluations") / f"{data['name']}-{protocol}-{digest}"


def reevaluate(settings: RunSettings, source: Path, workdir: Path) -> None:
    """Predicts the test split with a finished model and saves the predictions in a folder.

    Args:
      settings: What `evaluation_settings` makes.
      source: A finished run's folder, or a file of public weights; nothing is written there.
      workdir: Where `predictions.npz` and what describes them go.

    Raises:
      ConfigError: If the model does not fit the data, or the data the protocol.
      WorkdirError: If the run is not finished or cannot be read, or the folder holds something
        else.
    """
    if workdir.resolve() == source.resolve():
        raise WorkdirError(
            f"--workdir {workdir} is the evaluated run, whose files stay as they are; choose "
            "another folder, or leave --workdir out."
        )
    with claim(workdir):
        settle_config(workdir, {**settings.tree, "evaluated": str(source)})
        if is_finished(workdir):
            logging.info("%s holds this evaluation; nothing is predicted.", workdir)
            return
        dataset = settings.data.load(seed=settings.seed)
        prepare.check_protocol(settings, dataset)
        model = _model(settings, source, dataset)
        devices = {"platform": jax.default_backend(), "count": jax.device_count()}
        write_json(workdir / "environment.json", environment(devices))
        settle_data(workdir, prepare.manifest_of(dataset))
        logging.info("Evaluating %s; nothing is trained.", source)
        whole = sharding.replicated(sharding.make_mesh(settings.train.head_shards))
        variables = jax.device_put(model.variables, whole)
        evaluate(settings, workdir, dataset, model.method, variables)
        write_json(
            workdir / "outcome.json",
            {"step": model.step, "evaluated_step": model.step, "evaluated": str(source)},
        )


def _model(settings: RunSettings, source: Path, dataset: Dataset) -> Evaluated:
    batch = prepare.abstract_batch(settings.input, dataset.splits["test"], rows=1)
    if source.suffix not in FILES:
        run = load_run(source)
        predicted = jax.eval_shape(run.method.predict, run.variables, batch)
        _check_classes(predicted, run.description["targets"], dataset)
        return Evaluated(run.method, run.variables, run.step)
    weights = read_weights(source, channels=settings.init.channels)
    method = prepare.make_method(settings, dataset)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, model_state = jax.eval_shape(method.init, key, batch)
    try:
        check_variables(
            {"params": params, **model_state},
            weights.variables,
            part="backbone",
            settings=weights.settings,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        jax.eval_shape(method.predict, weights.variables, batch)
    except (FlaxError, KeyError) as error:
        raise ConfigError(
            f"{source} holds a backbone alone, and config.method.name="
            f"{settings.method!r} predicts with more than that; fine-tune it "
            "(config.init.run), or choose a method of embeddings such as 'cosine_margin'."
        ) from error
    return Evaluated(method, weights.variables, 0)


def _check_classes(
    predicted: Collection[str], targets: Mapping[str, Any], dataset: Dataset
) -> None:
    """Refuses data whose classes are not those that the model's outputs stand for.

    Args:
      predicted: Names of the columns that the model predicts.
      targets: What the run was trained to predict, from its `model.json`.
      dataset: Data that it is evaluated on.

    Raises:
      ConfigError: Naming both.
    """
    for name, attribute in prepare.attributes_of_test(dataset).items():
        known = tuple(targets.get(name, {}).get("values", ()))
        if f"prob_{name}" in predicted and known and known != attribute.values:
            raise ConfigError(
                f"the run's {name} is one of {', '.join(known)}, and this data's one of "
                f"{', '.join(attribute.values)}: its predictions mean something else. Evaluate it "
                "on data with the same classes in the same order."
            )

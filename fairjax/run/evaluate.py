"""From weights to predictions, on all devices."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh

from fairjax.core.comparisons import UNKNOWN, Embeddings, Pairs, compare
from fairjax.core.settings import InputSettings
from fairjax.core.types import Batch, Method, PyTree
from fairjax.data import phantom
from fairjax.data.dataset import Dataset, Examples
from fairjax.data.stream.pipeline import VIEWS, eval_batches
from fairjax.metrics.verification import true_match_rate
from fairjax.protocols.verification.accuracy import Folds
from fairjax.run import sensitivity, sharding
from fairjax.run.checkpoint import lower_is_better
from fairjax.run.prepare import abstract_batch, make_preprocess
from fairjax.run.score import Columns, write_predictions
from fairjax.run.settings import RunSettings
from fairjax.run.steps import make_predict_step

_PICTURES = 4  # generated faces that a method may show in the report


def predict_split(
    settings: RunSettings, examples: Examples, mesh: Mesh, method: Method, variables: PyTree
) -> Columns:
    """Runs the model over a split, on all devices.

    Returns:
      Columns with one row an example, in the split's order: "id", "cluster", every label, and what
      `Method.predict` names; a loss of the batch is called "batch_loss".

    Raises:
      FloatingPointError: If a prediction is not finite.
    """
    predict_step = _compiled_predict_step(method, mesh)
    parts: list[Columns] = [
        jax.device_get(predict_step(variables, sharding.global_batch(mesh, local)))
        for local in eval_batches(
            examples,
            batch_size=settings.eval.batch_size,
            image_size=settings.input.image_size,
            cache_mb=settings.input.cache_mb,
            second=settings.input.second,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
    ]
    joined = {name: np.concatenate([chunk[name] for chunk in parts]) for name in parts[0]}
    real = joined.pop("mask")
    order = np.argsort(joined.pop("index")[real])
    outputs = {name: column[real][order] for name, column in joined.items()}
    for name, column in outputs.items():
        wrong = ~np.isfinite(column.reshape(len(column), -1)).all(axis=1)
        if wrong.any():
            raise FloatingPointError(
                f"{name} is not finite for {wrong.sum()} of {len(wrong)} images, the first "
                f"{examples.ids[np.argmax(wrong)]}. Lower config.optim.peak_lr, or set "
                "config.optim.clip_norm."
            )
    if method.loss_of == "batch":
        outputs["batch_loss"] = outputs.pop("loss")
    return {**_known(examples), **outputs}


def _known(examples: Examples) -> Columns:
    labels = {name: np.asarray(label) for name, label in examples.labels.items()}
    return {"id": examples.ids, "cluster": examples.cluster, **labels}


@functools.cache  # one compilation a run, not one a look at the validation split
def _compiled_predict_step(
    method: Method, mesh: Mesh
) -> Callable[[PyTree, Batch], dict[str, jax.Array]]:
    # The variables lie as they come: class weights in shards are not gathered.
    return jax.jit(make_predict_step(method), out_shardings=sharding.replicated(mesh))


def metric_names(
    settings: InputSettings,
    method: Method,
    variables: PyTree,
    examples: Examples,
    pairs: Pairs | None,
) -> list[str]:
    """What `validation_metrics` will measure, from shapes alone."""
    batch = abstract_batch(settings, examples, rows=len(examples))
    shapes = {**batch, **jax.eval_shape(method.predict, variables, batch)}
    columns = {name: np.ones(x.shape) for name, x in shapes.items() if name not in VIEWS}
    return list(validation_metrics({**columns, **_known(examples)}, pairs))


def validation_metrics(columns: Columns, pairs: Pairs | None) -> dict[str, float]:
    """Point values to watch while training.

    Every mean loss, `<x>_mae` and `<x>_accuracy`; and of embeddings `verification_accuracy` and
    `tmr_at_fmr_1e-k`, over pairs of people who are not trained on.
    """
    metrics = {} if pairs is None else verification_metrics(columns, pairs)
    for name, column in columns.items():
        kind, _, attribute = name.partition("_")
        if name == "batch_loss":
            metrics["loss"] = float(np.mean(column))
        elif kind == "loss":
            metrics[f"{attribute}_loss" if attribute else "loss"] = float(np.mean(column))
        elif kind == "pred" and attribute in columns:
            metrics[f"{attribute}_mae"] = float(np.mean(np.abs(column - columns[attribute])))
        elif kind == "prob" and attribute in columns:
            metrics[f"{attribute}_accuracy"] = float(
                np.mean(np.argmax(column, axis=-1) == columns[attribute])
            )
    return metrics


def group_metrics(
    columns: Columns, pairs: Pairs | None, attribute: str, *, names: Sequence[str]
) -> dict[str, float]:
    """Each validation metric of every group, its worst group and its gap, to watch in training.

    Of pairs those count that show two images of one group, at the thresholds that all pairs have.

    Args:
      columns: Predictions, as `predict_split` returns them.
      pairs: Pairs of rows to compare, or None.
      attribute: Name of the column with each image's group; -1 is unknown.
      names: Names of the groups by their number; () for numbers that have none.

    Returns:
      `<metric>/<group>`, `<metric>_worst`, the value of the group that fares worst, and
      `<metric>_gap`, the largest value less the smallest; nothing where fewer than two groups have
      the metric.
    """
    group = columns[attribute]
    by_group: dict[str, dict[str, float]] = {}
    for value in np.unique(group[group != UNKNOWN]):
        rows = group == value
        metrics = validation_metrics({name: c[rows] for name, c in columns.items()}, None)
        metrics.pop(f"{attribute}_accuracy", None)  # of one class it is no accuracy
        if pairs is not None:
            both = rows[pairs.first] & rows[pairs.second]
            metrics |= verification_metrics(columns, pairs, counted=both)
        who = names[int(value)] if names else f"{value:g}"
        for name, number in metrics.items():
            by_group.setdefault(name, {})[who] = number
    logged: dict[str, float] = {}
    for name, numbers in by_group.items():
        if len(numbers) > 1:
            logged |= {f"{name}/{who}": number for who, number in numbers.items()}
            logged[f"{name}_worst"] = (max if lower_is_better(name) else min)(numbers.values())
            logged[f"{name}_gap"] = max(numbers.values()) - min(numbers.values())
    return logged


def verification_metrics(
    columns: Columns, pairs: Pairs, *, counted: np.ndarray | None = None
) -> dict[str, float]:
    """How well embeddings tell people apart; empty where the predictions hold none.

    `verification_accuracy` is ten-fold, at thresholds midway between scores. `tmr_at_fmr_1e-k` is
    at the smallest power of ten that ten non-mated pairs or more stand behind. Scores are cosines,
    or mutual likelihoods where embeddings have variances.

    Args:
      columns: Predictions with an "embedding" of each image, and perhaps a "variance".
      pairs: Pairs of rows to compare.
      counted: [pairs] truth values: pairs that count, the thresholds being those of all pairs;
        None counts every pair.
    """
    if "embedding" not in columns:
        return {}
    embeddings = Embeddings(
        ids=columns["id"],
        subject=columns["cluster"],
        group=np.full(len(columns["id"]), UNKNOWN),
        groups=(),
        embedding=columns["embedding"],
        variance=columns.get("variance"),
    )
    score = compare(embeddings, pairs).score
    accuracy = Folds(score, pairs.mated, pairs.fold, variant="exact").accuracy()
    if counted is not None:
        return _counted_alone(score, pairs, accuracy.thresholds, counted)
    metrics = {"verification_accuracy": accuracy.mean}
    mated, nonmated = score[pairs.mated], score[~pairs.mated]
    power = int(np.log10(len(nonmated) / 10))
    if power > 0:
        rate, _ = true_match_rate(mated, nonmated, fmr=10.0**-power)
        metrics[f"tmr_at_fmr_1e-{power}"] = rate
    return metrics


def _counted_alone(
    score: np.ndarray, pairs: Pairs, thresholds: np.ndarray, counted: np.ndarray
) -> dict[str, float]:
    """`verification_metrics` of some of the pairs, at the thresholds of all of them."""
    metrics = {}
    if counted.any():
        accepted = score >= thresholds[pairs.fold]
        right = (accepted == pairs.mated)[counted]
        metrics["verification_accuracy"] = float(right.mean())
    power = int(np.log10(np.count_nonzero(~pairs.mated) / 10))
    if power > 0 and (counted & pairs.mated).any():
        _, threshold = true_match_rate(score[pairs.mated], score[~pairs.mated], fmr=10.0**-power)
        own = score[counted & pairs.mated]
        metrics[f"tmr_at_fmr_1e-{power}"] = float((own >= threshold).mean())
    return metrics


def evaluate(
    settings: RunSettings, workdir: Path, dataset: Dataset, method: Method, variables: PyTree
) -> None:
    """Predicts the test split with the given weights and saves the predictions."""
    if method.pictures:
        write_pictures(settings.input, workdir, method, variables)
    if settings.eval.sensitivity.attribute:
        write_sensitivity(settings, workdir, dataset, method, variables)
    logging.info("Evaluating on %d test images.", len(dataset.splits["test"]))
    mesh = sharding.make_mesh(settings.train.head_shards)
    columns = predict_split(settings, dataset.splits["test"], mesh, method, variables)
    if jax.process_index() == 0:
        write_predictions(workdir / "predictions.npz", columns, dataset.pairs.get("test"))


def write_pictures(
    settings: InputSettings, workdir: Path, method: Method, variables: PyTree
) -> None:
    """Saves what the method shows of a few generated faces; none where they can't be so large."""
    size, number = settings.image_size, np.arange(_PICTURES)
    if method.pictures is None or not 32 <= size <= 224:
        return
    faces = phantom.draw(
        number,
        0 * number,
        phantom.people(number, seed=0),
        seed=0,
        image_size=size,
        differential=phantom.NEUTRAL,
    )
    whole = sharding.replicated(sharding.make_mesh())
    shown = jax.jit(method.pictures, out_shardings=whole)(variables, faces)
    if jax.process_index() == 0:
        write_predictions(workdir / "pictures.npz", jax.device_get(shown), None)


def write_sensitivity(
    settings: RunSettings, workdir: Path, dataset: Dataset, method: Method, variables: PyTree
) -> None:
    """Saves where the classifier looks in the training split, as `eval.sensitivity` says."""
    looks = settings.eval.sensitivity
    logging.info("Collecting attention over %d training images.", len(dataset.splits["train"]))
    values = dataset.attributes[looks.attribute].values
    collected = sensitivity.collect(
        backbone=settings.backbone,
        method=method,
        variables=variables,
        preprocess=make_preprocess(settings.input),
        examples=dataset.splits["train"],
        values=len(values),
        mesh=sharding.make_mesh(),
        batch_size=settings.eval.batch_size,
        image_size=settings.input.image_size,
        cache_mb=settings.input.cache_mb,
        settings=looks,
    )
    if jax.process_index() == 0:
        provenance = {**asdict(looks), "data_hash": dataset.manifest["hash"], "run": settings.tree}
        path = workdir / "sensitivity.npz"
        sensitivity.save(path, collected, values=values, provenance=provenance)
        logging.info(
            "%s: largest over mean weight %.2f.",
            path,
            collected.overall.max() * collected.overall.size,
        )

"""A run's model card: its results as Markdown, and with the front matter that the Hub reads."""

from pathlib import Path
from typing import Any

from fairjax.core.errors import missing_extra
from fairjax.core.results import Measure, Results, load_results
from fairjax.report.model_card import escaped, model_card
from fairjax.serve.model import ModelError

_TASKS = {"verification": "image-feature-extraction", "attributes": "image-classification"}


def card_of_run(folder: Path) -> str:
    """The sections of the model card that the run's results fill; "" where it has none.

    Raises:
      ModelError: If the results are damaged.
    """
    results = _results(folder)
    return "" if results is None else model_card(results)


def hub_card(folder: Path, *, title: str, licence_note: str) -> str:
    """A README.md for the Hugging Face Hub, whose `model-index` has every number by group.

    Args:
      folder: A run that has been evaluated.
      title: Name of the model.
      licence_note: Sentence on what binds the weights.

    Raises:
      ModelError: If huggingface_hub is not installed, or the run has no results.
    """
    try:
        from huggingface_hub import EvalResult, ModelCardData
    except ModuleNotFoundError as error:
        raise ModelError(missing_extra(error, "a model card for the Hub") or str(error)) from error
    results = _results(folder)
    if results is None:
        raise ModelError(f"{folder} has no results.json; finish the run, or run fairjax report.")
    dataset = str(results.provenance.get("dataset", results.protocol.get("name", "unknown")))
    task = _TASKS[results.kind]
    data = ModelCardData(
        model_name=title,
        library_name="fairjax",
        tags=["fairness", "face", "jax", results.kind],
        license="other",
        pipeline_tag=task,
        eval_results=[
            EvalResult(
                task_type=task,
                dataset_type=dataset,
                dataset_name=dataset,
                dataset_config=_group(m),
                metric_type=m.name,
                metric_name=f"{m.name} {f'at {m.at} ' if m.at else ''}({_group(m)})",
                metric_value=m.value,
                metric_config=m.at or None,
            )
            for m in _numbers(results)
        ],
    )
    head = [f"---\n{data.to_yaml()}\n---", f"# {escaped(title)}", escaped(licence_note)]
    return "\n\n".join([*head, model_card(results)])


def _numbers(results: Results) -> list[Measure]:
    """One measure for each name, operating point and group that has a value."""
    by_key: dict[Any, Measure] = {}
    for m in results.measures:
        if m.value is not None and not m.system and not m.across:
            by_key.setdefault((m.name, m.at, _group(m)), m)
    return list(by_key.values())


def _group(m: Measure) -> str:
    return ", ".join(m.group.values()) or "everyone"


def _results(folder: Path) -> Results | None:
    path = folder / "results.json"
    if not path.exists():
        return None
    try:
        return load_results(path)
    except (OSError, ValueError) as error:
        raise ModelError(str(error)) from error

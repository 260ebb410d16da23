"""From a path to a model: a run's folder, a file that FairJAX exported, or any .onnx embedder."""

from collections.abc import Sequence
from pathlib import Path

from fairjax.serve.model import Model, ModelError
from fairjax.serve.onnx_file import OnnxInput, from_onnx

FORMS = "a run's folder, an .onnx, or a .safetensors or .stablehlo that FairJAX exported"


def load(path: str | Path, *, flip: str = "", step: int | None = None) -> Model:
    """A model that embeds or predicts face crops.

    Args:
      path: The folder of a run; an .onnx file, ours or any other; or a .safetensors or .stablehlo
        file that `fairjax export` wrote.
      flip: What is done with the mirror image: "none", "sum" or "concat"; "" does what the model
        was evaluated with, and nothing where that is not known.
      step: Step of a run's checkpoint; None takes the one that a finished run was evaluated with.

    Raises:
      ModelError: If there is no such model, or its file cannot be used.
      WorkdirError: If a run cannot be read.
    """
    return load_with_notes(path, flip=flip, step=step)[0]


def load_with_notes(
    path: str | Path,
    *,
    flip: str = "",
    step: int | None = None,
    stated: OnnxInput = OnnxInput(),  # noqa: B008  frozen
) -> tuple[Model, Sequence[str]]:
    """A model, and sentences for the user; `stated` says of an .onnx what its graph does not.

    The other arguments, and what is raised, are as for `load`.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ModelError(f"{path} is no run's folder: it has no config.json.")
        if stated != OnnxInput():
            raise ModelError(f"{path} is a run and knows its own input; leave the input flags out.")
        from fairjax.serve.runs import from_run

        return from_run(path, flip=flip, step=step), ()
    if not path.exists():
        raise ModelError(f"{path} does not exist; give {FORMS}.")
    if step is not None:
        raise ModelError(f"{path} is a file; --step chooses a checkpoint of a run.")
    if path.suffix.lower() == ".onnx":
        model, notes = from_onnx(path, stated=stated)
        return (model.with_flip(flip) if flip else model), notes
    if stated != OnnxInput():
        raise ModelError(f"{path} knows its own input; leave the input flags out.")
    if path.suffix == ".safetensors":
        from fairjax.serve.export import from_safetensors

        return from_safetensors(path, flip=flip), ()
    if path.suffix == ".stablehlo":
        from fairjax.serve.export import from_stablehlo

        model = from_stablehlo(path)
        return (model.with_flip(flip) if flip else model), ()
    weights = (
        " It holds weights alone; a run starts from them with config.init.run."
        if path.suffix.lower() in (".pth", ".pt", ".ckpt", ".bin")
        else ""
    )
    raise ModelError(f"{path} cannot be read as a model: give {FORMS}.{weights}")

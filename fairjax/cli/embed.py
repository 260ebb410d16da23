"""`fairjax embed`: the embeddings of images, by a run or by any .onnx model."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli import values
from fairjax.cli.answers import check_file, say, say_unreadable

BATCH = 64  # images computed at a time
INPUT = ("layout", "size", "colour", "mean", "std", "output", "resize")  # flags of `add_input`
_DESCRIPTION = """\
Writes the embeddings that a model makes of face images.

MODEL is the folder of a run, or an .onnx file of any maker. IMAGES is one of
  a folder, searched at any depth, or an uncompressed .tar of JPEG and PNG files;
  a list: .txt with one path a line, or .csv with the columns image and perhaps subject and groups;
  a benchmark: rfw:DIR, bfw:DIR or lfw:DIR; phantom: draws made-up people.

Images are taken as they are: give aligned crops, or --landmarks to align them by five points.
Nothing looks for faces unless --landmarks names your own detector.
"""
_EPILOG = """\
examples:
  fairjax embed runs/mine photos/ --out photos.npz
  fairjax embed vendor.onnx rfw:DIR --out vendor.npz && fairjax audit vendor.npz --protocol rfw

Started again, the same line goes on where it was stopped. The .npz holds embedding, id, and where
known subject, groups and the benchmark's pairs. Images that cannot be read are counted, and listed
in <name>.unreadable.csv.
"""


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    embed = verbs.add_parser(
        "embed",
        help="embeddings of images, by a run or any .onnx model",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(embed, out="FILE.npz")
    embed.add_argument(
        "--flip",
        choices=["none", "sum", "concat"],
        default="",
        help="add the mirror image's embedding, or join both (default: what the model was "
        "evaluated with; none for other .onnx files)",
    )
    embed.set_defaults(run=write)


def add_arguments(parser: Any, *, out: str) -> None:
    """Adds what `embed` and `predict` share: model, images, output, and an .onnx model's input."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a run's folder, or an .onnx")
    parser.add_argument("images", metavar="IMAGES", help="folder, .tar, list or benchmark")
    parser.add_argument("--out", metavar=out, type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=values.positive,
        default=BATCH,
        help="images computed at a time",
    )
    parser.add_argument(
        "--threads", metavar="N", type=values.positive, default=0, help="that decode (default: all)"
    )
    parser.add_argument(
        "--step", metavar="N", type=int, help="checkpoint of a run (default: the evaluated one)"
    )
    add_config(parser)
    parser.add_argument(
        "--landmarks",
        metavar="TABLE",
        default="",
        help="align the images first: a table of a path and x y of five points, or your detector, "
        "module:function or an .onnx",
    )
    add_input(parser.add_argument_group("input of an .onnx model, where its graph does not say"))


def add_config(parser: Any) -> None:
    """Adds the flag for runs of what a user's own config file registers."""
    parser.add_argument(
        "--config",
        metavar="FILE.py",
        default="",
        help="config file that registers the run's method or backbone, if one of yours does",
    )


def register(file: str) -> None:
    """Runs a config file, so that what it registers is known; "" does nothing."""
    if file:
        from fairjax.config import load

        load(file)


def add_input(group: Any) -> None:
    """Adds the flags that say what an .onnx model takes."""
    group.add_argument("--layout", choices=["NCHW", "NHWC"], default="", help="order of the axes")
    group.add_argument(
        "--size",
        metavar="PIXELS",
        type=values.size,
        help="of the images: 112, or 112x96 (height first)",
    )
    group.add_argument(
        "--colour", choices=["RGB", "BGR"], default="", help="order of the channels (default: RGB)"
    )
    group.add_argument(
        "--mean",
        metavar="VALUES",
        type=values.by_channel,
        help="subtracted from pixels of 0 to 255: one number, or three (default: 127.5)",
    )
    group.add_argument(
        "--std",
        metavar="VALUES",
        type=values.by_channel,
        help="that they are divided by (default: 127.5)",
    )
    group.add_argument("--output", metavar="NAME", default="", help="which output is the embedding")
    group.add_argument(
        "--resize", action="store_true", help="resize images of another size instead of refusing"
    )


def onnx_input_of(arguments: argparse.Namespace) -> Any:
    """What the flags say of an .onnx model's input."""
    from fairjax.serve.onnx_file import OnnxInput

    return OnnxInput(
        layout=arguments.layout,
        size=arguments.size,
        colour=arguments.colour,
        mean=arguments.mean,
        std=arguments.std,
        output=arguments.output,
        resizes=arguments.resize,
    )


def compute(arguments: argparse.Namespace, *, flip: str = "") -> tuple[Any, Any, Any]:
    """The model, the images, and what the one makes of the others; None where that is written."""
    from fairjax.serve.load import load_with_notes
    from fairjax.serve.output import is_complete
    from fairjax.serve.sources import open_images
    from fairjax.serve.stream import Progress, run_over

    register(arguments.config)
    model, notes = load_with_notes(
        arguments.model, flip=flip, step=arguments.step, stated=onnx_input_of(arguments)
    )
    say(*notes, *describe(model))
    images = open_images(arguments.images, size=model.preprocessing.height)
    if arguments.landmarks:
        from fairjax.serve.landmarks import aligned

        images = aligned(images, arguments.landmarks, size=model.preprocessing.height)
    say(*images.notes)
    if is_complete(arguments.out, model, images):
        print(f"{arguments.out} is complete: made by this model of these images.")
        return model, images, None
    if model.preprocessing.found.get("colour") == "assumed":
        from fairjax.serve.colour import order_warning

        say(*filter(None, [order_warning(model, images)]))
    outcome = run_over(
        model,
        images,
        arguments.out,
        batch_size=arguments.batch_size,
        threads=arguments.threads,
        progress=Progress(len(images), say),
    )
    return model, images, outcome


def describe(model: Any) -> list[str]:
    """What the model takes, and where each setting comes from."""
    preprocessing = model.preprocessing
    sources: dict[str, list[str]] = {}
    for setting, origin in preprocessing.found.items():
        sources.setdefault(origin, []).append(setting)
    origins = "; ".join(f"{origin}: {', '.join(names)}" for origin, names in sources.items())
    step = "" if model.step is None else f", step {model.step}"
    lines = [
        f"Model: {model.name} ({model.kind}{step}), {model.hash[:19]}",
        f"Input: {preprocessing.layout} {preprocessing.describe()}"
        + (f" ({origins})" if origins else ""),
    ]
    if "embedding" in model.outputs:
        (dim,) = model.outputs["embedding"]
        lines.append(f"Embedding: {dim} numbers, flip {preprocessing.flip}")
    return lines


def report(arguments: argparse.Namespace, model: Any, images: Any, outcome: Any) -> None:
    """Says what was written and what could not be read."""
    if outcome.resized:
        height, width = model.preprocessing.height, model.preprocessing.width
        say(f"{outcome.resized:,} images of another size were resized to {height} x {width}.")
    say_unreadable(
        arguments.out, outcome.unreadable, len(outcome.rows), "cannot be read and are left out"
    )
    print(f"{arguments.out}: {len(outcome.rows):,} images")


def write(arguments: argparse.Namespace) -> None:
    """Embeds the images and writes the .npz.

    Raises:
      DataError, ModelError, WorkdirError: If something cannot be used.
    """
    from fairjax.serve.model import ModelError
    from fairjax.serve.output import write_embeddings
    from fairjax.serve.stream import finish

    check_file(arguments.out)
    if arguments.out.suffix != ".npz":
        raise ModelError(f"--out {arguments.out}: embeddings are written as .npz.")
    model, images, outcome = compute(arguments, flip=arguments.flip)
    if outcome is None:
        return
    lost = write_embeddings(arguments.out, model, images, outcome)
    finish(arguments.out)
    if lost:
        say(f"{lost:,} of {len(images.pairs):,} pairs have an unreadable image and are left out.")
    report(arguments, model, images, outcome)

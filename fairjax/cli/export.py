"""`fairjax export`: a run's model as one file, for other programs."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli import embed
from fairjax.cli.answers import check_file

_EPILOG = """\
examples:
  fairjax export runs/mine --to onnx --out mine.onnx --check
  fairjax export runs/mine --to stablehlo --out mine.stablehlo --check
  fairjax export runs/mine --to safetensors --out mine.safetensors

The weights are those that the run was evaluated with (their moving average, where the run kept
one), in float32. The batch is free. docs/models_in_and_out.md shows how each form is loaded without
FairJAX.
"""


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    export = verbs.add_parser(
        "export",
        help="write a run's model as ONNX, StableHLO or .safetensors",
        description="Writes the model of a finished run as one file. It describes itself: class "
        "names, preprocessing, outputs, model card and a note on licences.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("run_folder", metavar="RUN", type=Path, help="the run's folder")
    export.add_argument(
        "--to",
        choices=["onnx", "stablehlo", "safetensors"],
        required=True,
        help="the form; onnx needs the extra 'onnx'",
    )
    export.add_argument("--out", metavar="FILE", type=Path, required=True, help="the file to write")
    export.add_argument(
        "--input",
        choices=["pixels", "normalised"],
        default="pixels",
        help="what the graph takes: uint8 RGB [batch, height, width, 3], which it normalises "
        "itself (default), or normalised float32 [batch, 3, height, width]",
    )
    export.add_argument(
        "--flip",
        choices=["none", "sum", "concat"],
        default="",
        help="what the graph does with the mirror image (default: what the run did)",
    )
    export.add_argument(
        "--step", metavar="N", type=int, help="checkpoint (default: the evaluated one)"
    )
    embed.add_config(export)
    export.add_argument(
        "--card",
        metavar="FILE.md",
        type=Path,
        help="also write a model card for the Hugging Face Hub (extra 'hub'); nothing is uploaded",
    )
    export.add_argument(
        "--check",
        action="store_true",
        help="run the file on generated faces and print the largest difference to the run's "
        "outputs; above 1e-4 the file is deleted",
    )
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> None:
    from fairjax.core.files import write_whole
    from fairjax.serve.model import ModelError

    check_file(arguments.out)
    if arguments.out.suffix != f".{arguments.to}":
        raise ModelError(f"--out {arguments.out}: --to {arguments.to} writes .{arguments.to}.")
    if not arguments.run_folder.is_dir():
        raise ModelError(f"{arguments.run_folder} is no run's folder.")
    from fairjax.run.loading import load_run
    from fairjax.serve import export, load
    from fairjax.serve.card import card_of_run, hub_card

    if arguments.card:
        check_file(arguments.card)
    embed.register(arguments.config)
    run = load_run(arguments.run_folder, step=arguments.step, flip=arguments.flip)
    export.export(
        run,
        arguments.out,
        kind=arguments.to,
        normalised=arguments.input == "normalised",
        card=card_of_run(arguments.run_folder),
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 2**20:,.1f} MiB, step {run.step}")
    if arguments.card:
        write_whole(
            arguments.card,
            hub_card(
                arguments.run_folder,
                title=run.settings.title,
                licence_note=export.licence_note(run),
            ),
        )
        print(f"{arguments.card}: model card")
    if not arguments.check:
        return
    difference = export.largest_difference(run, load(arguments.out))
    print(
        f"Largest difference on generated faces: {difference:.1e} of the largest value "
        f"(at most {export.TOLERANCE:.0e})"
    )
    if not difference <= export.TOLERANCE:  # nor NaN
        for suffix in ("", ".json", ".data"):
            arguments.out.with_name(arguments.out.name + suffix).unlink(missing_ok=True)
        raise ModelError(
            f"{arguments.out} computed something else than the run and was deleted; try another "
            f"form than {arguments.to}, and report it."
        )

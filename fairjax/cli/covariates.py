"""`fairjax covariates`: brightness, contrast, sharpness, size and pose of face images."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli.answers import say, say_unreadable

_DESCRIPTION = """\
Measures each image and writes a table with one row per image, for fairjax audit --covariates:

  brightness   mean of the luma, 0 (black) to 255
  contrast     standard deviation of the luma
  sharpness    variance of the luma's Laplacian: falls with blur, depends on the image's size
  width        in pixels
  height       in pixels
with --landmarks TABLE (five points an image), light and sharpness are those of the face, and
  face_size    distance between the eyes, in pixels
  roll         turn of the line between the eyes, in degrees
  yaw          0 from the front, near 1 or -1 in half profile

IMAGES is a folder, a .tar, a list (.txt or .csv) or a benchmark (rfw:DIR, bfw:DIR, lfw:DIR,
phantom:), as for fairjax embed. Give aligned crops, or --landmarks: else the background counts.
Add columns of your own to the table, such as the age or the camera.
"""


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    verb = verbs.add_parser(
        "covariates",
        help="measure brightness, contrast, sharpness, size and pose of face images",
        description=_DESCRIPTION,
        epilog="Example: fairjax covariates crops/ --out images.csv && "
        "fairjax audit scores.csv --covariates images.csv --groups people.csv --by race",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("images", metavar="IMAGES", help="folder, .tar, list or benchmark")
    verb.add_argument("--out", metavar="FILE.csv", type=Path, required=True, help="table to write")
    verb.add_argument(
        "--landmarks", metavar="TABLE", default="", help="five points an image, see fairjax align"
    )
    verb.set_defaults(run=_covariates)


def _covariates(arguments: argparse.Namespace) -> None:
    from fairjax.core.errors import UsageError
    from fairjax.serve import covariates
    from fairjax.serve.sources import open_images

    if arguments.out.suffix.lower() != ".csv":
        raise UsageError(f"--out {arguments.out} must end in .csv.")
    images = open_images(arguments.images)
    say(*images.notes)
    from rich.console import Console

    with Console(stderr=True).status("Measuring ...") as status:
        names, rows, unreadable = covariates.measure(
            images,
            landmarks=arguments.landmarks,
            progress=lambda done: status.update(f"{done:,} of {len(images):,} images ..."),
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    covariates.write(arguments.out, names, rows)
    say_unreadable(arguments.out, unreadable, len(rows), "have no covariates")
    print(f"{arguments.out}: {', '.join(names)} of {len(rows):,} images")

"""`fairjax align`: face images moved onto the template by five landmarks."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli.answers import say, say_unreadable

_DESCRIPTION = """\
Turns, scales and shifts each image so that five points of the face meet the template of ArcFace,
and writes the crops as PNG files of the same names.

LANDMARKS is a table, one image a line: the path first and ten numbers last, x and y of image-left
eye, image-right eye, nose tip, image-left and image-right mouth corner, in pixels. Or it is your
own detector: module:function, a Python callable from RGB pixels [height, width, 3] to five points
[5, 2] or None; or an .onnx that gives ten numbers. No detector comes with FairJAX.
"""


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    align = verbs.add_parser(
        "align",
        help="align face images by five landmarks",
        description=_DESCRIPTION,
        epilog="Example: fairjax align photos/ landmarks.csv --out crops/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    align.add_argument("images", metavar="IMAGES", help="folder, .tar or list")
    align.add_argument("landmarks", metavar="LANDMARKS", help="a table, or your detector")
    align.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder of the crops")
    align.add_argument(
        "--size", metavar="PIXELS", type=int, default=112, help="side of a crop (default: 112)"
    )
    align.set_defaults(run=_align)


def _align(arguments: argparse.Namespace) -> None:
    from fairjax.serve.landmarks import aligned
    from fairjax.serve.model import ModelError
    from fairjax.serve.output import write_crops
    from fairjax.serve.sources import open_images
    from fairjax.serve.stream import Progress

    if not 8 <= arguments.size <= 4096:
        raise ModelError(f"--size {arguments.size} must lie between 8 and 4096.")
    images = open_images(arguments.images)
    say(*images.notes)
    images = aligned(images, arguments.landmarks, size=arguments.size)
    written, unreadable = write_crops(images, arguments.out, progress=Progress(len(images), say))
    say_unreadable(arguments.out / "crops", unreadable, written, "have no crop")
    print(f"{arguments.out}: {written:,} crops of {arguments.size} x {arguments.size}")

"""`fairjax gradcam`: where a trained network finds two faces alike."""

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    gradcam = verbs.add_parser(
        "gradcam",
        help="draw where a trained network finds two faces alike (Grad-CAM of a pair)",
        description="Draws two face images side by side. Red shows the regions through which the "
        "cosine of their embeddings grows (Grad-CAM). The network is the backbone of a finished "
        "run: an iresnet, gac without groups, or resnet.",
        epilog="Example: fairjax gradcam runs/cosface anna_1.jpg anna_2.jpg --out pair.png",
    )
    gradcam.add_argument("run_folder", metavar="RUN", type=Path, help="a finished run's folder")
    gradcam.add_argument("first", metavar="FIRST", type=Path, help="an aligned face image")
    gradcam.add_argument("second", metavar="SECOND", type=Path, help="another one")
    gradcam.add_argument(
        "--layer", default="stage_4", help="map of the backbone (default: %(default)s)"
    )
    gradcam.add_argument(
        "--out", metavar="PNG", type=Path, default=Path("pair.png"), help="default: %(default)s"
    )
    gradcam.set_defaults(run=_gradcam)


def _gradcam(arguments: argparse.Namespace) -> None:
    from PIL import Image

    from fairjax.run.gradcam import pair_picture

    picture, cosine = pair_picture(
        arguments.run_folder, arguments.first, arguments.second, layer=arguments.layer
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(arguments.out, "PNG")
    print(f"{arguments.out}: cosine {cosine:.3f}")

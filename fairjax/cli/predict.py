"""`fairjax predict`: what an attribute model says of images."""

import argparse
from typing import Any

from fairjax.cli.answers import check_file
from fairjax.cli.embed import add_arguments, compute, report


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    predict = verbs.add_parser(
        "predict",
        help="what an attribute model says of images, as a table",
        description="Writes one row an image: who is on it and groups, where known, the predicted "
        "number or class of each task, and the probability of each class. MODEL and IMAGES are as "
        "for fairjax embed.",
        epilog="Example: fairjax predict runs/quickstart photos/ --out table.parquet",
    )
    add_arguments(predict, out="TABLE")
    predict.set_defaults(run=_predict)


def _predict(arguments: argparse.Namespace) -> None:
    from fairjax.serve.model import ModelError
    from fairjax.serve.output import TABLES, write_predictions
    from fairjax.serve.stream import finish

    check_file(arguments.out)
    if arguments.out.suffix not in TABLES:
        raise ModelError(f"--out {arguments.out}: tables are written as {' or '.join(TABLES)}.")
    model, images, outcome = compute(arguments)
    if outcome is None:
        return
    write_predictions(arguments.out, model, images, outcome)
    finish(arguments.out)
    report(arguments, model, images, outcome)

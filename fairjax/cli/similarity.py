"""`fairjax similarity`: how alike two runs represent the same faces."""

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    similarity = verbs.add_parser(
        "similarity",
        help="compare the representations of two runs, by group",
        description="Linear CKA, made of unbiased HSIC, of the features that two runs of attribute "
        "models give the same test images, over everyone and by group. Both must have been trained "
        "with --config.method.save_features=True, on the same split.",
        epilog="Example: fairjax similarity runs/tfc/supervised-seed0 runs/tfc/tuned-seed0",
    )
    similarity.add_argument("first", metavar="RUN", type=Path, help="a finished run's folder")
    similarity.add_argument("second", metavar="OTHER", type=Path, help="another's")
    similarity.add_argument("--by", default="", help="the attribute of the groups; the first run's")
    similarity.add_argument("--out", type=Path, help="write the numbers to this .json")
    similarity.set_defaults(run=_similarity)


def _similarity(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from fairjax.core.results import save_results
    from fairjax.protocols import similarity
    from fairjax.report import print_tables
    from fairjax.run.score import compare_features

    results = compare_features(arguments.first, arguments.second, by=arguments.by)
    print_tables(similarity.tables(results), Console(highlight=False, markup=False))
    if arguments.out:
        save_results(arguments.out, results)

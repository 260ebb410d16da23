"""`fairjax similarity`: how alike two runs represent the same faces."""

import argparse
from pathlib import Path
from typing import Any

from fairjax.cli.answers import console


def add(verbs: Any) -> None:
    """Adds the verb to the parser."""
    similarity = verbs.add_parser(
        "similarity",
        help="compare the representations of two runs, by group",
        description="Measures how alike two trained attribute models represent the same test "
        "images, for everyone and by group: linear CKA (centred kernel alignment) with unbiased "
        "HSIC. 1 means the same up to rotation and scale, 0 unrelated. Train both runs with "
        "--config.method.save_features=True on the same split.",
        epilog="Example: fairjax similarity runs/tfc/supervised-seed0 runs/tfc/tuned-seed0",
    )
    similarity.add_argument("first", metavar="RUN", type=Path, help="folder of a finished run")
    similarity.add_argument("second", metavar="OTHER", type=Path, help="folder of the other run")
    similarity.add_argument(
        "--by",
        metavar="ATTRIBUTE",
        default="",
        help="compare within groups of this (default: the attribute of the first run's evaluation)",
    )
    similarity.add_argument(
        "--out", metavar="FILE", type=Path, help="write the numbers to this .json"
    )
    similarity.set_defaults(run=_similarity)


def _similarity(arguments: argparse.Namespace) -> None:
    from fairjax.core.results import save_results
    from fairjax.protocols import similarity
    from fairjax.report import print_tables
    from fairjax.run.score import compare_features

    results = compare_features(arguments.first, arguments.second, by=arguments.by)
    print_tables(similarity.tables(results), console())
    if arguments.out:
        save_results(arguments.out, results)

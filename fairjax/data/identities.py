"""People to train on: a tree of one folder a person, with their groups where a table knows them."""

from collections.abc import Mapping
from typing import Any

from fairjax.data import recognition
from fairjax.data.dataset import Dataset
from fairjax.data.formats.tree import HELP, read_tree


def load(
    *,
    root: str,
    seed: int,
    groups: str,
    min_images: int,
    max_images: int,
    held_out: int,
    overlap: str,
    on_error: str,
    max_bad: float,
    benchmark: Mapping[str, Any],
) -> Dataset:
    """A tree of people to train on, and a benchmark to test on.

    Args:
      root: Folder or .tar with one folder a person.
      seed: Of what is drawn: who is held out, and which images are left out.
      groups: "folder" where the folder above a person's is the group's; or a CSV table with the
        columns `identity` and `group`; or "" where groups are not known.
      min_images: People with fewer images are left out.
      max_images: Of a person with more images this many are kept, by a hash; 0 keeps all.
      held_out: So many people with two images or more are kept for validation.
      overlap: "refuse", "drop" or "allow" people who are also in the benchmark.
      on_error: "skip" or "raise" on an image that cannot be read and the like.
      max_bad: The share of files, in [0, 1], above which skipping becomes refusing.
      benchmark: The settings of one of BENCHMARKS, with its `name`.

    Raises:
      DataError: If data is missing or cannot be used, or people are in training and test.
      ValueError: If an option is none of the above.
    """
    faces = read_tree(root, groups)
    recognition.refuse_bad("identities", faces, on_error=on_error, max_bad=max_bad, told=HELP)
    return recognition.assemble(
        "identities",
        faces,
        benchmark,
        seed=seed,
        min_images=min_images,
        max_images=max_images,
        held_out=held_out,
        overlap=overlap,
    )


def check(
    *,
    root: str,
    groups: str,
    min_images: int,
    max_images: int,
    held_out: int,
    overlap: str,
    on_error: str,
    max_bad: float,
    benchmark: Mapping[str, Any],
) -> None:
    """Refuses settings that `load` would refuse, before a file is touched.

    Raises:
      ValueError: If an option is none of those that `load` names.
    """
    del root, groups  # only reading tells
    recognition.check(
        min_images=min_images,
        max_images=max_images,
        held_out=held_out,
        overlap=overlap,
        on_error=on_error,
        max_bad=max_bad,
        benchmark=benchmark,
    )

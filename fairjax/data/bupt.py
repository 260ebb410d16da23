"""BUPT-Balancedface and BUPT-Globalface: people of four races to train on.

Read from the folders of the release, `<Race>/<identity>/<image>.jpg`, or from InsightFace's
`train.rec` and `.idx`, whose races stand in a `.lst` beside them.

Source: Wang and Deng, "Mitigating Bias in Face Recognition using Skewness-Aware Reinforcement
Learning" (CVPR 2020), and the files of its release.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairjax.data import recognition
from fairjax.data.dataset import DataError, Dataset
from fairjax.data.faces import Faces
from fairjax.data.formats.files import find_source, open_files
from fairjax.data.formats.records import find_records, open_listed, require_one_to_one
from fairjax.data.formats.tree import people
from fairjax.data.rfw import RACES, gather_races

LISTED = ("Caucasian", "Indian", "Asian", "African")  # what the numbers in the .lst stand for
PLACES = ("bupt", "BUPT-Balancedface", "BUPT-Globalface")
HELP = (
    "Ask its authors for it, http://www.whdeng.cn/RFW/ (for non-commercial research only), and "
    "give the folder or .tar of <Race>/<identity>/<image>.jpg (aligned to 112 x 112), or the "
    "folder of train.rec, train.idx and train_balancedface.lst; or set FAIRJAX_DATA to a folder "
    f"that holds one of {', '.join(PLACES)}."
)


def load(
    *,
    root: str,
    seed: int,
    min_images: int,
    max_images: int,
    held_out: int,
    overlap: str,
    on_error: str,
    max_bad: float,
    benchmark: Mapping[str, Any],
) -> Dataset:
    """People of four races to train on, and a benchmark to test on.

    Args:
      root: The folder or .tar of the four races, or the folder of the records.
      seed: As in `identities`, like all that follows.
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
    faces = read(root)
    recognition.refuse_bad("bupt", faces, on_error=on_error, max_bad=max_bad, told=HELP)
    return recognition.assemble(
        "bupt",
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
    del root  # only reading tells
    recognition.check(
        min_images=min_images,
        max_images=max_images,
        held_out=held_out,
        overlap=overlap,
        on_error=on_error,
        max_bad=max_bad,
        benchmark=benchmark,
    )


def read(root: str) -> Faces:
    """The people of the release, with their races.

    Args:
      root: As in `load`.

    Raises:
      DataError: If something is missing or of another form.
    """
    path = find_source("bupt", root, places=PLACES, key="config.data.root", told=HELP)
    records = find_records(path)
    return _read_folders(path) if records is None else _read_records(records)


def _read_folders(path: Path) -> Faces:
    files = open_files(path)
    person_of, skipped = people(files)
    person_of = {name: "/".join(person.split("/")[-2:]) for name, person in person_of.items()}
    held = {person.partition("/")[0] for person in person_of.values()}
    if missing := [race for race in RACES if race not in held]:
        raise DataError(f"bupt: {path} holds no image of {', '.join(missing)}. {HELP}")
    return gather_races(files, person_of, skipped)


def _read_records(path: Path) -> Faces:
    records, listed = open_listed(path)
    if listed is None or len(listed.extra) != len(records.label):
        raise DataError(
            f"bupt: no list of races, a .lst of `path label race` lines, lies beside {path}. {HELP}"
        )
    if (wrong := (listed.extra < 0) | (listed.extra >= len(LISTED))).any():
        raise DataError(f"bupt: race {listed.extra[wrong][0]} in the .lst is none of 0..3.")
    names, person, race = records.files.names, listed.person, listed.extra.tolist()
    person_of = {n: f"{LISTED[r]}/{p}" for n, p, r in zip(names, person, race, strict=True)}
    require_one_to_one(path, records.label, list(person_of.values()))
    return gather_races(records.files, person_of, [])

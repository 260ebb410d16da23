"""BUPT-Balancedface and BUPT-Globalface: people of four races to train on.

Read from the folders of the release, `<Race>/<identity>/<image>.jpg`, or from InsightFace's
`train.rec` and `.idx`, whose races stand in a `.lst` beside them.

Source: Wang and Deng, "Mitigating Bias in Face Recognition using Skewness-Aware Reinforcement
Learning" (CVPR 2020), and the files of its release.
"""

from dataclasses import dataclass
from pathlib import Path

from fairjax.data import recognition
from fairjax.data.dataset import DataError, Dataset, Source
from fairjax.data.faces import BenchmarkSettings, Faces
from fairjax.data.formats.files import find_source, open_files
from fairjax.data.formats.records import find_records, open_listed, require_one_to_one
from fairjax.data.formats.tree import people
from fairjax.data.recognition import PeopleSettings
from fairjax.data.rfw import RACES, RfwPairs, gather_races

LISTED = ("Caucasian", "Indian", "Asian", "African")  # what the numbers in the .lst stand for
PLACES = ("bupt", "BUPT-Balancedface", "BUPT-Globalface")
HELP = (
    "Ask its authors for it, http://www.whdeng.cn/RFW/ (for non-commercial research only), and "
    "give the folder or .tar of <Race>/<identity>/<image>.jpg (aligned to 112 x 112), or the "
    "folder of train.rec, train.idx and train_balancedface.lst; or set FAIRJAX_DATA to a folder "
    f"that holds one of {', '.join(PLACES)}."
)


@dataclass(frozen=True, kw_only=True)
class BuptSource(PeopleSettings, Source):
    """Settings of BUPT: the folder or .tar of the four races, or the folder of the records.

    Attributes:
      held_out: Number of people with two images or more who are kept for validation.
      overlap: "refuse", "drop" or "allow" people who are also in the benchmark.
    """

    held_out: int = 400
    overlap: str = "drop"
    benchmark: BenchmarkSettings = RfwPairs()

    def load(self, *, seed: int) -> Dataset:
        """People of four races to train on, and a benchmark to test on."""
        faces = read(self.root)
        recognition.refuse_bad("bupt", faces, self, help_text=HELP)
        return recognition.assemble("bupt", faces, self, seed=seed)


def read(root: str) -> Faces:
    """The people of the release, with their races.

    Args:
      root: The folder or .tar of the four races, or the folder of the records.

    Raises:
      DataError: If something is missing or of another form.
    """
    path = find_source("bupt", root, candidates=PLACES, key="config.data.root", help_text=HELP)
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

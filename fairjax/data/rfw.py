"""RFW (Racial Faces in the Wild): four sets of people with pairs, one a race.

Read from the folders of the release, `test/data/<Race>/<id>/<id>_NNNN.jpg` with the lists in
`test/txts/<Race>/`, whose faces are aligned here by the landmarks in those lists; or from
InsightFace's `<Race>_test.bin`, which are aligned already.

Source: Wang, Deng, Hu, Tao and Huang, "Racial Faces in the Wild: Reducing Racial Bias by
Information Maximization Adaptation Network" (ICCV 2019), and the readme of its release.
"""

import io
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from fairjax.data.dataset import DataError
from fairjax.data.faces import Benchmark, Faces, ListedPairs, gather
from fairjax.data.formats.align import TEMPLATE_SIZE, align
from fairjax.data.formats.bins import open_bins
from fairjax.data.formats.files import ImageFiles, find_source, is_count, open_files
from fairjax.data.formats.pairs import Line, match, parse_pairs, refuse_problems
from fairjax.data.formats.tree import numbered

RACES = ("African", "Asian", "Caucasian", "Indian")
FARTHEST = 1e5  # pixels from the corner; a landmark beyond is none
ATTRIBUTE = "race"
ASSIGNED_BY = (
    "By the authors, in four coarse classes: nationality in Freebase for Asian and Indian, a "
    "model's estimate from the picture for African and Caucasian; nobody was asked."
)
PLACES = ("rfw.tar", "RFW", "rfw")
HELP = (
    "Ask its authors for it, http://www.whdeng.cn/RFW/ (for non-commercial research only), unpack "
    "any .gz, and give the folder (or .tar) that holds test/data and test/txts, or the one of the "
    "four <Race>_test.bin; or set FAIRJAX_DATA to a folder that holds one of "
    f"{', '.join(PLACES)}."
)


@dataclass(frozen=True, kw_only=True)
class RfwPairs(ListedPairs):
    """Settings of RFW: the release's folder or .tar, or a folder of `.bin` files.

    Attributes:
      align: Whether images of the release are aligned by their landmarks, to 112 x 112; those of a
        `.bin` are aligned already.
    """

    align: bool = True

    def load(self, *, seed: int) -> Benchmark:
        """Reads images, pairs and landmarks; nothing is drawn."""
        del seed
        return refuse_problems(read(self.root, aligned=self.align), on_error=self.on_error)


def read(root: str, *, aligned: bool) -> Benchmark:
    """The benchmark, with the lines that cannot be used as problems.

    Args:
      root: The release's folder or .tar, or the folder of `.bin` files.
      aligned: Whether images of the release are aligned by their landmarks.

    Raises:
      DataError: If something is missing or of another form.
    """
    path = find_source(
        "rfw", root, candidates=PLACES, key="config.data.benchmark.root", help_text=HELP
    )
    if path.is_dir() and any(path.glob("*_test.bin")):
        return _read_bins(path)
    return _read_release(path, aligned=aligned)


def _read_bins(path: Path) -> Benchmark:
    paths = {race: path / f"{race}_test.bin" for race in RACES}
    if missing := [file.name for file in paths.values() if not file.exists()]:
        raise DataError(f"rfw: {path} lacks {', '.join(missing)}. {HELP}")
    bins = open_bins(paths)
    faces = gather_races(bins.files, bins.person_of, [])
    return match("rfw", faces, bins.lines, bins.names)


def _read_release(path: Path, *, aligned: bool) -> Benchmark:
    files = open_files(path)
    person_of = {
        name: f"{race}/{person}"
        for name in files.names
        for race, person, _ in [("", "", "", *name.split("/"))[-3:]]
        if race in RACES
    }
    held = {person.partition("/")[0] for person in person_of.values()}
    if missing := [race for race in RACES if race not in held]:
        raise DataError(f"rfw: {path} holds no image of {', '.join(missing)}. {HELP}")
    lists = open_files(path, suffixes=(".txt",))
    skipped: list[tuple[str, str, str]] = []
    lines: list[Line] = []
    points: dict[str, list[float]] = {}
    for race in RACES:
        skipped += _short_of_images(person_of, race, _text(lists, f"{race}_people.txt"))
        for line in parse_pairs(_text(lists, f"{race}_pairs.txt"), name=f"{race}_pairs.txt"):
            sides = [(f"{race}/{person}", number) for person, number in (line.first, line.second)]
            lines.append(line._replace(first=sides[0], second=sides[1]))
        if aligned:
            points |= _landmarks(race, _text(lists, f"{race}_lmk.txt"))
    if aligned:
        for name in [name for name in person_of if _tail(name) not in points]:
            skipped.append((name, "landmarks", "no landmarks in the lists"))
            del person_of[name]
    faces = gather_races(files, person_of, skipped)
    if aligned:
        landmarks = np.array([points[_tail(name)] for name in faces.ids.tolist()])
        faces = replace(faces, read=_aligner(faces.read, landmarks.reshape(-1, 5, 2)))
    return match("rfw", faces, lines, numbered(person_of))


def gather_races(
    files: ImageFiles, person_of: Mapping[str, str], skipped: Sequence[tuple[str, str, str]]
) -> Faces:
    """The images of people who are named by their race and identity, "African/m.0abc"."""
    return gather(
        files,
        person_of,
        group_of={person: person.partition("/")[0] for person in person_of.values()},
        groups=RACES,
        attribute=ATTRIBUTE,
        assigned_by=ASSIGNED_BY,
        skipped=skipped,
    )


def _text(lists: ImageFiles, wanted: str) -> str:
    """The text of the list of this name, wherever it lies."""
    for name in lists.names:
        if name.rpartition("/")[2] == wanted:
            return lists.read(name).decode("utf-8-sig", "replace")
    raise DataError(f"rfw: {lists.path} lacks the list {wanted}. {HELP}")


def _short_of_images(person_of: dict[str, str], race: str, text: str) -> list[tuple[str, str, str]]:
    """People of whom the release says that it has more images than there are."""
    held = Counter(person_of.values())
    short = []
    for number, line in enumerate(text.splitlines(), 1):
        person, _, count = line.rpartition("\t")
        if not is_count(count.strip()):
            raise DataError(f"{race}_people.txt:{number}: {line!r} is not `id<TAB>number`.")
        if held[f"{race}/{person}"] < int(count):
            reason = f"{held[f'{race}/{person}']} images, {int(count)} by {race}_people.txt"
            short.append((f"{race}/{person}", "identity", reason))
    return short


def _landmarks(race: str, text: str) -> dict[str, list[float]]:
    """For each image, by the last parts of its name, ten numbers: x and y of five points."""
    points = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("\t")
        try:
            numbers = [float(field) for field in fields[-10:]]
        except ValueError:
            numbers = []
        spread = len(set(zip(numbers[::2], numbers[1::2], strict=False)))
        there = all(abs(number) <= FARTHEST for number in numbers)  # not of NaN
        if len(fields) < 12 or len(numbers) != 10 or spread < 2 or not there:
            raise DataError(
                f"{race}_lmk.txt:{number}: {line[:80]!r} is not a path, a label and, at "
                "the end, ten numbers: x and y of five points."
            )
        points[_tail(f"{race}/{'/'.join(fields[0].split('/')[-2:])}")] = numbers
    return points


def _tail(name: str) -> str:
    """Race, person and file of a name."""
    return "/".join(name.split("/")[-3:])


def _aligner(
    read: Callable[[np.ndarray], Sequence[bytes] | np.ndarray], landmarks: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Reads, decodes and aligns."""

    def align_one(encoded: bytes, points: np.ndarray) -> np.ndarray:
        with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image:
            pixels = np.asarray(image.convert("RGB"))
        return align([pixels], points[None], size=TEMPLATE_SIZE)[0]

    def aligned(rows: np.ndarray) -> np.ndarray:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            return np.stack([*pool.map(align_one, read(rows), landmarks[rows])])

    return aligned

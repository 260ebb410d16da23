"""Images of people: what every reader of identities and of benchmarks hands over."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import Int, Shaped

from fairjax.core.comparisons import UNKNOWN, Pairs
from fairjax.core.names import alike, counted
from fairjax.core.settings import need
from fairjax.data import duplicates
from fairjax.data.formats import cache
from fairjax.data.formats.files import ImageFiles, printable
from fairjax.data.formats.upright import upright

_KEPT = "looks-2"  # raise the number when what counts as readable, or the format, changes
_SIZES = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, None))


@dataclass(frozen=True)
class Faces:
    """Images of people in a fixed order.

    Attributes:
      source: Where they come from, for messages and the manifest.
      ids: [images] strings, unique.
      person: For each image the number of the person on it, an index into `people`.
      people: [people] strings, unique and sorted. Where one name stands for several people, as one
        in every group, it follows a slash: "African/m.0abc".
      group: For each person an index into `groups`, or UNKNOWN.
      groups: The groups' names.
      attribute: What the groups are groups of: "race", "group".
      assigned_by: Who says to which group a person belongs.
      digests: [images] strings: equal where two images are, such as a hash of their bytes.
      skipped: (name, kind, reason), sorted, of corrupt images and other files that cannot be used.
      read: Reader of images by row; see `Examples`.
      files: How many files the source holds, {"found": n}, and how many of each kind were passed
        over without being looked at, {".webp files": n}; {} where it has none.
      notes: Sentences on what looks odd: people whose names are alike, or who share a picture.
    """

    source: str
    ids: Shaped[np.ndarray, " images"]
    person: Int[np.ndarray, " images"]
    people: Shaped[np.ndarray, " people"]
    group: Int[np.ndarray, " people"]
    groups: tuple[str, ...]
    attribute: str
    assigned_by: str
    digests: Shaped[np.ndarray, " images"]
    skipped: tuple[tuple[str, str, str], ...]
    read: Callable[[np.ndarray], Sequence[bytes] | np.ndarray]
    files: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> "Faces":
        """The given rows in the given order, and the people who are on them, renumbered."""
        people, person = np.unique(self.person[rows], return_inverse=True)
        return replace(
            self,
            ids=self.ids[rows],
            person=person,
            people=self.people[people],
            group=self.group[people],
            digests=self.digests[rows],
            read=lambda subset: self.read(rows[subset]),
        )


class Problem(NamedTuple):
    """A line of a list of pairs that cannot be used: where it stands, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """People who are to be told apart, and the pairs of images that this is tried on.

    Attributes:
      name: Key of the benchmark in BENCHMARKS.
      faces: The images.
      pairs: Rows of `faces`.
      problems: The lines of its lists that cannot be used.
    """

    name: str
    faces: Faces
    pairs: Pairs
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """Settings of a benchmark of pairs; those of each kind add their own, with defaults.

    Settings are checked when they are made, as those of a dataset are.

    Attributes:
      root: Folder or file of the images; "" looks into the folder named by FAIRJAX_DATA.
    """

    root: str = ""

    def __post_init__(self) -> None:
        """Checks the fields."""

    @staticmethod
    def kinds() -> Mapping[str, "type[BenchmarkSettings]"]:
        """The benchmarks that a config chooses from."""
        from fairjax.data.benchmarks import BENCHMARKS

        return BENCHMARKS

    def load(self, *, seed: int) -> Benchmark:
        """Reads images and pairs.

        Args:
          seed: Seed of what is drawn.

        Raises:
          DataError: If something is missing, or a line or an image cannot be used.
        """
        raise NotImplementedError  # each kind of benchmark has its own


@dataclass(frozen=True, kw_only=True)
class ListedPairs(BenchmarkSettings):
    """Settings of a benchmark whose pairs stand in a list.

    Attributes:
      on_error: "raise" refuses a pair that cannot be used, "skip" leaves it out.
    """

    on_error: str = "raise"

    def __post_init__(self) -> None:
        super().__post_init__()
        need(self.on_error in ("raise", "skip"), "on_error", self.on_error, "'raise' or 'skip'")


def look(files: ImageFiles) -> tuple[dict[str, str], dict[str, str], int]:
    """Reads and decodes every file, once: the outcome is kept while the source stays as it is.

    Returns:
      For each name that is a picture a hash of its bytes, for each corrupt or unreadable file the
      reason, and how many pictures were turned as their EXIF orientation says.
    """
    kind = f"{_KEPT}-{duplicates.decoders()}"
    kept = cache.load(kind, files.stamp)
    if isinstance(kept, list) and len(kept) == len(files.names):
        outcome = kept
    else:
        logging.info("Looking at all %d images of %s, this once.", len(files.names), files.path)
        outcome = [
            [item.digest, item.reason, item.rotated]
            for batch in duplicates.look(files)
            for item in batch
        ]
        if all(digest for digest, *_ in outcome):  # a disk's fault may pass; forget it
            cache.save(kind, files.stamp, outcome)
    digests, unreadable, turned = {}, dict(files.skipped), 0
    for name, (digest, reason, rotated) in zip(files.names, outcome, strict=True):
        if reason:
            unreadable[name] = reason
        else:
            digests[name] = digest
            turned += bool(rotated)
    return digests, unreadable, turned


def gather(
    files: ImageFiles,
    person_of: Mapping[str, str],
    *,
    group_of: Mapping[str, str],
    groups: Sequence[str],
    attribute: str,
    assigned_by: str,
    skipped: Sequence[tuple[str, str, str]] = (),
) -> Faces:
    """The images of a source that can be read, person by person.

    Args:
      files: The source.
      person_of: For each file to be used, who is on it.
      group_of: For each person the group's name; "" or nothing where it is not known.
      groups: The groups' names, in label order.
      attribute: What they are groups of.
      assigned_by: Who says so.
      skipped: What the caller could not use, and why.
    """
    digests, unreadable, turned = look(files)
    names = sorted(person_of.keys() & digests.keys(), key=lambda name: (person_of[name], name))
    people, person = np.unique([person_of[name] for name in names], return_inverse=True)
    number = {name: index for index, name in enumerate(groups)}
    digest_of = np.array([digests[name] for name in names], np.str_)
    total = len(files.names) + len(files.skipped) + sum(files.passed_over.values())
    return Faces(
        source=str(files.path),
        ids=np.array(names, np.str_),
        person=person,
        people=people,
        group=np.array([number.get(group_of.get(p, ""), UNKNOWN) for p in people.tolist()], int),
        groups=tuple(groups),
        attribute=attribute,
        assigned_by=assigned_by,
        digests=digest_of,
        skipped=tuple(
            sorted([*skipped, *((name, "image", reason) for name, reason in unreadable.items())])
        ),
        read=lambda rows: [upright(files.read(names[row])) for row in rows.tolist()],
        files={"found": total, **files.passed_over},
        notes=tuple(_notes(people, person, digest_of, turned)),
    )


def _notes(people: np.ndarray, person: np.ndarray, digests: np.ndarray, turned: int) -> list[str]:
    """What looks odd about people and their pictures."""
    notes = []
    if turned:
        notes.append(
            f"{counted(turned, 'picture was', 'pictures were')} "
            "turned as the EXIF orientation says."
        )
    if look_alikes := alike(people.tolist()):
        first, second, difference = look_alikes[0]
        notes.append(
            f"{printable(first)!r} and {printable(second)!r} differ by {difference} alone "
            f"({counted(len(look_alikes), 'such name')}); they count as different people."
        )
    order = np.lexsort([person, digests])
    same = digests[order][1:] == digests[order][:-1]
    shared = same & (person[order][1:] != person[order][:-1])
    if shared.any():
        row = int(np.argmax(shared))
        names = [printable(str(people[person[order[k]]])) for k in (row, row + 1)]
        notes.append(
            f"{counted(len(set(digests[order][1:][shared])), 'picture stands', 'pictures stand')} "
            f"under the names of several people, such as {names[0]!r} and {names[1]!r}: is it one "
            "person with two names?"
        )
    return notes


def counts(faces: Faces) -> dict[str, Any]:
    """How many people and images there are, by group, and images a person; JSON-ready."""
    size = np.bincount(faces.person, minlength=len(faces.people))
    names = [*faces.groups, "unknown"]  # UNKNOWN is -1, the last
    steps = [(low, high or max(low, int(size.max(initial=low)))) for low, high in _SIZES]
    return {
        "people": len(faces.people),
        "images": len(faces),
        "by_" + faces.attribute: {
            names[g]: {
                "people": int((faces.group == g).sum()),
                "images": int(size[faces.group == g].sum()),
            }
            for g in [*range(len(faces.groups)), UNKNOWN]
            if g != UNKNOWN or (faces.group == UNKNOWN).any()
        },
        "images_per_person": {
            f"{low}-{high}" if high != low else str(low): n
            for low, high in steps
            if (n := int(((size >= low) & (size <= high)).sum()))
        },
    }


def file_account(faces: Faces) -> dict[str, int]:
    """Every file of the source by what became of it; the numbers add up to "found"."""
    if not faces.files:
        return {}
    passed = {kind: n for kind, n in faces.files.items() if kind != "found"}
    skipped = Counter(
        {name: kind for name, kind, _ in faces.skipped if kind != "identity"}.values()
    )
    skipped_by = {f"skipped: {kind}": n for kind, n in sorted(skipped.items())}
    by_fate = {"used": len(faces), **skipped_by, **passed}
    rest = faces.files["found"] - sum(by_fate.values())
    if rest > 0:
        by_fate["of nobody who is asked for"] = rest
    return {"found": faces.files["found"], **by_fate}


def account(faces: Faces) -> dict[str, Any]:
    """What a source holds, JSON-ready: the check prints it and the manifest holds it."""
    state = hashlib.blake2b(digest_size=16)
    people, group = faces.people[faces.person], faces.group[faces.person]
    for row in np.argsort(faces.ids, kind="stable").tolist():
        line = f"{faces.ids[row]}\0{people[row]}\0{group[row]}\0{faces.digests[row]}\n"
        state.update(line.encode())
    return {
        "source": faces.source,
        **counts(faces),
        "files": file_account(faces),
        "notes": list(faces.notes),
        "skipped": [
            {"file": name, "kind": kind, "reason": reason} for name, kind, reason in faces.skipped
        ],
        "hash": state.hexdigest(),
    }

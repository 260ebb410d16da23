"""Images to embed: a folder, a .tar, a list, or a benchmark with its pairs."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.core.comparisons import UNKNOWN, Pairs
from fairjax.core.names import clean, clean_path
from fairjax.data import BENCHMARKS
from fairjax.data.dataset import DataError
from fairjax.data.faces import Benchmark, Faces
from fairjax.data.formats.files import (
    SUFFIXES,
    open_files,
    printable,
    read_text,
    require_unchanged,
    stamp_of,
    table_rows,
)
from fairjax.serve.decode import decode
from fairjax.serve.model import ModelError

LISTS = (".txt", ".lst", ".csv", ".tsv")
_IMAGE_COLUMNS = ("image", "path", "file", "filename", "id")
_SUBJECT_COLUMNS = ("subject", "identity", "person")


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images in a fixed order, and what is known of them.

    Attributes:
      source: The folder, file or benchmark as the user wrote it.
      names: [images] strings, unique.
      read: Row -> RGB pixels uint8 [height, width, 3], safe to call from many threads. Raises
        OSError, SyntaxError or ValueError where an image cannot be read.
      stamp: A hash that moves when the images do.
      subject: [images] strings: who is on each image; None where nobody says.
      groups: [images] strings by attribute; "" is unknown.
      pairs: Rows that a benchmark compares; None where there is no benchmark.
      protocol: Name of the benchmark; "" where there is none.
      unreadable: (name, reason) of what is there and cannot be used.
      alignment: What has been done with the faces, in words.
      notes: Sentences for the user.
    """

    source: str
    names: np.ndarray
    read: Callable[[int], np.ndarray]
    stamp: str
    subject: np.ndarray | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    pairs: Pairs | None = None
    protocol: str = ""
    unreadable: Sequence[tuple[str, str]] = ()
    alignment: str = "as they are"
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.names)


def open_images(text: str, *, size: int = 112) -> Images:
    """The images that the user names.

    Args:
      text: A folder (searched at any depth) or an uncompressed .tar of JPEG and PNG files; a list:
        .txt with one path a line, or .csv/.tsv with a column "image" and perhaps "subject" and
        groups, paths being below the list's folder; or a benchmark, "rfw:DIR", "bfw:DIR",
        "lfw:DIR"; "phantom:" draws a benchmark of made-up faces.
      size: Size of made-up faces, in pixels.

    Raises:
      DataError: If there is no such place or no image in it.
      ModelError: If a benchmark's name is not known.
    """
    name, colon, where = text.partition(":")
    if colon and not Path(text).exists() and len(name) > 1:  # one letter is a Windows drive
        return _benchmark(text, name, where, size)
    path = Path(text).expanduser()
    if path.is_file() and path.suffix.lower() in LISTS:
        return _listed(path)
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path} is one image; give its folder, or a list of paths in a .txt.")
    files = open_files(path)
    return Images(
        source=text,
        names=np.array(files.names, np.str_),
        read=lambda row: decode(files.read(files.names[row])),
        stamp=files.stamp,
        unreadable=files.skipped,
        notes=[f"{n:,} {what} were passed over." for what, n in files.passed_over.items()],
    )


def _benchmark(text: str, name: str, where: str, size: int) -> Images:
    if name not in BENCHMARKS:
        raise ModelError(
            f"{text!r}: there is no benchmark {name!r} and no such folder; benchmarks are "
            f"{', '.join(f'{known}:DIR' for known in sorted(BENCHMARKS))}."
        )
    settings: dict[str, Any] = {"root": where}
    if name == "lfw" and not where.endswith(".bin"):
        settings["pairs"] = str(_pairs_list(Path(where).expanduser()))
    if name == "phantom":
        settings["image_size"] = size
    try:
        loaded = BENCHMARKS[name](**settings).load(seed=0)
    except DataError as error:  # whose words are for a config
        raise DataError(str(error).replace("config.data.benchmark.root", f"{name}:DIR")) from None
    return of_benchmark(text, loaded)


def of_benchmark(text: str, benchmark: Benchmark) -> Images:
    """A benchmark's images with people, groups and pairs.

    Args:
      text: What the user wrote.
      benchmark: What was read.
    """
    faces = benchmark.faces
    read = _drawn(faces) if benchmark.name == "phantom" else _encoded(faces)
    groups = {}
    if faces.groups:
        names = np.array([*faces.groups, ""])  # UNKNOWN is -1, the last
        assert UNKNOWN == -1
        groups[faces.attribute] = names[faces.group[faces.person]]
    digest = hashlib.sha256("\n".join([*faces.ids.tolist(), *faces.digests.tolist()]).encode())
    aligned = "by the release's landmarks" if benchmark.name == "rfw" else "as they are"
    return Images(
        source=text,
        names=faces.ids,
        read=read,
        stamp=digest.hexdigest()[:32],
        subject=faces.people[faces.person],
        groups=groups,
        pairs=benchmark.pairs,
        protocol=benchmark.name,
        unreadable=[(name, why) for name, kind, why in faces.skipped if kind != "identity"],
        alignment=aligned,
        notes=[*faces.notes, f"{faces.attribute} labels: {faces.assigned_by}"],
    )


def _encoded(faces: Faces) -> Callable[[int], np.ndarray]:
    """A reader of pictures in files, one at a time."""

    def read(row: int) -> np.ndarray:
        image = faces.read(np.array([row]))[0]
        return image if isinstance(image, np.ndarray) else decode(image)

    return read


def _drawn(faces: Faces) -> Callable[[int], np.ndarray]:
    """A reader of made-up faces, of which 64 are drawn in the time of five single ones."""

    @lru_cache(maxsize=16)
    def block(number: int) -> np.ndarray:
        return np.asarray(faces.read(np.arange(64 * number, min(64 * (number + 1), len(faces)))))

    return lambda row: block(row // 64)[row % 64]


def _pairs_list(folder: Path) -> Path:
    """The list of pairs of an LFW-style folder: in it, or beside it."""
    candidates = [folder / "pairs.txt", folder / "pairs", folder.with_name("pairs.txt")]
    lists = [path for path in candidates if path.exists()]
    if any(folder.glob("*_pairs.txt")):
        lists.insert(0, folder)
    if not lists:
        raise DataError(
            f"lfw:{folder}: no list of pairs; put pairs.txt (or <Group>_pairs.txt, one a group) "
            "into the folder."
        )
    return lists[0]


def _listed(path: Path) -> Images:
    """The images of a list, with the columns beside them."""
    columns: dict[str, list[str]] = {}
    if path.suffix.lower() in (".csv", ".tsv"):
        names, rows = table_rows(path, delimiters=",;\t")
        columns = {name: [] for name in names}
        for _, row in rows:
            for name in names:
                columns[name].append(clean(row.get(name) or ""))
        image = next((name for name in names if name.lower() in _IMAGE_COLUMNS), None)
        if image is None:
            raise DataError(
                f"{path}: no column of images ({', '.join(_IMAGE_COLUMNS)}); it has "
                f"{printable(', '.join(names))}."
            )
        listed = columns.pop(image)
    else:
        listed = [line for line in map(str.strip, read_text(path).splitlines()) if line]
    listed = [clean_path(name) for name in listed]
    if not listed:
        raise DataError(f"{path}: the list names no image.")
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise DataError(f"{path}: {printable(twice)} is listed twice.")
    folder = path.absolute().parent
    states: dict[str, tuple[int, int]] = {}
    for name in listed:
        try:
            state = (folder / name).stat()
            states[name] = (state.st_size, state.st_mtime_ns)
        except OSError:
            continue  # it is counted as unreadable, with its reason, when it is read

    def read(row: int) -> np.ndarray:
        with (folder / listed[row]).open("rb") as file:
            require_unchanged(folder / listed[row], file.fileno(), states[listed[row]])
            return decode(file.read())

    who = next((name for name in columns if name.lower() in _SUBJECT_COLUMNS), None)
    subject = columns.pop(who) if who else None
    return Images(
        source=str(path),
        names=np.array(listed, np.str_),
        read=read,
        stamp=stamp_of(path, ((name, *states.get(name, (-1, -1))) for name in listed)),
        subject=None if subject is None else np.array(subject, np.str_),
        groups={name: np.array(column, np.str_) for name, column in columns.items()},
    )

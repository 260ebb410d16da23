"""Files of other evaluation tools as the tables that an audit reads.

Score files of bob.bio have no header. Each line is, between blanks,

    claimed_id real_id test_label score                    (four columns)
    claimed_id model_label real_id test_label score        (five columns)

The outputs of FHIBE's evaluation are JSON: {path of an image: {"detections": its embedding}}. The
path says who is on the image: data/raw/.../SUBJECT/IMAGE/faces_crop_and_align_IMAGE_SUBJECT.png.

Source: `bob/bio/base/score/load.py` of bob.bio.base; `fhibe_evaluation_api` of Sony Research and
  its tests' model_outputs.json.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fairjax.audit.tables import InMemory, InputError, Source
from fairjax.core.names import counted

_HEAD = 1 << 16  # bytes that tell the format
_RELEASE = re.compile(r"\bfhibe\.\d{8}\.[\w.]+")
_ALIGNED = re.compile(r"faces_crop_(?:and_align|only)_(?P<image>[^/_]+)_(?P<subject>[^/_.]+)\.\w+$")
_COLUMNS = {
    4: ("subject1", "subject2", "image2", "score"),
    5: ("subject1", "image1", "subject2", "image2", "score"),
}


def adopt(source: Source) -> Source:
    """The table in a file of another tool; any other source as it is.

    Raises:
      InputError: If the file is of such a format, but damaged.
    """
    if not isinstance(source, Path) or not source.is_file():
        return source
    if source.suffix.lower() == ".json":
        return _fhibe(source)
    if source.suffix.lower() in (".csv", ".tsv", ".parquet", ".jsonl", ".xlsx", ".npz", ".npy"):
        return source
    count = _bob_columns(source)
    return _bob(source, count) if count else source


def release_of(source: Source) -> str:
    """The release of FHIBE that the paths in its outputs name; "" where there is none."""
    if not isinstance(source, Path) or source.suffix.lower() != ".json" or not source.is_file():
        return ""
    with source.open("rb") as file:
        hit = _RELEASE.search(file.read(_HEAD).decode("utf-8", "replace"))
    return hit[0] if hit else ""


def _bob_columns(path: Path) -> int:
    """How many columns a score file of bob.bio has; 0 where it is none."""
    with path.open("rb") as file:
        lines = file.read(_HEAD).decode("utf-8", "replace").splitlines()
    fields = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if not fields or len(fields[0]) not in _COLUMNS or "," in lines[0]:
        return 0
    return len(fields[0]) if _number(fields[0][-1]) is not None else 0


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _bob(path: Path, count: int) -> InMemory:
    columns: list[list[Any]] = [[] for _ in range(count)]
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: its text is not UTF-8; save the file as UTF-8.") from error
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        score = _number(fields[-1])
        if len(fields) != count or score is None:
            raise InputError(
                f"{path}, line {number}: expected {count} fields between blanks, the last one "
                f"a score, as in the first line; it has {len(fields)}."
            )
        for column, word in zip(columns, fields[:-1], strict=False):
            column.append(word)
        columns[-1].append(None if math.isnan(score) else score)
    table = dict(zip(_COLUMNS[count], columns, strict=True))
    if count == 4:  # one model a person
        table["image1"] = [f"model of {name}" for name in table["subject1"]]
    return InMemory(pa.table(table), name=path.name)


def _fhibe(path: Path) -> InMemory:
    try:
        outputs = json.loads(path.read_bytes())
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not whole JSON ({error}).") from error
    found = outputs if isinstance(outputs, dict) else {}
    vectors = {
        name: one["detections"]
        for name, one in found.items()
        if isinstance(one, dict) and isinstance(one.get("detections"), list)
    }
    if not vectors or len(vectors) < len(found):
        raise InputError(
            f"{path}: {counted(len(found) - len(vectors), 'image')} of {len(found):,} without "
            'numbers; expected the outputs of FHIBE face verification, {path: {"detections": '
            "[numbers]}}."
        )
    images = [_short(name) for name in vectors]
    hits = [_ALIGNED.search(name) for name in images]
    try:
        embedding = np.array(list(vectors.values()), np.float32)
    except ValueError as error:
        raise InputError(f"{path}: embeddings differ in length, or hold text.") from error
    if embedding.ndim != 2:
        raise InputError(f"{path}: each image needs one list of numbers.")
    columns = {"image": images}
    if all(hits):
        columns["subject"] = [hit["subject"] for hit in hits if hit]
    return InMemory(pa.table(columns), {"embedding": embedding}, path.name)


def _short(name: str) -> str:
    """A path from data/ on, as FHIBE's own tables have it."""
    place = name.replace("\\", "/").rfind("data/raw/")
    return name[place:] if place >= 0 else name

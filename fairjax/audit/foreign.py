"""Files of other evaluation tools as the tables that an audit reads.

Score files of bob.bio have no header. Each line is, between blanks,

    claimed_id real_id test_label score                    (four columns)
    claimed_id model_label real_id test_label score        (five columns)

Match lists of three columns (two images and a score) are read likewise. The validation drivers of
NIST's face recognition evaluations (FRVT, FRTE) write a header first: a match list of one to one
comparisons, and candidate lists of searches, as `candidates_of` reads them,

    enrollTempl verifTempl simScore returnCode
    searchId candidateRank searchRetCode isAssigned templateId score decision

A return code other than 0 is a failure. A JSON list of objects is a table of their plain values:
what DeepFace.verify returns for each pair, with the names of the images.

The outputs of FHIBE's evaluation are JSON: {path of an image: {"detections": its embedding}}. The
path says who is on the image: data/raw/.../SUBJECT/IMAGE/faces_crop_and_align_IMAGE_SUBJECT.png.

Source: `bob/bio/base/score/load.py` of bob.bio.base; `validate11.cpp` and `validate1N.cpp` of
  usnistgov/frvt; `fhibe_evaluation_api` of Sony Research and its tests' model_outputs.json.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fairjax.audit.tables import InMemory, InputError, Source, listed
from fairjax.core.names import counted

_HEAD = 1 << 16  # bytes that tell the format
_RELEASE = re.compile(r"\bfhibe\.\d{8}\.[\w.]+")
_ALIGNED = re.compile(r"faces_crop_(?:and_align|only)_(?P<image>[^/_]+)_(?P<subject>[^/_.]+)\.\w+$")
_COLUMNS = {
    3: ("image1", "image2", "score"),
    4: ("subject1", "subject2", "image2", "score"),
    5: ("subject1", "image1", "subject2", "image2", "score"),
}
_MATCHES = (("enrolltempl", "enrolltemplate"), ("veriftempl", "veriftemplate"), ("simscore",))
_CANDIDATES = ["searchid", "candidaterank", "searchretcode", "isassigned", "templateid", "score"]
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".xlsx", ".npz", ".npy")


def adopt(source: Source) -> Source:
    """The table in a file of another tool; any other source as it is.

    Raises:
      InputError: If the file is of such a format, but damaged.
    """
    if not isinstance(source, Path) or not source.is_file():
        return source
    if source.suffix.lower() == ".json":
        return _json(source)
    if source.suffix.lower() in _TABLES:
        return source
    header = _first_fields(source)
    if _is_match_list(header):
        return _match_list(source, header)
    if header and len(header) in _COLUMNS and _number(header[-1]) is not None:
        return _score_list(source, len(header))
    return source


def candidates_of(source: Path) -> Source:
    """Candidate lists that NIST's driver wrote as a table; any other source as it is.

    The table has the columns probe, candidate_image, score and failed. Places of a list without a
    candidate keep one row a search.

    Raises:
      InputError: If the file is of that format, but damaged.
    """
    if not source.is_file() or source.suffix.lower() in (*_TABLES, ".json"):
        return source
    header = _first_fields(source)
    if [word.lower() for word in header[: len(_CANDIDATES)]] != _CANDIDATES:
        return source
    columns: dict[str, list[Any]] = {
        name: [] for name in ("probe", "candidate_image", "score", "failed")
    }
    for number, fields in _lines(source, header):
        # A place without a candidate may have a blank template: one field fewer
        empty = fields[3:4] == ["0"]
        if len(fields) != len(header) and not (empty and len(fields) == len(header) - 1):
            raise _miscounted(source, number, len(header), len(fields))
        probe, rank, code = fields[:3]
        assigned = not empty and code == "0"
        score = _number(fields[5]) if assigned else None
        if assigned and (score is None or math.isnan(score)):
            raise InputError(f"{source}, line {number}: score is {fields[5]!r}, not a number.")
        if not assigned and rank != "0":
            continue
        columns["probe"].append(probe)
        columns["candidate_image"].append(fields[4] if assigned else "")
        columns["score"].append(score)
        columns["failed"].append("0" if code == "0" else "1")
    table = {name: pa.array(column, _type(name)) for name, column in columns.items()}
    return InMemory(pa.table(table), name=source.name)


def _type(column: str) -> pa.DataType:
    return pa.float64() if column == "score" else pa.string()


def release_of(source: Source) -> str:
    """The release of FHIBE that the paths in its outputs name; "" where there is none."""
    if not isinstance(source, Path) or source.suffix.lower() != ".json" or not source.is_file():
        return ""
    with source.open("rb") as file:
        hit = _RELEASE.search(file.read(_HEAD).decode("utf-8", "replace"))
    return hit[0] if hit else ""


def _first_fields(path: Path) -> list[str]:
    """The fields between blanks of the first line that is no comment; [] where commas part them."""
    with path.open("rb") as file:
        lines = file.read(_HEAD).decode("utf-8", "replace").splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return [] if "," in first else first.split()


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _lines(path: Path, header: Sequence[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line; comments and (repeated) headers are left out.

    Raises:
      InputError: If the text is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                fields = line.split()
                if fields and not line.startswith("#") and fields != list(header):
                    yield number, fields
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: its text is not UTF-8; save the file as UTF-8.") from error


def _miscounted(
    path: Path, number: int, wanted: int, count: int, what: str = "as in the header"
) -> InputError:
    return InputError(
        f"{path}, line {number}: expected {wanted} fields between blanks, {what}; it has {count}."
    )


def _score_list(path: Path, count: int) -> InMemory:
    """Lines of names with a score behind them: bob.bio's, or two images and a score."""
    columns: list[list[Any]] = [[] for _ in range(count)]
    for number, fields in _lines(path):
        score = _number(fields[-1])
        if len(fields) != count or score is None:
            what = "the last one a score, as in the first line"
            raise _miscounted(path, number, count, len(fields), what)
        for column, word in zip(columns, fields[:-1], strict=False):
            column.append(word)
        columns[-1].append(None if math.isnan(score) else score)
    if count == 3 and set(columns[-1]) <= {0.0, 1.0}:
        raise InputError(
            f"{path}: its third column has only 0 and 1, which are labels and no scores; audits "
            "need a score for each pair, such as a column 'score' beside a column 'mated'."
        )
    table = dict(zip(_COLUMNS[count], columns, strict=True))
    if count == 4:  # one model a person
        table["image1"] = [f"model of {name}" for name in table["subject1"]]
    return InMemory(pa.table(table), name=path.name)


def _is_match_list(header: Sequence[str]) -> bool:
    return len(header) == 4 and all(
        word.lower() in known for word, known in zip(header, _MATCHES, strict=False)
    )


def _match_list(path: Path, header: Sequence[str]) -> InMemory:
    """NIST's match list; `.template` behind the names is left out."""
    images: tuple[list[str], list[str]] = ([], [])
    scores: list[float | None] = []
    for number, fields in _lines(path, header):
        if len(fields) != len(header):
            raise _miscounted(path, number, len(header), len(fields))
        score = _number(fields[2])
        if score is None:
            raise InputError(f"{path}, line {number}: simScore is {fields[2]!r}, not a number.")
        for side, name in zip(images, fields[:2], strict=True):
            side.append(name.removesuffix(".template"))
        scores.append(score if fields[3] == "0" else None)
    first, second = (pa.array(side, pa.string()) for side in images)
    table = pa.table({"image1": first, "image2": second, "score": pa.array(scores, pa.float64())})
    return InMemory(table, name=path.name)


def _json(path: Path) -> InMemory:
    """FHIBE's outputs, or a list of objects, such as collected answers of DeepFace.verify."""
    try:
        whole = json.loads(path.read_bytes())
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not whole JSON ({error}).") from error
    if isinstance(whole, list) and whole and all(isinstance(row, dict) for row in whole):
        return _objects(path, whole)
    return _fhibe(path, whole)


def _objects(path: Path, rows: Sequence[Mapping[str, Any]]) -> InMemory:
    """Objects of one shape as a table; values that are lists or objects are left out."""
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if any(isinstance(value, list | dict) for value in values):
            continue
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, OverflowError) as error:
            raise InputError(
                f"{path}: {listed([name])} mixes kinds of values, or has a number beyond 64 "
                "bits; write one kind in all objects."
            ) from error
    return InMemory(pa.table(columns), name=path.name)


def _fhibe(path: Path, outputs: Any) -> InMemory:
    by_image = outputs if isinstance(outputs, dict) else {}
    vectors = {
        name: output["detections"]
        for name, output in by_image.items()
        if isinstance(output, dict) and isinstance(output.get("detections"), list)
    }
    if not vectors or len(vectors) < len(by_image):
        raise InputError(
            f"{path}: {counted(len(by_image) - len(vectors), 'image')} of {len(by_image):,} "
            "without numbers; expected the outputs of FHIBE face verification, {path: "
            '{"detections": [numbers]}}, or a list of pairs, one object each.'
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
    start = name.replace("\\", "/").rfind("data/raw/")
    return name[start:] if start >= 0 else name

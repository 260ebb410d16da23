"""UTKFace: faces with age, gender and race in their file names.

The labels come from the first three fields of a name, `[age]_[gender]_[race]_[date].jpg`; the rest
is read leniently, because the release itself breaks it in several ways. What cannot be read is
listed with its reason, never guessed.

Source: Zhang, Song and Qi, "Age Progression/Regression by Conditional Adversarial Autoencoder"
(CVPR 2017), and the names of the released files.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fairjax.core.names import counted
from fairjax.core.settings import need
from fairjax.data import duplicates
from fairjax.data.dataset import SPLITS, Attribute, DataError, Dataset, Examples, Source
from fairjax.data.formats.files import ImageFiles, find_source, open_files, printable
from fairjax.data.formats.upright import upright
from fairjax.data.stream.split import RULE as SPLIT_RULE
from fairjax.data.stream.split import assign, check_ratio

ATTRIBUTES: Mapping[str, Attribute] = {
    "age": Attribute(
        values=(),
        low=0,
        high=116,
        unit="years",
        assigned_by="Estimated by a model (DEX) from the picture and checked by a person; nobody "
        "was asked, and some ages are heavily over-used.",
    ),
    "gender": Attribute(
        values=("male", "female"),
        low=0,
        high=1,
        unit="",
        assigned_by="Estimated by a model from the picture and checked by a person, in two "
        "classes; nobody was asked.",
    ),
    "race": Attribute(
        values=("White", "Black", "Asian", "Indian", "Others"),
        low=0,
        high=4,
        unit="",
        assigned_by="Estimated by a model from the picture and checked by a person, in five coarse "
        "classes of looks; nobody was asked. Others (Hispanic, Latino, Middle Eastern and so on) "
        "is what was left over, not a group.",
    ),
}
PLACES = ("utkface.tar", "UTKFace", "utkface")
HELP = (
    "Get the 'Aligned & Cropped Faces' from the authors' page, https://susanqq.github.io/UTKFace/ "
    "(for non-commercial research only), unpack any .gz, and give the folder of .jpg files or the "
    f".tar with --config.data.root=DIR, or set FAIRJAX_DATA to a folder that holds one of "
    f"{', '.join(PLACES)}."
)
_FIELDS = re.compile(r"([0-9]{1,9})_([0-9]{1,9})_([0-9]{1,9})_")
_DECADES = tuple(f"{low}-{low + 9}" for low in range(0, 120, 10))


class BadName(ValueError):
    """A file name whose labels cannot be taken; `kind` is "name" or "label"."""

    def __init__(self, kind: Literal["name", "label"], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Survey:
    """What a source holds, before any split.

    Attributes:
      files: The source.
      ids: [n] strings, sorted: the usable files.
      labels: For each attribute an int32 [n] array.
      group: int64 [n]: the row of the first usable file that shows the same picture.
      digests: [n] strings: a hash of each file's bytes.
      skipped: (name, kind, reason), sorted; kind is "name" (no labels in it), "label" (a label
        outside its range) or "image" (corrupt or unreadable).
    """

    files: ImageFiles
    ids: np.ndarray
    labels: Mapping[str, np.ndarray]
    group: np.ndarray
    digests: np.ndarray
    skipped: tuple[tuple[str, str, str], ...]


def parse_name(name: str) -> tuple[int, int, int]:
    """Age in years, gender and race of a file name.

    Four fields are asked for, because a name without a race has its date in the third place; the
    date itself may be anything.

    >>> parse_name("25_0_2_20170116174525125.jpg.chip.jpg")
    (25, 0, 2)

    Args:
      name: The file's name; folders before it are left out.

    Raises:
      BadName: If a field is missing or no number, or a label is outside its range.
    """
    name = name.rpartition("/")[2]
    if not name.isprintable():
        raise BadName("name", "unprintable characters in the name")
    match = _FIELDS.match(name)
    if match is None:
        reason = (
            "only three fields, so no race"
            if re.match(r"[0-9]+_[0-9]+_[^_]*$", name)
            else "does not start with age_gender_race_"
        )
        raise BadName("name", reason)
    age, gender, race = labels = tuple(map(int, match.groups()))
    for label, (key, attribute) in zip(labels, ATTRIBUTES.items(), strict=True):
        if not attribute.low <= label <= attribute.high:
            raise BadName("label", f"{key} {label} is outside {attribute.low}..{attribute.high}")
    return age, gender, race


def find(root: str) -> Path:
    """The folder or .tar that `root` means; "" looks into the folder named by FAIRJAX_DATA.

    Raises:
      DataError: If there is none; the message says where to get the data, its terms and layout.
    """
    return find_source("utkface", root, candidates=PLACES, key="config.data.root", help_text=HELP)


def survey(path: Path) -> Survey:
    """Reads every name, decodes every image and finds the duplicates.

    Raises:
      DataError: If the source cannot be listed or has no image file.
    """
    files = open_files(path)
    seen = duplicates.scan(files)
    skipped = [(name, "image", reason) for name, reason in files.skipped]
    rows = []
    for name in files.names:
        try:
            labels = parse_name(name)
        except BadName as bad:
            skipped.append((name, bad.kind, str(bad)))
            continue
        if name in seen.unreadable:
            skipped.append((name, "image", seen.unreadable[name]))
        else:
            rows.append((name, *labels))
    ids = np.array([row[0] for row in rows], np.str_)
    first: dict[str, int] = {}
    group = [first.setdefault(seen.group[name], row) for row, name in enumerate(ids.tolist())]
    return Survey(
        files=files,
        ids=ids,
        labels={
            key: np.array([row[column] for row in rows], np.int32)
            for column, key in enumerate(ATTRIBUTES, start=1)
        },
        group=np.array(group, np.int64),
        digests=np.array([seen.digests[name] for name in ids.tolist()], np.str_),
        skipped=tuple(sorted(skipped)),
    )


def refuse_bad(contents: Survey, source: Source) -> None:
    """Stops a run whose source is not worth training on.

    Args:
      contents: The survey.
      source: How many bad files are accepted. "raise" stops at the first unreadable image or label
        outside its range; a name without labels is skipped in any case, because the release itself
        has some.

    Raises:
      DataError: One line with the count, the first file and its reason, and what to do.
    """
    path, total = contents.files.path, len(contents.ids) + len(contents.skipped)
    bad = [skip for skip in contents.skipped if skip[1] != "name"]
    if source.on_error == "raise" and bad:
        raise DataError(
            f"{path}: {printable(bad[0][0])}: {bad[0][2]}; "
            f"{counted(len(bad), 'such file')} in all. Mend or "
            "remove them, or set config.data.on_error=skip."
        )
    if not len(contents.ids):
        name, _, reason = contents.skipped[0]
        raise DataError(
            f"{path}: none of {total} image files is usable; the first, {printable(name)}: "
            f"{reason}. {HELP}"
        )
    if len(contents.skipped) > source.max_bad * total:
        name, _, reason = contents.skipped[0]
        raise DataError(
            f"{path}: {len(contents.skipped)} of {total} files are bad, more than "
            f"max_bad={source.max_bad:g} allows; the first, {printable(name)}: {reason}. "
            f"`fairjax data check utkface {path}` lists them all."
        )


def account(contents: Survey) -> dict[str, Any]:
    """The JSON-ready account of a source: what the check prints and the manifest starts with."""
    race, gender = contents.labels["race"], contents.labels["gender"]
    decade = contents.labels["age"] // 10
    members: dict[int, list[int]] = {}
    for row, first in enumerate(contents.group.tolist()):
        members.setdefault(first, []).append(row)
    groups = [rows for rows in members.values() if len(rows) > 1]
    exact = [size for size in Counter(contents.digests.tolist()).values() if size > 1]
    conflicts = [
        {"files": contents.ids[rows].tolist(), "differ_in": differ}
        for rows in groups
        if (differ := [key for key, label in contents.labels.items() if len(set(label[rows])) > 1])
    ]
    return {
        "name": "utkface",
        "source": str(contents.files.path),
        "files": len(contents.ids) + len(contents.skipped),
        "usable": len(contents.ids),
        "skipped": [
            {"file": name, "kind": kind, "reason": reason}
            for name, kind, reason in contents.skipped
        ],
        "hash": _hash(contents.ids, contents.digests),
        "counts": {
            "race": _count(race, ATTRIBUTES["race"].values),
            "gender": _count(gender, ATTRIBUTES["gender"].values),
            "age": _count(decade, _DECADES),
            "race_gender": _by_race_and_gender(race, gender),
        },
        "duplicates": {
            "rule": duplicates.RULE,
            "groups": len(groups),
            "files": sum(map(len, groups)),
            "largest": max(map(len, groups), default=0),
            "exact_groups": len(exact),
            "exact_files": sum(exact),
            "members": [contents.ids[rows].tolist() for rows in groups],
        },
        "conflicts": {
            "groups": len(conflicts),
            **{key: sum(key in c["differ_in"] for c in conflicts) for key in ATTRIBUTES},
            "members": conflicts,
        },
    }


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """How UTKFace is split.

    Attributes:
      ratio: Shares of train, validation and test.
      stratify: Whether race x ten-year age bins are kept even.
      dedup: "group" keeps pictures of one duplicate group in one split, "first" keeps only the
        first of each group by name.
      folds: Number of folds of a cross-validation; 0 splits anew for each seed. Seeds 0 to
        folds - 1 are then its folds, and every image is in the test of one of them. The test's
        share in `ratio` is 1 / folds.
    """

    ratio: Sequence[float] = (0.8, 0.1, 0.1)
    stratify: bool = True
    dedup: str = "group"
    folds: int = 0

    def __post_init__(self) -> None:
        check_ratio(self.ratio, folds=self.folds)
        need(self.dedup in ("group", "first"), "dedup", self.dedup, "'group' or 'first'")


@dataclass(frozen=True, kw_only=True)
class UtkfaceSource(Source):
    """Settings of UTKFace.

    Attributes:
      root: The folder of .jpg files (at any depth), an uncompressed .tar, a folder that holds
        utkface.tar or UTKFace/, or "" for such a folder named by FAIRJAX_DATA.
      split: How it is split.
      on_error: "skip" or "raise" on an unreadable image or a label outside its range.
    """

    split: SplitSettings = SplitSettings()

    def load(self, *, seed: int) -> Dataset:
        """Reads, checks and splits UTKFace.

        Args:
          seed: Seed of the split.

        Raises:
          DataError: If the data is missing, too much of it is bad, or a split or a race in it is
            left empty.
        """
        contents = survey(find(self.root))
        refuse_bad(contents, self)
        return _split(contents, self.split, seed)


def _split(contents: Survey, split: SplitSettings, seed: int) -> Dataset:
    manifest, ratio = account(contents), list(split.ratio)
    rows = np.arange(len(contents.ids))
    if split.dedup == "first":
        rows = rows[contents.group == rows]
    everyone = Examples(
        ids=contents.ids,
        labels=contents.labels,
        cluster=contents.group,
        read=lambda rows_wanted: [
            upright(contents.files.read(name)) for name in contents.ids[rows_wanted].tolist()
        ],
    ).take(rows)
    stratum = everyone.labels["race"] * len(_DECADES) + everyone.labels["age"] // 10
    if not split.stratify:
        stratum = np.zeros_like(stratum)
    chosen = assign(
        everyone.ids, everyone.cluster, stratum, ratio=ratio, seed=seed, folds=split.folds
    )
    splits = {name: everyone.take(np.flatnonzero(chosen == k)) for k, name in enumerate(SPLITS)}
    _require_every_race(contents.files.path, splits)
    manifest["split"] = {
        "rule": SPLIT_RULE,
        "seed": seed,
        "ratio": ratio,
        **({"folds": split.folds, "fold": seed % split.folds} if split.folds else {}),
        "stratify": ["race", "age"] if split.stratify else [],
        "dedup": split.dedup,
        "left_out": len(contents.ids) - len(rows),
        "sizes": {name: len(examples) for name, examples in splits.items()},
        "race_gender": {
            name: _by_race_and_gender(examples.labels["race"], examples.labels["gender"])
            for name, examples in splits.items()
        },
        "hash": {name: _hash(examples.ids) for name, examples in splits.items()},
    }
    return Dataset(name="utkface", attributes=ATTRIBUTES, splits=splits, manifest=manifest)


def _require_every_race(path: Path, splits: Mapping[str, Examples]) -> None:
    for name, examples in splits.items():
        for value, race in enumerate(ATTRIBUTES["race"].values):
            if not (examples.labels["race"] == value).any():
                raise DataError(
                    f"{path}: the {name} split has {len(examples)} images and none of race {race}; "
                    "give more images of it, or a larger share in config.data.split.ratio."
                )


def _count(label: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(label, minlength=len(names)).tolist(), strict=True))


def _by_race_and_gender(race: np.ndarray, gender: np.ndarray) -> dict[str, dict[str, int]]:
    return {
        name: _count(gender[race == value], ATTRIBUTES["gender"].values)
        for value, name in enumerate(ATTRIBUTES["race"].values)
    }


def _hash(*columns: np.ndarray) -> str:
    """blake2b of rows of text; the rows are sorted already."""
    state = hashlib.blake2b(digest_size=16)
    for row in zip(*(column.tolist() for column in columns), strict=True):
        state.update("\0".join(row).encode() + b"\n")
    return state.hexdigest()

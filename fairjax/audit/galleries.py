"""Searches of galleries by group, from embeddings or from candidate lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.audit.embedding_files import load_images
from fairjax.audit.foreign import candidates_of
from fairjax.audit.grouping import known_groups, numbered, ordered_groups
from fairjax.audit.layout import SUBJECTS, People, TableOptions, known_as
from fairjax.audit.spelling import spelled_nearly
from fairjax.audit.tables import InputError, column_names, listed, read_batches, read_words
from fairjax.core.comparisons import UNKNOWN
from fairjax.core.errors import UsageError
from fairjax.core.names import counted
from fairjax.metrics.identification import NOWHERE, Searches, search

_COLUMNS = (
    "probe",
    "probe_subject",
    "candidate_subject",
    "candidate_image",
    "score",
    "enrolled",
    "gallery",
    "seconds",
    "failed",
)
_FEWEST = 5  # scores of a kind that tell which way they go


@dataclass(frozen=True)
class Gallery:
    """Searches of one gallery, and what else is known of them.

    Attributes:
      name: Name of the gallery: "N 500".
      size: Enrolled people; None where nobody says.
      searches: The searches.
      failed: Whether each search failed (no face found, no answer); None where nobody says.
      seconds: How long each search took; None where nobody says.
    """

    name: str
    size: int | None
    searches: Searches
    failed: np.ndarray | None = None
    seconds: np.ndarray | None = None


@dataclass(frozen=True)
class Galleries:
    """All galleries of one system, and the groups.

    Attributes:
      by: The attribute.
      groups: Names of its groups.
      galleries: The galleries, the smallest first.
      notes: Sentences for the reader.
      distance: Whether the scores are distances, held as minus them.
    """

    by: str
    groups: tuple[str, ...]
    galleries: Sequence[Gallery]
    notes: tuple[str, ...] = ()
    distance: bool = False


def from_embeddings(
    path: Path,
    by: str,
    *,
    people: People | None,
    sizes: Sequence[int],
    unenrolled: float,
    seed: int,
) -> Galleries:
    """Enrols one image a person, searches with all others, and leaves some people unenrolled.

    Args:
      path: Embeddings with names, people and groups of the images.
      by: Attribute whose groups are compared.
      people: A table of images or people, where the file does not say; None for none.
      sizes: Gallery sizes; () takes all that can be enrolled, and a tenth of them.
      unenrolled: Share of each group's people who are not enrolled, a fraction in (0, 1).
      seed: Non-negative.

    Raises:
      InputError: If people or groups are unknown, or a gallery is larger than can be enrolled.
    """
    if not 0 < unenrolled < 1:
        raise UsageError(f"--unenrolled {unenrolled:g} must be between 0 and 1, as 0.3.")
    images = load_images(path)
    known = people or images.people
    if known is None:
        raise InputError(f"{path} says nothing of people and groups; give --groups TABLE.")
    ids = list(images.ids)
    who = known.subject or (images.people.subject if images.people else {})
    if not who or not ids:
        raise InputError(f"{path} does not say who is on its images; add 'subject' and 'id'.")
    names = [who.get(image, "") for image in ids]
    if lost := names.count(""):
        raise InputError(f"{path}: {lost:,} images have no person in {known.source}.")
    column = known_as(by, known.groups)
    if column not in known.groups:
        raise InputError(f"{known.source} has no {by!r}; it has {listed(list(known.groups))}.")
    keys = ids if known.key == "image" else names
    labels = [known.groups[column].get(key, "") for key in keys]
    groups, group = _groups(labels, by, str(path))
    subjects, person = np.unique(names, return_inverse=True)
    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(len(ids))
    _, first = np.unique(person[order], return_index=True)
    template = order[first]  # a random image of each person
    home = np.full(len(subjects), -1)
    home[person] = group
    out = np.zeros(len(subjects), bool)
    for g in range(-1, len(groups)):
        members = rng.permutation(np.flatnonzero(home == g))
        out[members[: round(unenrolled * len(members))]] = True
    enrolled = _mixed(np.flatnonzero(~out), home, rng)
    wanted = sorted({*sizes}) or sorted({max(len(enrolled) // 10, 2), len(enrolled)})
    if wanted[-1] > len(enrolled):
        raise InputError(
            f"--gallery {wanted[-1]}: {len(enrolled):,} people can be enrolled, of "
            f"{len(subjects):,} with {unenrolled:.0%} left out for non-mated searches."
        )
    probes = np.setdiff1d(np.arange(len(ids)), template[enrolled])
    searches_by_size = search(
        images.embedding[probes],
        images.embedding[template[enrolled]],
        person=person[probes],
        group=group[probes],
        enrolled=enrolled,
        sizes=wanted,
    )
    galleries = [
        Gallery(f"N {size}", size, searches)
        for size, searches in zip(wanted, searches_by_size, strict=True)
    ]
    note = (
        f"One image of each of {len(enrolled):,} people is enrolled; {int(out.sum()):,} people are "
        "left out, and all their images are non-mated searches (seed "
        f"{seed}). Smaller galleries are parts of the largest."
    )
    return Galleries(by, tuple(groups), galleries, (note,))


def from_candidates(
    path: Path,
    by: str,
    *,
    columns: Mapping[str, str],
    gallery: Path | None,
    people: People | None = None,
    distance: bool = False,
) -> Galleries:
    """Reads candidate lists: one row a candidate, or one without a candidate for a search.

    Args:
      path: A table with the columns probe, probe_subject, candidate_subject, score, the group of
        the probe's person, and perhaps enrolled, gallery, seconds and failed; or the candidate
        lists of NIST's driver.
      by: Attribute of the probe's group.
      people: Person and group of each image, where the table lacks them: it then names the images
        in probe and candidate_image. None where it has them.
      columns: Names of columns that are called otherwise, by the names above.
      gallery: A table with the people enrolled, in a customary column or the first one (and the
        gallery in a column "gallery"); None where the column enrolled says so.
      distance: Whether the scores are distances: the smaller, the more alike.

    Raises:
      InputError: If a column is missing, or searches contradict themselves.
    """
    source = candidates_of(path)
    have = column_names(source)
    names = {key: columns.get(key) or key for key in _COLUMNS}
    by_image = people is not None and bool(people.subject)
    of_people = {"probe_subject": "probe", "candidate_subject": "candidate_image"}
    looked_up = {
        key: image
        for key, image in of_people.items()
        if by_image and names[key] not in have and names[image] in have
    }
    wanted = ("probe", "probe_subject", "candidate_subject", "score")
    for key in wanted:
        if names[key] not in have and key not in looked_up:
            raise InputError(
                f"{path} has no column {names[key]!r} (it has {listed(have)}); candidate lists "
                f"need {', '.join(wanted)}. Name it with --column {key}=NAME, or give a table of "
                "images and their people with --groups (the list then has probe and "
                "candidate_image)."
            )
    column = known_as(by, people.groups) if people and by not in have else ""
    if by not in have and not column:
        raise InputError(
            f"{path} has no column {by!r} of the probes' groups; name it with --by, or give a "
            "table of people or images with --groups."
        )
    there = {key: name for key, name in names.items() if name in have}
    numbers = [there[key] for key in ("score", "seconds") if key in there]
    text = [name for name in there.values() if name not in numbers]
    text += [by] if not column else []
    parts: dict[str, list[Any]] = {name: [] for name in (*text, *numbers)}
    for batch in read_batches(source, text=text, numbers=numbers, blanks=True):
        for name in parts:
            parts[name] += np.asarray(batch.columns[name]).tolist()
    table = {
        key: np.array(parts[name], float if name in numbers else object)
        for key, name in there.items()
    }
    if distance:
        table["score"] = -table["score"]  # as scores, larger for more alike
    for key, image in looked_up.items():
        assert people is not None
        table[key] = _people_of(table[image], people, str(path))
    labels = parts.get(by, [])
    if people and column:
        keys = table["probe" if people.key == "image" else "probe_subject"]
        labels = _labels_of(keys, people, column, str(path))
    rows = len(table["probe"])
    if rows == 0:
        raise InputError(f"{path} has no rows.")
    groups, group = _groups([str(label) for label in labels], by, str(path))
    gallery_of = np.array([""] * rows, object) if "gallery" not in table else table["gallery"]
    candidates = set(table["candidate_subject"].tolist()) - {""}
    enrolled_in = _enrolled(gallery, candidates, str(path)) if gallery else {}
    if not gallery and "enrolled" not in table:
        raise InputError(
            f"{path} does not say whether a probe's person is enrolled; add a column 'enrolled' of "
            "1 and 0, or give the enrolled people with --gallery-table."
        )
    galleries = []
    for name in sorted(set(gallery_of.tolist())):
        chosen = np.flatnonzero(gallery_of == name)
        of_gallery = {key: column[chosen] for key, column in table.items()}
        members = enrolled_in.get(name, enrolled_in.get("", set())) if gallery else None
        galleries.append(
            _searches(of_gallery, group[chosen], members, name, str(path), distance=distance)
        )
    galleries.sort(key=lambda g: (g.size or 0, g.name))
    unknown = len(set(table["probe"][group == UNKNOWN].tolist()))
    note = f"{counted(unknown, 'search', 'searches')} of unknown {by}: counted for everyone alone."
    notes = (note,) if unknown else ()
    return Galleries(by, tuple(groups), galleries, notes, distance=distance)


def _people_of(images: np.ndarray, people: People, where: str) -> np.ndarray:
    """The person on each image, "" where there is no image.

    Raises:
      InputError: If an image is unknown.
    """
    known = {"": "", **people.subject}
    _require_known(images, known, people, where, "image")
    return np.array([known[image] for image in images.tolist()], object)


def _labels_of(keys: np.ndarray, people: People, column: str, where: str) -> list[str]:
    """The group of each probe, by its image or its person.

    Raises:
      InputError: If one is unknown.
    """
    known = people.groups[column]
    _require_known(keys, known, people, where, people.key)
    return [known[key] for key in keys.tolist()]


def _require_known(
    keys: np.ndarray, known: Mapping[str, str], people: People, where: str, noun: str
) -> None:
    if absent := [key for key in dict.fromkeys(keys.tolist()) if key not in known]:
        raise InputError(
            f"{where}: {people.source} lacks {counted(len(absent), noun)}, such as "
            f"{absent[0]!r}.{spelled_nearly(absent, known)}"
        )


def _groups(labels: Sequence[str], by: str, where: str) -> tuple[list[str], np.ndarray]:
    options = TableOptions(by=(by,), unknown_groups=True)
    known = known_groups(list(labels), options)
    groups = ordered_groups(known, options, f"{where} ({by})")
    if len(groups) < 2:
        raise InputError(f"{where}: by {by} there is {listed(groups)}; two groups are needed.")
    return groups, numbered(known, groups).astype(np.int64)


def _mixed(people: np.ndarray, home: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """People in an order in which every beginning has the groups in equal parts."""
    key = np.zeros(len(people))
    for g in np.unique(home[people]):
        own = np.flatnonzero(home[people] == g)
        key[rng.permutation(own)] = (np.arange(len(own)) + rng.random()) / len(own)
    return people[np.argsort(key, kind="stable")]


def _enrolled(path: Path, known: set[str], where: str) -> dict[str, set[str]]:
    """The people enrolled in each gallery; "" where there is one.

    Raises:
      InputError: If no candidate that was found is among them.
    """
    names = column_names(path)
    who = next((name for name in names if name.lower() in SUBJECTS), names[0])
    text = [who, *(["gallery"] if "gallery" in names and who != "gallery" else [])]
    people_by_gallery: dict[str, set[str]] = {}
    people, *galleries = read_words(path, text).values()
    for person, gallery in zip(people, *(galleries or [[""] * len(people)]), strict=True):
        people_by_gallery.setdefault(gallery, set()).add(person)
    if known and not known & set().union(*people_by_gallery.values()):
        raise InputError(
            f"{where}: nobody in the column {who!r} of {path} is among the candidates; it must "
            "name the enrolled people as the candidates are named, below a header."
        )
    return people_by_gallery


def _searches(
    table: Mapping[str, np.ndarray],
    group: np.ndarray,
    members: set[str] | None,
    name: str,
    where: str,
    *,
    distance: bool = False,
) -> Gallery:
    """The searches of one gallery from the rows of its candidates."""
    probes, first, probe = np.unique(
        table["probe"].astype(str), return_index=True, return_inverse=True
    )
    everybody = {
        p: k
        for k, p in enumerate(
            sorted({*table["probe_subject"].tolist(), *table["candidate_subject"].tolist()} - {""})
        )
    }
    own = np.array([everybody.get(p, -1) for p in table["probe_subject"].tolist()])
    other = np.array([everybody.get(p, -1) for p in table["candidate_subject"].tolist()])
    if (own < 0).any():
        raise InputError(
            f"{where}, data row {int(np.argmax(own < 0)) + 1}: probe_subject is empty."
        )
    if (apart := own != own[first][probe]).any():
        raise InputError(
            f"{where}: the probe {str(probes[probe[np.argmax(apart)]])!r} shows two people."
        )
    score = np.where(np.isnan(table["score"]) | (other < 0), -np.inf, table["score"])
    _require_scores(score, other == own, where, distance=distance)
    count = len(probes)
    top = np.full(count, -np.inf)
    np.maximum.at(top, probe, score)
    order = np.lexsort((np.arange(len(score)), score))
    nearest = np.full(count, -1)
    nearest[probe[order]] = other[order]  # the last one written has the highest score
    nearest[np.isneginf(top)] = -1
    mate = np.full(count, -np.inf)
    is_mate = other == own
    np.maximum.at(mate, probe[is_mate], score[is_mate])
    ahead = ~is_mate & (score >= mate[probe])
    rank = np.bincount(probe[ahead], minlength=count) + 1
    listed_mate = np.bincount(probe[is_mate & np.isfinite(score)], minlength=count) > 0
    rank = np.where(listed_mate, rank, NOWHERE)
    if members is not None:
        mated = np.array([p in members for p in table["probe_subject"][first].tolist()])
        size: int | None = len(members)
    else:
        mated = np.array([_flag(word, "enrolled", where) for word in table["enrolled"][first]])
        size = None
    if (wrong := listed_mate & ~mated).any():
        raise InputError(
            f"{where}: the probe {str(probes[np.argmax(wrong)])!r} has its own person among the "
            "candidates, who is said not to be enrolled "
            f"({counted(int(wrong.sum()), 'such probe')})."
        )
    failed = None
    if "failed" in table:
        failed = np.array([_flag(word, "failed", where) for word in table["failed"][first]])
    seconds = table["seconds"][first] if "seconds" in table else None
    searches = Searches(
        own[first], group[first], mated, top, nearest, np.where(listed_mate, mate, -np.inf), rank
    )
    label = name or ("candidate lists" if size is None else f"N {size}")
    return Gallery(label, size, searches, failed, seconds)


def _require_scores(
    score: np.ndarray, is_mate: np.ndarray, where: str, *, distance: bool = False
) -> None:
    """Refuses lists on which the person searched for is less like the probe than others are.

    Raises:
      InputError: With both medians, and how to turn the direction.
    """
    known = np.isfinite(score)
    mates, others = score[known & is_mate], score[known & ~is_mate]
    if min(len(mates), len(others)) < _FEWEST:
        return
    high, low = np.median(others), np.median(mates)
    if low >= high:
        return
    if distance:
        raise InputError(
            f"{where}: the person searched for has larger distances (median {-low:.4g}) than other "
            f"candidates ({-high:.4g}); are these scores? Leave out --distance."
        )
    raise InputError(
        f"{where}: the person searched for scores lower (median {low:.4g}) than other "
        f"candidates ({high:.4g}); are these distances? Say --distance."
    )


def _flag(word: str, column: str, where: str) -> bool:
    truth = {
        "1": True,
        "true": True,
        "yes": True,
        "1.0": True,
        "0": False,
        "false": False,
        "no": False,
        "0.0": False,
        "": False,
    }
    if str(word).lower() not in truth:
        raise InputError(f"{where}: {column} is {word!r}; expected 1 or 0.")
    return truth[str(word).lower()]

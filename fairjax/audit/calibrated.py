"""Fitting a method of `fairjax.postprocess` on one table and applying it to another."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fairjax.audit.loaded import Loaded
from fairjax.audit.tables import InputError, fingerprint, read_columns
from fairjax.audit.thresholds import people_of
from fairjax.core.errors import UsageError
from fairjax.core.files import write_whole
from fairjax.core.results import Table
from fairjax.postprocess import METHODS
from fairjax.postprocess.scores import Scores, places
from fairjax.postprocess.stored import Fitted, digests

LIST = Table(
    "Methods of fairjax calibrate",
    ["method", "what it does", "group labels", "works on", "gives", "source"],
    [[name, m.title, m.groups, m.needs, m.gives, m.source] for name, m in METHODS.items()],
    "Group labels: whether they are needed to fit, to use, or never.",
)


@dataclass(frozen=True)
class Applied:
    """What applying a method gave.

    Attributes:
      score: New score of each pair; None where embeddings are new.
      embedding: New embeddings in the order of the images; None where scores are new.
      sentences: What the reader must know of it.
    """

    score: np.ndarray | None
    embedding: np.ndarray | None
    sentences: tuple[str, ...]


def settings_of(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """A method's settings: its defaults, with those given in the defaults' types.

    Args:
      name: Key of `METHODS`.
      texts: Text by setting's name.

    Raises:
      InputError: If there is no such method or setting, or a value is of another type.
    """
    if name not in METHODS:
        raise UsageError(f"--method {name}: there is {', '.join(METHODS)}.")
    settings = dict(METHODS[name].defaults)
    for key, text in texts.items():
        key = key.replace("-", "_")
        if key not in settings:
            known = ", ".join(settings) or "none"
            raise UsageError(f"--set {key}={text}: settings of {name}: {known}.")
        old = settings[key]
        try:
            if isinstance(old, dict):
                pairs = (word.partition(":") for word in text.split(","))
                settings[key] = {group: float(value) for group, _, value in pairs}
            else:
                settings[key] = type(old)(text)
        except ValueError:
            raise UsageError(f"--set {key}={text}: expected something like {old!r}.") from None
    return settings


def fit(
    loaded: Loaded, system: str, name: str, settings: Mapping[str, Any], *, source: Path
) -> Fitted:
    """Fits a method.

    Args:
      loaded: Pairs to learn from, with names of their people.
      system: Whose scores or embeddings.
      name: Key of `METHODS`.
      settings: From `settings_of`.
      source: The file that was read.

    Raises:
      InputError: If the pairs lack what the method needs, or are too few.
    """
    method = METHODS[name]
    if not loaded.has_subjects:
        raise InputError(
            f"{source.name} does not say who is on its pairs, so it could not be told later "
            "whether the same people are evaluated; name them with --subject."
        )
    scores = _scores(loaded, system, name, source.name)
    try:
        arrays = method.fit(scores, settings)
    except ValueError as error:
        raise InputError(f"{source.name}: {error}") from error
    kept = dict(settings)
    if method.needs == "images":
        side = 1 - method.learns_from[0]
        used = np.unique(scores.image[:, side]) if scores.image is not None else np.array([], int)
        kept["images"] = [scores.images[k] for k in used.tolist()]
        arrays = {key: array[used] for key, array in arrays.items()}
    return Fitted(
        name,
        kept,
        loaded.by,
        loaded.groups,
        digests(_people(loaded, method.learns_from)),
        arrays,
        {"name": source.name, "hash": fingerprint(source)},
    )


def apply(fitted: Fitted, loaded: Loaded, system: str, *, source: str) -> Applied:
    """Applies a fitted method to pairs of other people.

    Args:
      fitted: From `fit`, perhaps read from a file.
      loaded: The pairs.
      system: Whose scores or embeddings.
      source: Name of the pairs' file.

    Raises:
      InputError: If people of the fit are among the pairs, a group or an image is unknown, or the
        pairs lack what the method needs.
    """
    method = fitted.method
    if not loaded.has_subjects:
        raise InputError(
            f"{source} does not say who is on its pairs, so the people of the fit may be among "
            "them; name them with --subject."
        )
    own = _people(loaded, method.learns_from)
    both = [name for name in own if digests([name]) & fitted.people]
    if both:
        raise InputError(
            f"{len(both):,} of {len(own):,} people of {source} were used to fit "
            f"{fitted.source.get('name', 'the method')}, such as {both[0]!r}: a method is not "
            "evaluated on people it has learned from. Keep them apart (fairjax calibrate split)."
        )
    scores = _scores(loaded, system, fitted.name, source)
    if method.groups == "to fit and to use":
        if loaded.by != fitted.by:
            raise InputError(
                f"the method was fitted by {fitted.by}; {source} was read by {loaded.by}. Use --by "
                f"{fitted.by}."
            )
        try:
            known = np.append(places(scores.groups, fitted.groups, "group"), -1)
        except ValueError as error:
            raise InputError(f"{source}: {error}") from error
        scores = Scores(**{**vars(scores), "group": known[scores.group], "groups": fitted.groups})
    try:
        new = method.apply(fitted.arrays, fitted.settings, scores)
    except ValueError as error:
        raise InputError(f"{source}: {error}") from error
    sentences = (
        f"{method.title[0].upper()}{method.title[1:]} ({method.source}), fitted on "
        f"{len(fitted.people):,} other people.",
        {
            "never": "It needs no group labels.",
            "to fit": "It needed group labels to be fitted; to use it needs none.",
            "to fit and to use": "It needs everybody's group label when it is used: say who "
            "assigns them, and what happens to people who have none or a wrong one.",
        }[method.groups],
    )
    if method.gives == "embedding":
        return Applied(None, new, sentences)
    if not np.isfinite(new).all():
        raise InputError(f"{source}: {(~np.isfinite(new)).sum():,} new scores are not finite.")
    return Applied(new, None, sentences)


def write_scores(
    path: Path, table: Path | None, loaded: Loaded, system: str, score: np.ndarray
) -> None:
    """Writes the pairs with new scores, as CSV or Parquet, all other columns kept as they are.

    Args:
      path: Ends in .csv or .parquet.
      table: The table that the pairs were read from; None writes the columns that are known.
      loaded: The pairs.
      system: Column of the scores; a column of distances becomes "score".
      score: New score of each pair.

    Raises:
      InputError: If the name ends otherwise, or rows of the table were left out.
    """
    if table is not None:
        columns = read_columns(table)
        if len(next(iter(columns.values()))) != len(score):
            raise InputError(
                f"{table.name}: some rows have no score or were left out; take them out first."
            )
        name = system
        if system in loaded.distances:
            name = "score"
            columns = {key: column for key, column in columns.items() if key != system}
        columns[name] = pa.array(score)
    else:
        columns = {}
        if loaded.image is not None:
            columns |= _sides("image", np.array(loaded.images, object)[loaded.image])
        columns |= _sides("subject", np.array(loaded.names, object)[loaded.subject])
        groups = np.array([*loaded.groups, ""], object)
        columns |= _sides("group" if loaded.by == "group" else loaded.by, groups[loaded.group])
        columns["score"] = pa.array(score)
        if loaded.fold.any():
            columns["fold"] = pa.array(loaded.fold)
    write_table(path, columns)


def write_embeddings(
    path: Path, source: Path, loaded: Loaded, system: str, embedding: np.ndarray
) -> None:
    """Writes new embeddings as .npz, with names, people and groups of the images that pairs show.

    Args:
      path: Ends in .npz.
      source: The file of the old embeddings.
      loaded: The pairs.
      system: The old embeddings' name.
      embedding: New vectors in the order of the old ones.

    Raises:
      InputError: If the name ends otherwise.
    """
    if path.suffix != ".npz":
        raise UsageError(f"{path}: embeddings are written as .npz.")
    assert loaded.pairs is not None
    both = np.stack([loaded.pairs.first, loaded.pairs.second], axis=1)
    image, first = np.unique(both, return_index=True)
    names = np.array([*loaded.groups, ""])
    buffer = io.BytesIO()
    np.savez(
        buffer,
        embedding=embedding[image].astype(np.float32),
        id=loaded.embeddings[system].ids[image].astype(str),
        subject=np.array(loaded.names)[loaded.subject.ravel()[first]],
        **{loaded.by: names[loaded.group.ravel()[first]]},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def write_table(path: Path, columns: Mapping[str, Any]) -> None:
    """Writes columns as CSV or Parquet, whole or not at all.

    Args:
      path: Ends in .csv or .parquet.
      columns: Equally long columns by name.

    Raises:
      InputError: If the name ends otherwise.
    """
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        from pyarrow import csv

        plain = csv.WriteOptions(quoting_style="needed")
        csv.write_csv(pa.table(dict(columns)), buffer, plain)
    elif path.suffix == ".parquet":
        from pyarrow import parquet

        parquet.write_table(pa.table(dict(columns)), buffer)
    else:
        raise UsageError(f"{path}: tables are written as .csv or .parquet.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def split_people(loaded: Loaded, *, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs show people of the first part alone, and of the second alone.

    People are dealt out within their groups; pairs with one person of each part are in neither.

    Args:
      loaded: The pairs.
      share: Share of each group's people in the first part, a fraction.
      seed: Non-negative.
    """
    rng = np.random.default_rng([seed, 7])
    home = np.full(int(loaded.subject.max()) + 1, -1)
    home[loaded.subject.ravel()] = loaded.group.ravel()
    shown = np.zeros(len(home), bool)
    shown[loaded.subject.ravel()] = True
    first = np.zeros(len(home), bool)
    for g in range(-1, len(loaded.groups)):
        people = np.flatnonzero(shown & (home == g))
        first[rng.permutation(people)[: round(share * len(people))]] = True
    side = first[loaded.subject]
    return np.flatnonzero(side.all(axis=1)), np.flatnonzero(~side.any(axis=1))


def _sides(what: str, names: np.ndarray) -> dict[str, Any]:
    return {f"{what}{k + 1}": pa.array(names[:, k].tolist()) for k in (0, 1)}


def _people(loaded: Loaded, sides: tuple[int, ...]) -> list[str]:
    if len(sides) == 2:
        return people_of(loaded)
    return [loaded.names[k] for k in np.unique(loaded.subject[:, sides]).tolist()]


def _scores(loaded: Loaded, system: str, name: str, source: str) -> Scores:
    """The pairs as methods take them."""
    needs = METHODS[name].needs
    image, images, embedding = loaded.image, loaded.images, None
    if needs == "embeddings":
        if loaded.pairs is None:
            raise InputError(
                f"{source}: {name} works on embeddings; give them with --pairs TABLE, --all-pairs "
                "or --sample-pairs N."
            )
        vectors = loaded.embeddings[system]
        image = np.stack([loaded.pairs.first, loaded.pairs.second], axis=1)
        images, embedding = tuple(map(str, vectors.ids)), vectors.embedding
    elif needs == "images" and image is None:
        raise InputError(f"{source}: {name} learns about each image; name them with --image.")
    return Scores(
        score=np.asarray(loaded.scores[system], np.float64),
        mated=loaded.mated,
        group=loaded.group.astype(np.int64),
        groups=loaded.groups,
        subject=loaded.subject.astype(np.int64),
        image=None if image is None else image.astype(np.int64),
        images=images,
        embedding=embedding,
    )

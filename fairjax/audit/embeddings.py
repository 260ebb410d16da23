"""Embeddings on disk, and which pairs of them to compare."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from fairjax.audit.embedding_files import Images, load_images
from fairjax.audit.layout import (
    Layout,
    People,
    TableOptions,
    default_by,
    find_attribute,
    find_layout,
)
from fairjax.audit.loaded import Loaded
from fairjax.audit.pair_choice import choose_pairs
from fairjax.audit.pairs import PairTable
from fairjax.audit.spelling import spelled_nearly
from fairjax.audit.tables import InputError, Source, column_names, listed
from fairjax.core.comparisons import Embeddings, Pairs, compare


def load_embeddings(
    paths: Mapping[str, Source],
    options: TableOptions,
    *,
    people: People | None,
    pairs: Source | None,
    sample: int | None,
    seed: int,
    own: bool = False,
) -> dict[str, Loaded]:
    """Compares embeddings of one or several systems, for each attribute of `options.by`.

    Args:
      paths: File of each system; all of the same images, in whichever order.
      options: Which columns of the pair list, and which attributes.
      people: Who is on the images and their groups, where the files don't say.
      pairs: A table of pairs of images; None takes those in the first file, or all pairs.
      sample: For a sample: at most so many mated and so many non-mated pairs a group, and
        non-mated pairs of every two groups. None takes all pairs.
      seed: Seed of the sample.
      own: Whether the pairs in the first file are taken, which `fairjax embed` writes for a
        benchmark.

    Raises:
      InputError: If anything is unfit.
    """
    systems = {name: load_images(path, prefix=options.embedding) for name, path in paths.items()}
    scorer = _scorer(options, list(systems.values()))
    first, *others = systems.values()
    ids = list(first.ids) or _ids_of(first, people)
    if len(set(ids)) < len(ids):
        names = [name for name in ids if ids.count(name) > 1][:1] if len(ids) < 10_000 else []
        raise InputError(
            f"{first.source}: an image is there twice{f': {names[0]!r}' if names else ''}."
        )
    order = {name: _in_order(images, ids, first) for name, images in systems.items()}
    people = people or first.people
    if people is None or people.key != "image":
        people = _through_subjects(first, people)
    path = pairs or next(iter(paths.values()))
    if pairs is not None:
        table = PairTable(pairs, find_layout(pairs, options, people, scored=False), options, people)
        if table.layout.image is None:
            raise InputError(
                f"{pairs} has no columns of images such as image1 and image2; it has "
                f"{listed(column_names(pairs))}. Name them with --image."
            )
        columns = table.read()
        number = {name: k for k, name in enumerate(ids)}
        if lost := [name for name in table.names["image"] if name not in number]:
            raise InputError(
                f"{pairs}: {len(lost):,} images have no embedding in {first.source}: "
                f"{listed(lost, most=3)}.{spelled_nearly(lost, number)}"
            )
        row = np.array([number[name] for name in table.names["image"]], np.int64)
        chosen = row[columns["image"]]
    else:
        attributes = tuple(
            find_attribute(path, [], wanted, people) for wanted in options.by or default_by(people)
        )
        layout = Layout((), (), None, None, ("image", "image"), None, attributes)
        table = PairTable(path, layout, options, people)
        table.names["image"].encode(pa.array(ids, pa.string()))
        columns = {}
        if own:
            assert first.pairs is not None
            chosen = np.stack([first.pairs.first, first.pairs.second], axis=1)
            folds = pa.array([f"{fold:09d}" for fold in first.pairs.fold.tolist()], pa.string())
            columns["fold"] = table.names["fold"].encode(folds)
        else:
            labelled, labels = table.labels({"image": np.arange(len(ids))}, attributes[0])
            of_image = [labels[k] for k in labelled.tolist()]
            chosen = choose_pairs(ids, people, of_image, sample, seed, path)
        columns["image"] = chosen.astype(np.int32)
    empty = np.zeros(len(chosen), np.int64)
    compared = Pairs(chosen[:, 0], chosen[:, 1], np.zeros(len(chosen), bool), empty)
    none = np.zeros(len(ids), np.int64)
    embeddings = {
        name: Embeddings(
            np.array(ids),
            none,
            none,
            (),
            systems[name].embedding[rows],
            _variance_of(systems[name], scorer, rows),
        )
        for name, rows in order.items()
    }
    with_groups = {name: replace(e, group=none - 1) for name, e in embeddings.items()}
    scores = {name: compare(e, compared).score for name, e in with_groups.items()}
    return {
        a.name: replace(
            table.grouped(columns, a, scores, pairs=compared),
            embeddings=with_groups,
            kinds=dict.fromkeys(scores, scorer),
        )
        for a in table.layout.attributes
    }


def _variance_of(
    images: Images, scorer: str, rows: slice | list[int]
) -> Float[np.ndarray, "images dim"] | None:
    """The variances of some rows where pairs are compared with them; else None."""
    if scorer == "cosine" or images.variance is None:
        return None
    return images.variance[rows]


def _scorer(options: TableOptions, systems: Sequence[Images]) -> str:
    """How the systems' embeddings are compared, all by one rule.

    Raises:
      InputError: If that needs variances which a file lacks, or `--kind` says otherwise.
    """
    lacking = [images.source for images in systems if images.variance is None]
    if options.scorer == "mls" and lacking:
        raise InputError(
            f"--scorer mls: {lacking[0]} has no 'variances' or 'log_variances' [images, dim]; add "
            "them, or use --scorer cosine."
        )
    scorer = options.scorer or ("cosine" if lacking else "mls")
    if options.kind not in ("", scorer):
        by = "their cosines" if scorer == "cosine" else "mutual likelihood (--scorer mls)"
        raise InputError(f"--kind {options.kind}: embeddings are compared by {by}.")
    return scorer


def _ids_of(images: Images, people: People | None) -> list[str]:
    """Names for embeddings that have none: the rows of a table of the same images in order."""
    if people is None or people.key != "image":
        raise InputError(
            f"{images.source} does not name its images; give a table of images in the same order "
            "with --groups, or an .npz with 'id'."
        )
    names = list(next(iter(people.groups.values()), people.subject))
    if len(names) != len(images.embedding):
        raise InputError(
            f"{images.source} has {len(images.embedding):,} embeddings, {people.source} "
            f"{len(names):,} images; row i of one must be row i of the other."
        )
    return names


def _in_order(images: Images, ids: Sequence[str], first: Images) -> slice | list[int]:
    """Rows of the embeddings in the order of `ids`."""
    if not images.ids or list(images.ids) == list(ids):
        if len(images.embedding) != len(ids):
            raise InputError(
                f"{images.source} has {len(images.embedding):,} embeddings and {first.source} "
                f"{len(ids):,}: name the images, or give files of the same ones."
            )
        return slice(None)
    row, wanted = {name: k for k, name in enumerate(images.ids)}, set(ids)
    if lost := [name for name in ids if name not in row] or [n for n in row if n not in wanted]:
        raise InputError(
            f"{images.source} and {first.source} are not of the same images: "
            f"{listed(lost, most=3)} is in one of them only."
        )
    return [row[name] for name in ids]


def _through_subjects(images: Images, people: People | None) -> People | None:
    """A table of people turned into one of images, by the subjects of the embeddings' file."""
    if people is None:
        raise InputError(
            f"{images.source} says nothing of groups; give a table of images or people with "
            "--groups."
        )
    if not images.people or not images.people.subject:
        raise InputError(
            f"{people.source} is a table of people, but {images.source} does not say who is on its "
            "images; add 'subject' to it, or give a table of images."
        )
    subject = images.people.subject
    if lost := sorted(set(subject.values()) - set(next(iter(people.groups.values()), {}))):
        raise InputError(f"{people.source} lacks {len(lost):,} people: {listed(lost, most=3)}.")
    groups = {
        name: {image: table[who] for image, who in subject.items()}
        for name, table in people.groups.items()
    }
    return People(people.source, "image", subject, groups)

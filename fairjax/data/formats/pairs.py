"""Lists of pairs: read from files in the form of LFW's, checked, or drawn from a seed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from fairjax.core.comparisons import Pairs
from fairjax.core.names import clean, clean_path
from fairjax.data.dataset import DataError
from fairjax.data.faces import Benchmark, Faces, Problem
from fairjax.data.formats.files import is_count, printable
from fairjax.data.stream.order import uniforms

FOLDS = 10  # of a list that does not say it
_FORMS = (
    "a line is `id n m` or `id n other m` (apart by tabs, blanks or commas), "
    "`person/image person/image 1`, or `image 1` with two lines a pair (CPLFW)."
)

Key = tuple[str, int | str]


class Line(NamedTuple):
    """One pair of a list: two images, each a person and a number or name, and the list's part."""

    first: Key
    second: Key
    mated: bool
    fold: int
    where: str


def parse_pairs(text: str, *, name: str) -> list[Line]:
    """Reads a list of pairs in one of the forms that there are.

    LFW: `id n m` is a mated pair, `id n other m` a non-mated one, the fields apart by tabs (names
    may hold blanks then), blanks, or commas (Kaggle's `pairs.csv`, with its header). Numbers may
    have leading zeros. The parts follow one another, each n mated pairs and then n non-mated ones.
    A first line `folds n` (or `n`: one part) may say so; without it there are ten parts, or one
    where the lines are not ten such parts but n mated and n non-mated pairs in any order.

    Paths: `person/image person/image 1` (or 0) a line, ten parts of one size where the count allows
    it, else one part.

    CPLFW: `image 1` (or 0) a line, two lines a pair; the person is the image's name without the
    number at its end.

    Args:
      text: The list.
      name: The file's, for messages.

    Raises:
      DataError: If a line is of another form, or the lines are not such parts; the message names
        the forms.

    Source: the pairs.txt of Huang, Ramesh, Berg and Learned-Miller, "Labeled Faces in the Wild"
    (2007); the lists of RFW have the same form without the first line.
    """
    rows = [_Row(at, _fields(line)) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
    if rows and [field.lower() for field in rows[0].fields[:2]] == ["name", "imagenum1"]:
        rows.pop(0)
    if rows and all(len(row.fields) == 3 and _is_path(row.fields[1]) for row in rows):
        return _lines_of_paths(rows, name)
    if rows and all(len(row.fields) == 2 and _is_path(row.fields[0]) for row in rows):
        return _lines_of_images(rows, name)
    return _lines_of_lfw(rows, name)


class _Row(NamedTuple):
    """One line of a list: its number, and its fields."""

    number: int
    fields: list[str]


def _fields(line: str) -> list[str]:
    """The fields of a line, apart by tabs, else by commas, else by blanks."""
    line = line.strip("\ufeff\r\n")
    mark = "\t" if "\t" in line else "," if "," in line else None
    fields = [clean(field) for field in line.split(mark)]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _is_path(field: str) -> bool:
    return field.lower().endswith((".jpg", ".jpeg", ".png"))


def _lines_of_lfw(rows: list[_Row], name: str) -> list[Line]:
    head = rows.pop(0).fields if rows and len(rows[0].fields) <= 2 else []
    if not all(map(is_count, head)):
        raise DataError(f"{name}: the first line, {' '.join(head)[:80]!r}, is no pair; {_FORMS}")
    parsed = []
    for row in rows:
        fields = row.fields
        numbers = fields[1:] if len(fields) == 3 else fields[1::2]
        if len(fields) not in (3, 4) or not all(map(is_count, numbers)):
            people = ", a list of people and not of pairs" if len(fields) == 2 and numbers else ""
            raise DataError(
                f"{name}:{row.number}: {' '.join(fields)[:80]!r} is no pair{people}; {_FORMS}"
            )
        other = fields[0] if len(fields) == 3 else fields[2]
        first, second = (fields[0], int(fields[1])), (other, int(fields[-1]))
        parsed.append(Line(first, second, len(fields) == 3, 0, f"{name}:{row.number}"))
    folds = int(head[0]) if len(head) == 2 else 1 if head else FOLDS
    n = int(head[-1]) if head else len(parsed) // (2 * folds)
    if not head and not _are_parts(parsed, folds, n):
        mated = sum(line.mated for line in parsed)
        if len(parsed) < 2 * FOLDS and parsed and 2 * mated == len(parsed):
            return parsed  # few pairs without a first line: one part, in any order
    if not parsed or len(parsed) != 2 * n * folds:
        raise DataError(
            f"{name}: {len(parsed)} pairs are not {folds} parts of "
            f"{f'{n} mated and {n}' if head else 'as many mated as'} non-mated ones; is it whole?"
        )
    lines = []
    for index, line in enumerate(parsed):
        lines.append(line._replace(fold=index // (2 * n)))
        if line.mated != (index % (2 * n) < n):
            kind = "mated" if line.mated else "non-mated"
            raise DataError(
                f"{line.where}: a {kind} pair, where part {index // (2 * n) + 1} of {folds} is to "
                f"have {n} mated and then {n} non-mated ones; is the list whole?"
            )
    return lines


def _are_parts(lines: Sequence[Line], folds: int, n: int) -> bool:
    """Whether the lines are so many parts of n mated and then n non-mated pairs."""
    return len(lines) == 2 * n * folds and all(
        line.mated == (index % (2 * n) < n) for index, line in enumerate(lines)
    )


def _lines_of_paths(rows: Sequence[_Row], name: str) -> list[Line]:
    """Lines `person/image person/image 1`."""
    lines = []
    for row in rows:
        sides = [clean_path(field).rpartition("/") for field in row.fields[:2]]
        if row.fields[2] not in ("0", "1") or not all(person for person, _, _ in sides):
            raise DataError(
                f"{name}:{row.number}: {' '.join(row.fields)[:80]!r} is no pair; {_FORMS}"
            )
        keys = [(person.rpartition("/")[2], image) for person, _, image in sides]
        lines.append(Line(keys[0], keys[1], row.fields[2] == "1", 0, f"{name}:{row.number}"))
    return _in_parts(lines)


def _lines_of_images(rows: Sequence[_Row], name: str) -> list[Line]:
    """Lines `image 1`, two a pair, as CPLFW has them."""
    if len(rows) % 2:
        raise DataError(f"{name}: {len(rows)} lines are not two a pair; is it whole?")
    lines = []
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        if first.fields[1] != second.fields[1] or first.fields[1] not in ("0", "1"):
            raise DataError(
                f"{name}:{first.number}: this line and the next end in {first.fields[1]!r} and "
                f"{second.fields[1]!r}; both lines of a pair end in 1, or both in 0."
            )
        keys = []
        for row in (first, second):
            image = clean_path(row.fields[0]).rpartition("/")[2]
            person, underscore, _ = image.rpartition("_")
            if not underscore:
                raise DataError(f"{name}:{row.number}: {image!r} is not person_number.jpg.")
            keys.append((person, image))
        where = f"{name}:{first.number}"
        lines.append(Line(keys[0], keys[1], first.fields[1] == "1", 0, where))
    return _in_parts(lines)


def _in_parts(lines: Sequence[Line]) -> list[Line]:
    """The lines in ten parts, in their order, where ten parts have both kinds; else in one."""
    size = len(lines) // FOLDS
    folds = [lines[k * size : (k + 1) * size] for k in range(FOLDS)]
    if not size or len(lines) % FOLDS or any(len({x.mated for x in fold}) < 2 for fold in folds):
        return list(lines)
    return [line._replace(fold=k) for k, fold in enumerate(folds) for line in fold]


def match(name: str, faces: Faces, lines: Sequence[Line], names: Mapping[Key, str]) -> Benchmark:
    """Turns the lines of a list into pairs of rows.

    Args:
      name: The benchmark's.
      faces: The images that can be used.
      lines: The lines.
      names: For each image, as lines write it, its name among `faces.ids`.

    Returns:
      The pairs that can be used, and as problems every line that cannot: it names an image that
      is not there, one image twice, one person as two or two as one, or an earlier pair.
    """
    row_of = {image: row for row, image in enumerate(faces.ids.tolist())}
    kept: list[tuple[int, int, bool, int]] = []
    problems: list[Problem] = []
    seen: dict[tuple[int, int], str] = {}
    for line in lines:
        first, second = (row_of.get(names.get(key, "")) for key in (line.first, line.second))
        (first_person, image), (second_person, _) = line.first, line.second
        if first is None or second is None:
            who, image = line.first if first is None else line.second
            reason = f"image {image} of {printable(who)} is not there, or cannot be read"
        elif first == second:
            reason = f"image {image} of {printable(first_person)} is paired with itself"
        elif line.mated != (first_person == second_person):
            reason = (
                f"{printable(first_person)} and {printable(second_person)} are given as one person"
                if line.mated
                else f"{printable(first_person)} is given as two people"
            )
        elif before := seen.get((min(first, second), max(first, second))):
            reason = f"the pair of {before} again"
        else:
            seen[min(first, second), max(first, second)] = line.where
            kept.append((first, second, line.mated, line.fold))
            continue
        problems.append(Problem(line.where, reason))
    return Benchmark(name, faces, _pairs(kept), tuple(problems))


def refuse_problems(benchmark: Benchmark, *, on_error: str) -> Benchmark:
    """The benchmark itself, where its lists can be used.

    Args:
      benchmark: What was read.
      on_error: "raise" refuses any problem, "skip" only a benchmark without a pair.

    Raises:
      DataError: One line with the count, the first line and what to do.
    """
    problems = benchmark.problems
    if problems and (on_error == "raise" or not len(benchmark.pairs)):
        where, reason = problems[0]
        raise DataError(
            f"{benchmark.name}: {len(problems)} of {len(problems) + len(benchmark.pairs)} pairs of "
            f"{benchmark.faces.source} cannot be used; the first, {where}: {reason}. "
            f"`fairjax data check {benchmark.name}` lists them all; "
            "--config.data.benchmark.on_error=skip leaves them out."
        )
    return benchmark


def draw_pairs(
    person: Int[np.ndarray, " images"],
    group: Int[np.ndarray, " images"],
    *,
    folds: int,
    per_fold: int,
    seed: int,
) -> Pairs:
    """Draws mated and as many non-mated pairs, both within a group, no person in two parts.

    The people of each group are dealt to the parts; in each part the pairs are those with the
    smallest hashes of the seed and their two rows, among all that there are. People whose group is
    not known are a group of their own.

    Args:
      person: Number of the person on each image.
      group: The group of that person, or UNKNOWN.
      folds: Into how many parts people are dealt.
      per_fold: How many mated pairs a group has in a part, and how many non-mated ones, where
        there are so many of both.
      seed: Another seed draws other pairs.

    Returns:
      Pairs in the order of group, part and kind (mated first).
    """
    drawn = []
    for g in np.unique(group).tolist():
        people = np.unique(person[group == g])
        order = np.argsort(_hash("fold", seed, people, people), kind="stable")
        for fold in range(folds):
            rows = np.flatnonzero(np.isin(person, people[order[fold::folds]]))
            i, j = (rows[side] for side in np.triu_indices(len(rows), 1))
            mated = person[i] == person[j]
            rank = np.argsort(_hash("pair", seed, i, j), kind="stable")
            kinds = [rank[mated[rank]], rank[~mated[rank]]]
            n = min(per_fold, *map(len, kinds))
            drawn += [
                (int(i[at]), int(j[at]), bool(mated[at]), fold)
                for kind in kinds
                for at in np.sort(kind[:n])
            ]
    return _pairs(drawn)


def account(pairs: Pairs, faces: Faces) -> dict[str, Any]:
    """What there is, JSON-ready: by group of the first image, and by part; kinds apart."""
    group = faces.group[faces.person]
    names = [*faces.groups, "unknown"]  # UNKNOWN is -1, the last
    return {
        "pairs": len(pairs),
        "by_" + faces.attribute: {
            names[g]: {
                **_kinds(pairs.mated[inside]),
                "people": len(np.unique(faces.person[[pairs.first[inside], pairs.second[inside]]])),
            }
            for g in np.unique(group[pairs.first]).tolist()
            if (inside := group[pairs.first] == g) is not None
        },
        "by_fold": {
            str(fold + 1): _kinds(pairs.mated[pairs.fold == fold])
            for fold in np.unique(pairs.fold).tolist()
        },
    }


def _kinds(mated: Bool[np.ndarray, " pairs"]) -> dict[str, int]:
    return {"mated": int(mated.sum()), "nonmated": int((~mated).sum())}


def _hash(purpose: str, seed: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return uniforms(seed, purpose, left, right, 1)[:, 0]


def _pairs(rows: Sequence[tuple[int, int, bool, int]]) -> Pairs:
    columns = list(zip(*rows, strict=True)) or [()] * 4
    first, second, mated, fold = columns
    return Pairs(
        np.array(first, np.int64),
        np.array(second, np.int64),
        np.array(mated, bool),
        np.array(fold, np.int64),
    )

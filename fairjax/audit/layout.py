"""Which column of a table of pairs holds what: as the user names them, or by customary names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fairjax.audit.tables import InputError, Source, check_columns, column_names, listed

_SCORES = ("score", "similarity", "cosine")
_OTHER_SCORES = ("sim", "cosine_similarity")  # where none of the above is there
DISTANCES = ("distance", "dist")
_MATED = ("mated", "same", "is_same", "issame", "genuine", "label")
SUBJECTS = ("subject", "subject_id", "id", "identity", "person")
IMAGES = (
    "image",
    "img",
    "file",
    "filename",
    "file_name",
    "filepath",
    "image_path",
    "path",
    "p",
    "reference_id",
)
_FOLDS = ("fold",)
# Customary names of an attribute, its own first; BFW calls its groups att1 and att2
_SYNONYMS = {
    "group": ("group", "att", "attribute"),
    "race": ("race", "ethnicity"),
    "ethnicity": ("ethnicity", "race"),
    "gender": ("gender", "sex"),
    "sex": ("sex", "gender"),
}
# What stands before or behind a column's name, left and right
_SIDES = (
    ("", "1", "", "2"),
    ("", "_1", "", "_2"),
    ("", "_a", "", "_b"),
    ("", "_left", "", "_right"),
    ("", "_probe", "", "_gallery"),
    ("", "_probe", "", "_reference"),
    ("left_", "", "right_", ""),
    ("probe_", "", "gallery_", ""),
    ("probe_", "", "reference_", ""),
    ("probe_", "", "bio_ref_", ""),
    ("query_", "", "target_", ""),
)
BARE_IMAGES = (
    ("probe", "gallery"),
    ("probe", "reference"),
    ("query", "target"),
    ("img1_path", "img2_path"),  # the arguments of DeepFace.verify
    ("query", "identity"),  # a column of DeepFace.find, and what was searched for
)
MOST_GROUPS = 20  # more are most likely people or ages, unless somebody says so


@dataclass(frozen=True)
class TableOptions:
    """How a table is read: the names of its columns, and what is allowed in them.

    "" and () find the columns by their customary names. A name of one side's column stands for
    both: "subject" for subject1 and subject2 (or subject_1, subject_a ...), or for one column that
    both sides share; "left,right" names the two.

    Attributes:
      scores: Columns of scores that grow with likeness, one a system.
      distances: Columns of scores that fall with likeness, one a system.
      mated: Column that says whether a pair shows one person.
      subject: Columns of the person on each side.
      image: Columns of the image on each side.
      fold: Column of the benchmark's folds.
      by: Attributes whose groups are compared: "race", "race+gender" for their intersection,
        "race=left,right" where the columns are called otherwise, "age:18,30" for numbers in bins.
      group_names: Names of the groups in order; any other name is refused. () takes all, sorted.
      unknown_groups: Whether people without a group are kept, among everyone only.
      subjects_by_group: Whether a subject's name is one within its group only (as in RFW).
      any_direction: Whether scores may run against their kind.
      zero_is_same: Whether 0 in `mated` marks one person, and 1 two people.
      kind: Kind of the scores, a key of `kinds.KINDS`; "" where nobody says.
      names_as_written: Whether people whose names are alike but for `core.names.DIFFERENCES` are
        several people, and nan, NA and unknown are names of people.
      many_groups: Whether there may be more than `MOST_GROUPS` groups.
      failures: Whether a blank score is a failure to acquire a face.
      failure_scores: Scores that stand for such a failure, such as -1 or "error".
      decision: Column of decisions, instead of scores.
      accept: Words in the column of decisions that accept a pair.
      embedding: Prefix of the columns of an embedding's dimensions; "" finds the only series.
      scorer: Rule that compares embeddings, one of `core.comparisons.SCORERS`; "" is "mls" where
        all of them have variances, else "cosine".
    """

    scores: Sequence[str] = ()
    distances: Sequence[str] = ()
    mated: str = ""
    subject: str = ""
    image: str = ""
    fold: str = ""
    by: Sequence[str] = ()
    group_names: Sequence[str] = ()
    unknown_groups: bool = False
    subjects_by_group: bool = False
    any_direction: bool = False
    zero_is_same: bool = False
    kind: str = ""
    names_as_written: bool = False
    many_groups: bool = False
    failures: bool = False
    failure_scores: Sequence[float | str] = ()
    decision: str = ""
    accept: Sequence[str] = ()
    embedding: str = ""
    scorer: str = ""


@dataclass(frozen=True)
class Attribute:
    """What people are grouped by.

    Attributes:
      name: "race", or "race+gender".
      columns: For each part, {"race": (left column, right column)}.
      bins: Lower ends of bins for each part that is a number, {"age": (18.0, 30.0)}.
    """

    name: str
    columns: Mapping[str, tuple[str, str]]
    bins: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """Which column of one table holds what; None where none does.

    Attributes:
      scores: Columns of scores.
      distances: Columns of distances.
      mated: Column that says whether a pair is mated.
      subject: Columns of the people on the two sides.
      image: Columns of the two images.
      fold: Column of the benchmark's part.
      attributes: What people are grouped by.
      decision: Column of decisions.
      unread: Columns that are called like scores or distances and are not read, since another one
        holds the scores and nobody named a column.
    """

    scores: tuple[str, ...]
    distances: tuple[str, ...]
    mated: str | None
    subject: tuple[str, str] | None
    image: tuple[str, str] | None
    fold: str | None
    attributes: tuple[Attribute, ...]
    decision: str | None = None
    unread: tuple[str, ...] = ()

    @property
    def systems(self) -> tuple[str, ...]:
        """The columns of scores and distances, or of decisions: one a system."""
        return (*self.scores, *self.distances, *([self.decision] if self.decision else []))

    @property
    def text(self) -> list[str]:
        """All other columns, each once."""
        sides = [
            self.subject,
            self.image,
            *(c for a in self.attributes for c in a.columns.values()),
        ]
        columns = [self.mated, self.fold, self.decision]
        columns += [column for both in sides if both for column in both]
        return list(dict.fromkeys(filter(None, columns)))


@dataclass(frozen=True)
class People:
    """What a table of people or of images says: who is who, and in which groups.

    Attributes:
      source: The file's name, for messages.
      key: "subject" or "image": what a row is about.
      subject: The person on each image; {} in a table of people.
      groups: For each attribute the group of each key.
    """

    source: str
    key: str
    subject: Mapping[str, str]
    groups: Mapping[str, Mapping[str, str]]


def find_layout(
    path: Source, options: TableOptions, people: People | None = None, *, scored: bool = True
) -> Layout:
    """Matches the table's columns with what is asked for and with customary names.

    Raises:
      InputError: If a column is missing, there twice or ambiguous; it says which flag names it.
    """
    names = column_names(path)
    scores, distances = tuple(options.scores), tuple(options.distances)
    if options.decision and (scores or distances):
        raise InputError("--decision stands alone: give --score and --distance in another audit.")
    scored = scored and not options.decision
    unread: tuple[str, ...] = ()
    if scored and not scores and not distances:
        scores = tuple(
            _present(path, names, _SCORES, "--score")
            or _present(path, names, _OTHER_SCORES, "--score")
        )
        if scores:
            others = {*_OTHER_SCORES, *DISTANCES}
            unread = tuple(n for n in names if n.lower() in others and n not in scores)
        else:
            distances = tuple(_present(path, names, DISTANCES, "--distance"))
    if scored and not scores and not distances:
        raise InputError(
            f"{path} has no column of scores (it has {listed(names)}); name it with --score, or "
            "with --distance where smaller means more alike."
        )
    if len(set(scores + distances)) < len(scores + distances):
        raise InputError(f"a score column is named twice: {listed(scores + distances)}.")
    mated = options.mated or next(iter(_present(path, names, _MATED, "--mated")), None)
    fold = options.fold or next(iter(_present(path, names, _FOLDS, "--fold")), None)
    subject = _sides(path, names, options.subject, SUBJECTS, "--subject")
    image = _sides(path, names, options.image, IMAGES, "--image", bare=BARE_IMAGES)
    from_images = people is not None and people.subject and image
    if mated is None and subject is None and not from_images:
        raise InputError(
            f"{path} says neither whether pairs are mated nor who is on them (it has "
            f"{listed(names)}); name the columns with --mated or --subject."
        )
    by = options.by or default_by(people)
    attributes = tuple(find_attribute(path, names, wanted, people) for wanted in by)
    layout = Layout(
        scores, distances, mated, subject, image, fold, attributes, options.decision or None, unread
    )
    check_columns(path, [*layout.text, *layout.systems])
    return layout


def default_by(people: People | None) -> Sequence[str]:
    """The attribute where none is asked for: the people's only one, or "group".

    Raises:
      InputError: If the people's table has several.
    """
    if people is None or not people.groups or "group" in people.groups:
        return ["group"]
    if len(people.groups) > 1:
        raise InputError(
            f"{people.source} has {listed(list(people.groups))}; say with --by which to compare "
            "groups of (A+B is their intersection)."
        )
    return list(people.groups)


def _present(path: Source, names: Sequence[str], customary: Sequence[str], flag: str) -> list[str]:
    """The one column with a customary name, or none."""
    columns = [name for name in names if name.lower() in customary]
    if len(columns) > 1:
        raise InputError(f"{path} has {listed(columns)}; say which one with {flag}.")
    return columns


def _sides(
    path: Source,
    names: Sequence[str],
    wanted: str,
    customary: Sequence[str],
    flag: str,
    bare: Sequence[tuple[str, str]] = (),
) -> tuple[str, str] | None:
    """The two columns of both sides: as asked, or the only customary ones."""
    pairs = []
    for base in [wanted] if wanted else customary:
        pairs += both_sides(names, base)
    if not pairs and not wanted:
        pairs = [(left, right) for left, right in bare if left in names and right in names]
    if len(pairs) == 1:
        return pairs[0]
    if pairs:
        shown = [left if left == right else f"{left},{right}" for left, right in pairs]
        raise InputError(f"{path} has {listed(shown)}; say which with {flag}.")
    if wanted:
        raise InputError(
            f"{path} has no columns for {flag} {wanted} (looked for {wanted}1 and {wanted}2, "
            f"{wanted}_1 and {wanted}_2, {wanted}_a and {wanted}_b, probe_{wanted} and "
            f"gallery_{wanted} ...); it has {listed(names)}."
        )
    return None


def both_sides(names: Sequence[str], base: str) -> list[tuple[str, str]]:
    """The left and right columns that a base name stands for: subject1 and subject2, and so on."""
    if "," in base:
        left, right = base.split(",", 1)
        return [(left, right)]
    lower: dict[str, str] = {}
    for name in names:
        lower.setdefault(name.lower().replace(" ", "_"), name)
    base = base.lower().replace(" ", "_")
    return [
        (lower[left], lower[right])
        for before, behind, other_before, other_behind in _SIDES
        if (left := before + base + behind) in lower
        and (right := other_before + base + other_behind) in lower
    ]


def base_of_sides(left: str, right: str) -> str:
    """What two columns have in common if they are the sides of a pair: race of race1 and race2.

    Returns:
      The base name; "" where they are no two sides.
    """
    for before, behind, other_before, other_behind in _SIDES:
        base = left.removeprefix(before).removesuffix(behind)
        if base and (left, right) == (before + base + behind, other_before + base + other_behind):
            return base
    return ""


def find_attribute(
    path: Source, names: Sequence[str], wanted: str, people: People | None, *, pairs: bool = True
) -> Attribute:
    """Where the groups of an attribute come from: columns of both sides, or the people's table.

    Args:
      path: The table, for messages.
      names: Columns of the table.
      wanted: What --by says.
      people: The people's table, or None.
      pairs: Whether a row is a pair; else it is one image.

    Raises:
      InputError: If no column or more than one fits.
    """
    columns, bins = {}, {}
    parts = [_Part.parse(item) for item in wanted.split("+")]
    for name, edges, column in parts:
        if [item.name for item in parts].count(name) > 1:
            raise InputError(f"--by {wanted} names {name!r} twice.")
        if edges:
            bins[name] = edges
        if people is not None and not column and known_as(name, people.groups):
            continue
        sides = [(column, column)] if column and "," not in column else []
        bases = [column] if column else _SYNONYMS.get(name, (name,))
        for base in bases:
            sides = sides or both_sides(names, base)
        for base in [] if column else bases:
            sides = sides or [(base, base)] * (names.count(base) > 0)
        if not sides:
            if not pairs:
                raise InputError(
                    f"{path} has no column for the groups by {name!r}; it has {listed(names)}. "
                    "Name the column of groups with --by."
                )
            also = f" and {people.source} has {listed(list(people.groups))}" if people else ""
            raise InputError(
                f"{path} has no columns for the groups by {name!r} (looked for {name}1 and "
                f"{name}2, or {name}); it has {listed(names)}{also}. Name them with --by "
                f"{name}=LEFT,RIGHT, or give a table with --groups."
            )
        if len(sides) > 1:
            raise InputError(f"{path}: several columns fit --by {name}: {listed(sum(sides, ()))}.")
        columns[name] = sides[0]
    return Attribute("+".join(item.name for item in parts), columns, bins)


def known_as(name: str, columns: Iterable[str]) -> str:
    """The column that holds an attribute, under its own or a customary other name; "" if none."""
    columns = list(columns)
    return next((word for word in _SYNONYMS.get(name, (name,)) if word in columns), "")


def has_two_sides(names: Sequence[str], options: TableOptions) -> bool:
    """Whether a row of a table is a pair: some column is there for the left and the right side.

    Args:
      names: The table's columns.
      options: Columns that the user names; customary names are looked for where there are none.
    """
    parts = [_Part.parse(item) for by in options.by or ["group"] for item in by.split("+")]
    attributes = [item.column or item.name for item in parts]
    images = [name for name in IMAGES if name != "p"]  # p1 and p2 are probabilities, too
    bases = [options.subject, options.image, *attributes]
    bases += [] if options.subject else SUBJECTS
    bases += [] if options.image else images
    if not options.image and any(left in names and right in names for left, right in BARE_IMAGES):
        return True
    return any(both_sides(names, base) for base in bases if base)


class _Part(NamedTuple):
    """One part of --by: "age:18,30=left,right"."""

    name: str
    edges: tuple[float, ...]
    column: str

    @classmethod
    def parse(cls, text: str) -> "_Part":
        before, _, column = text.partition("=")
        name, colon, edges = before.partition(":")
        return cls(name, bin_edges(before, edges) if colon else (), column)


def bin_edges(by: str, text: str) -> tuple[float, ...]:
    """The lower ends of bins, from "18,30,45".

    Raises:
      InputError: If they are no numbers, or do not ascend.
    """
    try:
        edges = tuple(float(word) for word in text.split(","))
    except ValueError:
        edges = ()
    if not edges or any(low >= high for low, high in zip(edges, edges[1:], strict=False)):
        raise InputError(f"--by {by}: bins are ascending numbers, as in --by age:18,30,45,60.")
    return edges

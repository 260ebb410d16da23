"""LFW-style verification: pairs of a tree of people, in one list or in one list a group.

Source: Huang, Ramesh, Berg and Learned-Miller, "Labeled Faces in the Wild" (2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairjax.data.dataset import DataError
from fairjax.data.faces import Benchmark, ListedPairs, gather
from fairjax.data.formats.bins import open_bins
from fairjax.data.formats.files import find_source, open_files, printable, read_text
from fairjax.data.formats.pairs import Line, match, parse_pairs, refuse_problems
from fairjax.data.formats.tree import ATTRIBUTE, by_number_and_name, groups_of, people

HELP = (
    "Give the folder or uncompressed .tar of images, <person>/<person>_0001.jpg, and the list of "
    "pairs: one pairs.txt, or a folder of <Group>_pairs.txt. LFW itself: "
    "https://vis-www.cs.umass.edu/lfw/ (news photographs that stay with their owners; for research "
    "only). A relative path is also looked for in the folder named by FAIRJAX_DATA."
)
SUFFIX = "_pairs.txt"


@dataclass(frozen=True, kw_only=True)
class LfwPairs(ListedPairs):
    """Settings of LFW-style pairs: a tree of people, and lists of pairs.

    Attributes:
      root: Folder or .tar of images, <person>/<person>_NNNN.jpg; or one of InsightFace's sets,
        such as agedb_30.bin, which needs no list and has no groups.
      pairs: One list, or a folder of <Group>_pairs.txt, which then say who is in which group.
      groups: For one list a table with the columns identity and group, or "".
      folds: Parts of the lists that are used, counted from 1; () is all.
    """

    pairs: str = ""
    groups: str = ""
    folds: Sequence[int] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(fold < 1 for fold in self.folds):
            raise ValueError(f"folds={tuple(self.folds)} must count from 1.")

    def load(self, *, seed: int) -> Benchmark:
        """Reads images and pairs; nothing is drawn."""
        del seed
        return refuse_problems(
            read(root=self.root, pairs=self.pairs, groups=self.groups, folds=self.folds),
            on_error=self.on_error,
        )


def read(*, root: str, pairs: str, groups: str, folds: Sequence[int] = ()) -> Benchmark:
    """The benchmark, with the lines that cannot be used as problems.

    The arguments are fields of `LfwPairs`.

    Raises:
      DataError: If something is missing or of another form.
    """
    where = "config.data.benchmark"
    path = find_source(
        "lfw", root, candidates=("lfw.tar", "lfw"), key=f"{where}.root", help_text=HELP
    )
    if path.suffix == ".bin":
        bins = open_bins({"": path})
        faces = gather(
            bins.files,
            bins.person_of,
            group_of={},
            groups=(),
            attribute=ATTRIBUTE,
            assigned_by="nobody: groups are not known",
        )
        return match("lfw", faces, bins.lines, bins.names)
    lists = find_source(
        "lfw", pairs, candidates=("pairs.txt",), key=f"{where}.pairs", help_text=HELP
    )
    lines, group_of = read_lists(lists)
    if folds:
        lines = [line for line in lines if line.fold + 1 in folds]
        if absent := set(folds) - {line.fold + 1 for line in lines}:
            raise DataError(
                f"{lists}: there is no part {min(absent)} (config.data.benchmark.folds)."
            )
    files = open_files(path)
    person_of, _ = people(files)
    person_of = {name: person.rpartition("/")[2] for name, person in person_of.items()}
    wanted = {person for line in lines for person, _ in (line.first, line.second)}
    person_of = {name: person for name, person in person_of.items() if person in wanted}
    assigned_by = "The lists of pairs, one a group."
    if not group_of:
        group_of, assigned_by = groups_of(wanted, groups, [], key=f"{where}.groups")
    faces = gather(
        files,
        person_of,
        group_of=group_of,
        groups=sorted(set(group_of.values())),
        attribute=ATTRIBUTE,
        assigned_by=assigned_by,
    )
    return match("lfw", faces, lines, by_number_and_name(person_of))


def read_lists(path: Path) -> tuple[list[Line], dict[str, str]]:
    """The lines of one list or of a folder of lists, and each person's group where they tell it.

    Raises:
      DataError: If there is no list, one is of another form, or a person is in two of them.
    """
    lists = {"": path}
    if path.is_dir():
        lists = {file.name.removesuffix(SUFFIX): file for file in sorted(path.glob(f"*{SUFFIX}"))}
    lines: list[Line] = []
    group_of: dict[str, str] = {}
    for group, file in lists.items():
        own = parse_pairs(read_text(file), name=file.name)
        for line in own if group else ():
            for person, _ in (line.first, line.second):
                if group_of.setdefault(person, group) != group:
                    raise DataError(
                        f"{line.where}: {printable(person)} is also in {group_of[person]}{SUFFIX}; "
                        "a person has one group."
                    )
        lines += own
    if not lines:
        raise DataError(f"{path}: no list of pairs (<Group>{SUFFIX}) in it. {HELP}")
    return lines, group_of

"""BFW (Balanced Faces in the Wild): eight subgroups of ethnicity and gender, one table of pairs.

Source: Robinson, Livitz, Henon, Qin, Fu and Timoner, "Face recognition: too bias, or not too bias?"
(CVPR Workshops 2020), and the README of visionjo/facerec-bias-bfw.
"""

from dataclasses import dataclass
from pathlib import Path

from fairjax.core.names import clean, clean_path
from fairjax.data.dataset import DataError
from fairjax.data.faces import Benchmark, ListedPairs, gather
from fairjax.data.formats.files import find_source, is_count, open_files, printable, table_rows
from fairjax.data.formats.pairs import Key, Line, match, refuse_problems

COLUMNS = ("fold", "p1", "p2", "label", "att1", "att2")
ATTRIBUTE = "subgroup"
_LABELS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
SUBGROUPS = (
    "asian_females",
    "asian_males",
    "black_females",
    "black_males",
    "indian_females",
    "indian_males",
    "white_females",
    "white_males",
)
ASSIGNED_BY = "By the authors, in eight coarse classes of ethnicity and gender; nobody was asked."
PLACES = ("bfw", "BFW")
HELP = (
    "Ask its authors for it, https://github.com/visionjo/facerec-bias-bfw (for non-commercial "
    "research only), and give the folder of <ethnicity>_<gender>s/<subject>/<image>.jpg, and the "
    "table bfw-<version>-datatable.csv (found by itself where it lies in that folder); or set "
    f"FAIRJAX_DATA to a folder that holds one of {', '.join(PLACES)}."
)


@dataclass(frozen=True, kw_only=True)
class BfwPairs(ListedPairs):
    """Settings of BFW: the folder of subgroups and the table of pairs.

    Attributes:
      pairs: The table, or "" for the only one in `root`.
    """

    pairs: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs.endswith(".pkl"):
            raise ValueError(
                f"pairs={self.pairs!r}: a pickled table can run code and is not read; give the "
                ".csv."
            )

    def load(self, *, seed: int) -> Benchmark:
        """Reads images and pairs; nothing is drawn."""
        del seed
        return refuse_problems(read(self.root, self.pairs), on_error=self.on_error)


def read(root: str, pairs: str) -> Benchmark:
    """The benchmark, with the rows that cannot be used as problems.

    Args:
      root: Folder of images.
      pairs: The table, or "" for the only one in `root`.

    Raises:
      DataError: If something is missing or of another form.
    """
    where = "config.data.benchmark"
    path = find_source("bfw", root, candidates=PLACES, key=f"{where}.root", help_text=HELP)
    if pairs:
        table = find_source("bfw", pairs, candidates=(), key=f"{where}.pairs", help_text=HELP)
    else:
        tables = sorted(path.glob("*datatable*.csv")) if path.is_dir() else []
        if len(tables) != 1:
            raise DataError(f"bfw: {len(tables)} tables (*datatable*.csv) in {path}. {HELP}")
        table = tables[0]
    lines, group_of = _read_table(table)
    files = open_files(path)
    person_of = {
        name: "/".join(parts[-3:-1]) for name in files.names if len(parts := name.split("/")) > 2
    }
    person_of = {name: person for name, person in person_of.items() if person in group_of}
    faces = gather(
        files,
        person_of,
        group_of=group_of,
        groups=SUBGROUPS,
        attribute=ATTRIBUTE,
        assigned_by=ASSIGNED_BY,
    )
    names: dict[Key, str] = {
        (person, name.rpartition("/")[2]): name for name, person in person_of.items()
    }
    return match("bfw", faces, lines, names)


def _read_table(path: Path) -> tuple[list[Line], dict[str, str]]:
    """The pairs, and each person's subgroup."""
    columns, rows = table_rows(path)
    if missing := set(COLUMNS) - set(columns):
        raise DataError(
            f"{path}: the table has no column {' and no column '.join(sorted(missing))}; it has: "
            f"{printable(', '.join(columns))}."
        )
    lines: list[Line] = []
    group_of: dict[str, str] = {}
    for number, row in rows:
        where = f"{path.name}:{number}"
        label, fold = (clean(row[name] or "").casefold() for name in ("label", "fold"))
        if label not in _LABELS or not is_count(fold) or int(fold) < 1:
            raise DataError(
                f"{where}: label {row['label']!r} must be 0 or 1 (or true and false), fold "
                f"{row['fold']!r} a number from 1."
            )
        sides = []
        for side in "12":
            person, _, file = clean_path(row[f"p{side}"] or "").rpartition("/")
            person, group = "/".join(person.split("/")[-2:]), clean(row[f"att{side}"] or "")
            if group not in SUBGROUPS:
                raise DataError(f"{where}: att{side} {group!r} is none of {', '.join(SUBGROUPS)}.")
            if group_of.setdefault(person, group) != group:
                raise DataError(
                    f"{where}: att{side} of {printable(person)} is {group}, and {group_of[person]} "
                    "further up; a person has one subgroup."
                )
            sides.append((person, file))
        lines.append(Line(sides[0], sides[1], _LABELS[label], int(fold) - 1, where))
    return lines, group_of

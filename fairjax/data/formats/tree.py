"""A tree of one folder a person, and tables of groups."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fairjax.data.dataset import DataError
from fairjax.data.faces import Faces, gather
from fairjax.data.formats.files import (
    ImageFiles,
    find_source,
    is_count,
    open_files,
    printable,
    table_rows,
)
from fairjax.data.formats.pairs import Key
from fairjax.data.formats.records import find_records, open_listed, require_one_to_one

HELP = (
    "Give a folder or an uncompressed .tar with one folder a person, <person>/<image>.jpg, or a "
    ".rec with its .idx; a relative path is also looked for in the folder named by FAIRJAX_DATA."
)
ATTRIBUTE = "group"


def read_tree(root: str, groups: str) -> Faces:
    """The people of a tree or of a .rec file, with their groups.

    Args:
      root: Folder or .tar with one folder a person; or a .rec, or the folder that holds it.
      groups: "folder" where the folder above a person's is the group's; or a CSV table with the
        columns `identity` and `group`; or "" where groups are not known.

    Raises:
      DataError: If a place is missing or the table cannot be read.
    """
    path = find_source("identities", root, places=(), key="config.data.root", told=HELP)
    records = find_records(path)
    files, person_of, skipped = _tree(path) if records is None else _records(records)
    group_of, assigned_by = groups_of(
        set(person_of.values()), groups, skipped, key="config.data.groups"
    )
    return gather(
        files,
        person_of,
        group_of=group_of,
        groups=sorted(set(group_of.values())),
        attribute=ATTRIBUTE,
        assigned_by=assigned_by,
        skipped=skipped,
    )


def _tree(path: Path) -> tuple[ImageFiles, dict[str, str], list[tuple[str, str, str]]]:
    files = open_files(path)
    return files, *people(files)


def _records(path: Path) -> tuple[ImageFiles, dict[str, str], list[tuple[str, str, str]]]:
    """Named by the list beside the records, or else by their numbers."""
    records, listed = open_listed(path)
    person = listed.person if listed else [f"{label:06d}" for label in records.label.tolist()]
    require_one_to_one(path, records.label, person)
    return records.files, dict(zip(records.files.names, person, strict=True)), []


def people(files: ImageFiles) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """For each file of a tree the person, named by the folders it lies in; and what has none."""
    person_of = {}
    skipped = [(name, "identity", "a person without an image") for name in files.empty]
    for name in files.names:
        person = name.rpartition("/")[0]
        if not person:
            skipped.append((name, "name", "not in a person's folder"))
        elif not name.isprintable():
            skipped.append((name, "name", "unprintable characters in the name"))
        else:
            person_of[name] = person
    return person_of, skipped


def numbered(person_of: Mapping[str, str]) -> dict[Key, str]:
    """The names by person and by the number at their end, 7 of "m.07k59_k/m.07k59_k_0007.jpg".

    Raises:
      DataError: If two images of a person have one number.
    """
    found: dict[Key, str] = {}
    for name, person in person_of.items():
        digits = PurePosixPath(name).stem.rpartition("_")[2]
        if is_count(digits) and found.setdefault((person, int(digits)), name) != name:
            raise DataError(
                f"{printable(name)} and {printable(found[person, int(digits)])} are both image "
                f"{int(digits)} of {printable(person)}; move one of them away."
            )
    return found


def groups_of(
    names: set[str], groups: str, skipped: list[tuple[str, str, str]], *, key: str
) -> tuple[dict[str, str], str]:
    """For each person the group, where it is known, and who says so.

    Args:
      names: The people.
      groups: "folder", a table's path, or "".
      skipped: People of the table who are not there are added.
      key: The setting that `groups` comes from, for messages.

    Raises:
      DataError: If a person has no folder above, or the table cannot be used.
    """
    if not groups:
        return {}, "nobody: groups are not known"
    if groups == "folder":
        if flat := sorted(name for name in names if "/" not in name):
            raise DataError(
                f"{key}='folder' asks for <group>/<person>/<image>; {flat[0]!r} lies in no "
                "group's folder."
            )
        return {n: n.split("/")[-2] for n in names}, "The folders of the source."
    told = "Give a .csv with the columns identity and group."
    path = find_source("groups", groups, places=(), key=key, told=told)
    table = read_table(path)
    group_of = {}
    for name in names:
        bare = name.rpartition("/")[2]
        if group := table.get(name) or table.get(bare):
            group_of[name] = group
    known = names | {name.rpartition("/")[2] for name in names}
    skipped += [
        (name, "identity", f"in {path.name}, without an image")
        for name in sorted(table.keys() - known)
    ]
    return group_of, f"The table {path.name}."


def read_table(path: Path) -> dict[str, str]:
    """For each identity of a CSV table its group, "" where it has none.

    Args:
      path: A table with the columns `identity` and `group`, one row a person or one an image.

    Raises:
      DataError: If a column is missing, a person has two groups, or the file is no table.
    """
    columns, rows = table_rows(path)
    if missing := {"identity", "group"} - set(columns):
        raise DataError(
            f"{path}: the table has no column {' and no column '.join(sorted(missing))}; its first "
            f"line is {','.join(columns)!r}."
        )
    group_of: dict[str, str] = {}
    for number, row in rows:
        name, group = row["identity"], row["group"]
        if name is None or group is None:
            raise DataError(f"{path}:{number}: the row has too few fields.")
        if group_of.setdefault(name, group) != group:
            raise DataError(
                f"{path}:{number}: {name!r} is in group {group!r}, "
                f"and in {group_of[name]!r} further up; a person has one group."
            )
    return group_of

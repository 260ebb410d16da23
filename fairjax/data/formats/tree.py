"""A tree of one folder a person, and tables of groups."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fairjax.core.names import alike, clean, clean_path, is_unknown
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
_NUMBER = re.compile(r"[_\- ]?(\d+)(?:_\d)?")


def read_tree(root: str, groups: str, person_folder: str = "") -> Faces:
    """The people of a tree or of a .rec file, with their groups.

    Args:
      root: Folder or .tar with one folder a person; or a .rec, or the folder that holds it.
      groups: "folder" where the folder above a person's is the group's; or a CSV table with the
        columns `identity` and `group`; or "" where groups are not known.
      person_folder: Which folder names the person: "1" is the first below the root, "2" the one in
        it; "path" takes all folders above the image as the name; "" takes the folder that holds the
        image and asks where that is ambiguous.

    Raises:
      DataError: If a place is missing, the table cannot be read, or the folders can be read in
        several ways.
    """
    path = find_source("identities", root, candidates=(), key="config.data.root", help_text=HELP)
    records = find_records(path)
    files, person_of, skipped = (
        _tree(path, groups, person_folder) if records is None else _records(records)
    )
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


def _tree(
    path: Path, groups: str, person_folder: str
) -> tuple[ImageFiles, dict[str, str], list[tuple[str, str, str]]]:
    files = open_files(path)
    person_of, skipped = people(files)
    if person_folder in ("", "path"):
        if not person_folder:
            _refuse_ambiguous(path, set(person_of.values()), groups)
        return files, person_of, skipped
    level = int(person_folder)
    chosen = {}
    for name, folders in person_of.items():
        levels = folders.split("/")
        if len(levels) < level or (groups == "folder" and level < 2):
            skipped.append((name, "name", f"no folder {level} deep, which names the person"))
        else:
            chosen[name] = "/".join(
                levels[level - 2 : level] if groups == "folder" else [levels[level - 1]]
            )
    if not chosen:
        raise DataError(
            f"{path}: no image lies {level} folders deep (config.data.person_folder={level})."
        )
    return files, chosen, skipped


def _refuse_ambiguous(path: Path, folders: set[str], groups: str) -> None:
    """Asks which folder names the person, where several can.

    Raises:
      DataError: If one name lies under several folders, or images lie deeper than needed.
    """
    setting = "config.data.person_folder"
    check = "; fairjax data check takes it as --person-folder."
    bare: dict[str, str] = {}
    for folder in sorted(folders):
        if groups == "folder" and folder.count("/") == 1:
            continue  # a name is one within its group
        name = folder.rpartition("/")[2]
        other = bare.setdefault(name, folder)
        if other != folder:
            depth = folder.count("/") + 1
            raise DataError(
                f"{path}: {printable(other)!r} and {printable(folder)!r} hold images of one name, "
                f"or of two people. Set {setting}={depth} if folder {depth} names the person, "
                f"{setting}=1 if the first does, as in person/video, or {setting}=path if each "
                f"path is a person{check}"
            )
    needed = 2 if groups == "folder" else 1
    deep = sorted(folder for folder in folders if folder.count("/") >= needed)
    if deep and groups in ("", "folder"):
        first, depth = deep[0], deep[0].count("/") + 1
        raise DataError(
            f"{path}: images lie {depth} folders deep, as in {printable(first)!r}. Set {setting} "
            f"to the number of the folder that names the person ({needed} for "
            f"{printable(first.split('/')[needed - 1])!r}, {depth} for "
            f"{printable(first.split('/')[-1])!r}), or to path if each path is a person{check}"
        )


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


def by_number_and_name(person_of: Mapping[str, str]) -> dict[Key, str]:
    """`numbered`, and the names by person and by the file's own name, "anna_0001.jpg".

    Raises:
      DataError: If two images of a person have one number.
    """
    names = numbered(person_of)
    for name, person in person_of.items():
        names.setdefault((person, name.rpartition("/")[2]), name)
    return names


def numbered(person_of: Mapping[str, str]) -> dict[Key, str]:
    """The names by person and by the number at their end, 7 of "m.07k59_k/m.07k59_k_0007.jpg".

    Behind the person's name it may follow a dash, and a face's number may follow it, as in
    "anna_0007_0.png".

    Raises:
      DataError: If two images of a person have one number.
    """
    names: dict[Key, str] = {}
    for name, person in person_of.items():
        stem = PurePosixPath(name).stem
        behind = _NUMBER.fullmatch(stem.removeprefix(person.rpartition("/")[2]))
        digits = behind[1] if behind else stem.rpartition("_")[2]
        if is_count(digits) and names.setdefault((person, int(digits)), name) != name:
            raise DataError(
                f"{printable(name)} and {printable(names[person, int(digits)])} are both image "
                f"{int(digits)} of {printable(person)}; move one of them away."
            )
    return names


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
        folder_of = {n: n.split("/")[-2] for n in names}
        _refuse_alike(set(folder_of.values()), key)
        return folder_of, "The folders of the source."
    help_text = "Give a .csv with the columns identity and group."
    path = find_source("groups", groups, candidates=(), key=key, help_text=help_text)
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
    _refuse_alike(set(group_of.values()), str(path))
    return group_of, f"The table {path.name}."


def _refuse_alike(groups: set[str], where: str) -> None:
    """Refuses groups that are most likely one: see `core.names.alike`."""
    if pairs := alike(sorted(groups)):
        raise DataError(
            f"{where}: the groups {pairs[0].first!r} and {pairs[0].second!r} differ by "
            f"{pairs[0].difference} alone; write them alike."
        )


def read_table(path: Path) -> dict[str, str]:
    """For each identity of a CSV table its group, "" where it has none.

    Args:
      path: A table with the columns `identity` and `group`, one row a person or one an image.

    Raises:
      DataError: If a column is missing, a person has two groups, or the file is no table.
    """
    columns, rows = table_rows(path, delimiters=",;\t")
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
        name, group = clean_path(name), "" if is_unknown(clean(group)) else clean(group)
        if not name and not group:
            continue  # an empty row that a spreadsheet left behind
        if group_of.setdefault(name, group) != group:
            raise DataError(
                f"{path}:{number}: {name!r} is in group {group!r}, "
                f"and in {group_of[name]!r} further up; a person has one group."
            )
    return group_of

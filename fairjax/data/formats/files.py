"""Files of a folder or an uncompressed .tar: listed once, read in place from any thread."""

import csv
import errno
import hashlib
import io
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO
from weakref import finalize

from fairjax.core.names import clean
from fairjax.data.dataset import DataError

SUFFIXES = (".jpg", ".jpeg", ".png")
MOST_BYTES = 100 * 10**6  # of one image file
_COMPRESSED = {
    b"\x1f\x8b": "gunzip -k",
    b"BZh": "bunzip2 -k",
    b"\xfd7zXZ": "unxz -k",
    b"\x28\xb5\x2f\xfd": "unzstd",
    b"PK\x03\x04": "unzip",
}


@dataclass(frozen=True)
class ImageFiles:
    """The image files of one source, or files of another kind that were asked for.

    Attributes:
      path: The folder or the .tar.
      names: Sorted, unique, with forward slashes, below the folder that all files share; the same
        whether a release is a folder, a nested folder or a .tar.
      skipped: (name, reason) of members that look like images and are not plain files.
      stamp: A hash of path, names, sizes and modification times: it moves when the source does.
      read: `name -> bytes` of one file, safe to call from many threads. Raises OSError where the
        bytes cannot be had whole.
      empty: Folders with nothing in them that was asked for.
      passed_over: How many other files and links there are, by kind: ".webp files", "hidden
        files", "files of __MACOSX", "links to folders".
    """

    path: Path
    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    stamp: str
    read: Callable[[str], bytes]
    empty: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)


def find_source(
    name: str, root: str, *, candidates: Sequence[str], key: str, help_text: str
) -> Path:
    """The folder or file that `root` means.

    A relative path that is not there is looked for in the folder named by FAIRJAX_DATA; "" means
    that folder itself.

    Args:
      name: The dataset's, for messages.
      root: What the user gave.
      candidates: What to look for inside, in this order, before the folder itself is taken; where
        `root` is "", one of them must be there.
      key: The setting that `root` comes from, such as "config.data.root", for messages.
      help_text: Where to get the data, its terms and its layout: the end of every message.

    Raises:
      DataError: If there is no such place.
    """
    home = os.environ.get("FAIRJAX_DATA", "")
    if not root and not home:
        raise DataError(f"{name}: {key} and FAIRJAX_DATA are both empty. {help_text}")
    base = Path(root or home).expanduser()
    if home and not base.exists() and not base.is_absolute():
        base = Path(home).expanduser() / base
    for candidate in candidates:
        if (base / candidate).exists():
            return base / candidate
    if not root:
        expected = ", ".join(candidates) or f"what {key} would name"
        raise DataError(f"{name}: FAIRJAX_DATA={base} holds none of {expected}. {help_text}")
    if not base.exists():
        raise DataError(f"{name}: {key}={root} does not exist. {help_text}")
    return base


def open_files(path: Path, *, suffixes: tuple[str, ...] = SUFFIXES) -> ImageFiles:
    """Lists the JPEG and PNG files of a folder (at any depth) or of an uncompressed .tar.

    Files are told by their extension. Hidden files, what macOS puts into `__MACOSX`, files with
    other extensions and links to folders are passed over and counted. Names are in one Unicode
    form. A .tar is never unpacked.

    Args:
      path: A folder or a .tar.
      suffixes: How the names of the files end, in small letters.

    Raises:
      DataError: If the path is missing, unreadable, compressed or no .tar; if an archive is cut
        short or names a file outside itself; if there is no such file.
    """
    try:
        if path.is_dir():
            files = _open_folder(path, suffixes)
        elif path.is_file():
            files = _open_tar(path, suffixes)
        else:
            raise DataError(f"{path}: no such file or folder.")
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror}.") from error
    if not files.names:
        kind = "image file" if suffixes == SUFFIXES else "file"
        there = ", ".join(f"{n:,} {what}" for what, n in files.passed_over.items())
        raise DataError(
            f"{path}: no {kind} ({', '.join(suffixes)}) in it, at any depth"
            f"{f'; it has {there}' if there else ''}."
        )
    return files


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
      DataError: If it is not to be had, or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no text in UTF-8: {error.reason}.") from error


def is_count(text: str | None) -> bool:
    """Whether a text is a whole number, 0 or more, of at most 18 digits: one that fits 64 bits."""
    return text is not None and text.isdecimal() and len(text) <= 18


def table_rows(
    path: Path, *, delimiters: str = ","
) -> tuple[list[str], Iterator[tuple[int, dict[str, str | None]]]]:
    """The columns of a CSV file, and its rows with their lines' numbers.

    Args:
      path: The file, in UTF-8.
      delimiters: Characters that may part the fields; the most frequent in the first line does.

    Raises:
      DataError: If it is no such table, from here or from the rows; one line.
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = max(delimiters, key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)

    def refuse(error: csv.Error) -> DataError:
        return DataError(f"{path}:{rows.line_num}: no row of a table: {error}.")

    def each() -> Iterator[tuple[int, dict[str, str | None]]]:
        try:
            for row in rows:
                yield rows.line_num, row
        except csv.Error as error:
            raise refuse(error) from error

    try:
        rows.fieldnames = [clean(name) for name in rows.fieldnames or ()]
        return list(rows.fieldnames), each()
    except csv.Error as error:
        raise refuse(error) from error


def printable(name: str) -> str:
    """The name with control characters and undecodable bytes escaped, safe for a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _open_folder(path: Path, suffixes: tuple[str, ...]) -> ImageFiles:
    states, skipped, empty = {}, [], []
    other: Counter[str] = Counter()

    def refuse(error: OSError) -> None:
        raise error

    for folder, below, names in os.walk(path, onerror=refuse):
        links = [name for name in below if os.path.islink(os.path.join(folder, name))]
        other["links to folders"] += len(links)
        for name in below:
            if name not in links and (kind := _hidden_kind(name)):
                other[kind] += sum(
                    len(below_names) for _, _, below_names in os.walk(os.path.join(folder, name))
                )
        below[:] = [n for n in below if n not in links and not _hidden_kind(n)]
        for name in names:
            if kind := _kind_of(name, suffixes):
                other[_kind_on_disk(Path(folder, name), kind)] += 1
        wanted = [name for name in names if _is_wanted(name, suffixes)]
        if not wanted and not below:
            empty.append(Path(folder).relative_to(path).as_posix())
        for name in wanted:
            whole = Path(folder, name)
            relative = whole.relative_to(path).as_posix()
            if whole.is_file():
                state = whole.stat()
                if suffixes == SUFFIXES and state.st_size > MOST_BYTES:
                    skipped.append((relative, too_large(state.st_size)))
                else:
                    states[relative] = (state.st_size, state.st_mtime_ns)
            else:
                skipped.append((relative, "not a plain file (a broken link or a device)"))
    written = _below_shared_folder(path, states)
    stamp = stamp_of(path, ((name, *states[written[name]]) for name in sorted(written)))

    def read(name: str) -> bytes:
        with (path / written[name]).open("rb") as file:
            require_unchanged(path / written[name], file.fileno(), states[written[name]])
            return file.read()

    return ImageFiles(
        path,
        tuple(sorted(written)),
        tuple(sorted(skipped)),
        stamp,
        read,
        tuple(sorted(empty)),
        dict(+other),
    )


def _open_tar(path: Path, suffixes: tuple[str, ...]) -> ImageFiles:
    file = path.open("rb")
    try:
        where, skipped, empty, other = _tar_members(path, file, suffixes)
    except BaseException:
        file.close()
        raise
    written = _below_shared_folder(path, where)
    state = path.stat()
    stamp = stamp_of(path, [("", state.st_size, state.st_mtime_ns)])

    def read(name: str) -> bytes:
        require_unchanged(path, file.fileno(), (state.st_size, state.st_mtime_ns))
        offset, size = where[written[name]]
        content = os.pread(file.fileno(), size, offset)  # no shared position, so no lock
        if len(content) != size:
            raise OSError(f"{path} was cut short after it was listed")
        return content

    files = ImageFiles(
        path, tuple(sorted(written)), tuple(skipped), stamp, read, tuple(empty), dict(+other)
    )
    finalize(read, file.close)
    return files


def _tar_members(
    path: Path, file: IO[bytes], suffixes: tuple[str, ...]
) -> tuple[dict[str, tuple[int, int]], list[tuple[str, str]], list[str], Counter[str]]:
    """Offset and size of each wanted member; those not readable in place; empty folders; others."""
    head = file.read(8)
    for magic, command in _COMPRESSED.items():
        if head.startswith(magic):
            raise DataError(
                f"{path}: compressed, so its members cannot be read in place; run "
                f"`{command} {path.name}` and give the .tar or the folder that it makes."
            )
    file.seek(0)
    where: dict[str, tuple[int, int]] = {}
    skipped: dict[str, str] = {}
    folders: set[str] = set()
    other: Counter[str] = Counter()
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                member_path = PurePosixPath(member.name)
                if member_path.is_absolute() or ".." in member_path.parts:
                    raise DataError(
                        f"{path}: member {printable(member.name)!r} points outside the archive; "
                        "such an archive is not read."
                    )
                kinds = [
                    kind for folder in member_path.parts[:-1] if (kind := _hidden_kind(folder))
                ]
                if member.isdir():
                    if not kinds and not _hidden_kind(member_path.name):
                        folders.add(str(member_path))
                    continue
                if kind := (*kinds, _kind_of(member_path.name, suffixes))[0]:
                    is_link = not kinds and (member.issym() or member.islnk())
                    other["links" if is_link else kind] += 1
                    continue
                if suffixes == SUFFIXES and member.size > MOST_BYTES:
                    skipped[str(member_path)] = too_large(member.size)
                elif member.isreg() and not member.issparse():
                    where[str(member_path)] = (member.offset_data, member.size)
                else:
                    skipped[str(member_path)] = "not a plain file in the archive (a link or sparse)"
            # tarfile takes a damaged header for the end; the true end is a block of zeros
            file.seek(archive.offset)
            end = file.read(tarfile.BLOCKSIZE)
            if any(end) or not end:
                raise DataError(f"{path}: the archive is cut short or damaged; copy it again.")
    except tarfile.TarError as error:
        raise DataError(f"{path}: not a whole .tar: {error}.") from error
    filled = {str(above) for name in [*where, *folders] for above in PurePosixPath(name).parents}
    return where, sorted(skipped.items()), sorted(folders - filled), other


def too_large(size: int) -> str:
    """The reason for which a file of so many bytes is skipped."""
    return f"{size:,} bytes, too large to be a face picture (at most {MOST_BYTES:,})"


def require_unchanged(path: Path, file: int, listed: tuple[int, int]) -> None:
    """Refuses a file that was replaced or written to after it was listed.

    Args:
      path: The file's path, for the message.
      file: Descriptor of the open file.
      listed: Size in bytes and time of change in nanoseconds, when it was listed.

    Raises:
      OSError: If either is another now.
    """
    state = os.fstat(file)
    if (state.st_size, state.st_mtime_ns) != listed:
        raise OSError(
            errno.ESTALE,
            "it was changed, replaced or cut short after it was listed; put it back, or start anew",
            str(path),
        )


def _is_wanted(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes) and not name.startswith(".")


def _hidden_kind(name: str) -> str:
    """What a hidden folder's files are counted as; "" for a folder that is looked into."""
    if name == "__MACOSX":
        return "files of __MACOSX"
    return "hidden files" if name.startswith(".") else ""


def _kind_of(name: str, suffixes: tuple[str, ...]) -> str:
    """What a file is counted as that is passed over; "" for one that is wanted."""
    if name.startswith("."):
        return "hidden files"
    if name.lower().endswith(suffixes):
        return ""
    suffix = PurePosixPath(name).suffix.lower()
    return f"{suffix} files" if suffix else "files without an extension"


def _kind_on_disk(path: Path, kind: str) -> str:
    """What a file that is passed over is counted as: `kind`, or that it is no file at all."""
    if kind == "hidden files" or path.is_file():
        return kind
    return "broken links" if path.is_symlink() else "devices"


def _below_shared_folder(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Maps each name, cleaned and without the folder that all share, to the name itself.

    Raises:
      DataError: If two names are one but for their Unicode form or outer blanks.
    """
    names = list(names)
    shared = os.path.commonpath([os.path.dirname(name) for name in names]) if names else ""
    written: dict[str, str] = {}
    for name in names:
        below = "/".join(map(clean, (name[len(shared) + 1 :] if shared else name).split("/")))
        if written.setdefault(below, name) != name:
            raise DataError(
                f"{path}: {printable(name)!r} and {printable(written[below])!r} are one name but "
                "for their Unicode form or outer blanks; take one of them away."
            )
    return written


def stamp_of(path: Path, rows: Iterable[Sequence[str | int]]) -> str:
    """A hash of a place and of what lies there, a row of names and numbers each."""
    state = hashlib.blake2b(os.fsencode(path.resolve()), digest_size=16)
    for row in rows:
        state.update("\0".join(map(str, row)).encode("utf-8", "surrogateescape") + b"\n")
    return state.hexdigest()

"""Files that are written whole or not at all, and arrays that are read within bounds."""

import errno
import json
import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

EXPANSION = 100  # bytes of numbers that one byte of a compressed file may stand for
_CHUNK = 2**20  # bytes
SMALL = 64 * 2**20  # bytes; up to this size any compression is allowed
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write to; it takes its name when it is complete and on the disk.

    A process that dies half-way leaves the file that was there before.

    Args:
      path: The file's name; its folder exists.

    Raises:
      OSError: If it cannot be written, such as on a full disk; it names the file.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            error.filename = str(path)
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Gives an error of the system that names no file, such as that of a full disk, this path.

    Args:
      path: The file that is written to.

    Raises:
      OSError: The same, with its file.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes text (UTF-8) or bytes as `whole_file` does.

    Raises:
      OSError: If the file cannot be written; it names the file.
    """
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
      ValueError: If it is no JSON in UTF-8; one line that begins with the path.
      OSError: If it cannot be read.
    """
    content = path.read_bytes()
    try:
        return json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        why = f"not UTF-8 text: {error.reason} at byte {error.start}"
    except RecursionError:
        why = "nested too deeply"
    except ValueError as error:
        why = str(error)
    raise ValueError(f"{path} is not valid JSON ({why}); restore it from a copy.")


def read_arrays(path: Path, *, only: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; a .npy file is one array named "".

    Every header is compared with the file before memory is taken: a file may ask for `EXPANSION`
    times its own size, or for `SMALL` bytes. Nothing that is read can run code.

    Args:
      path: The file.
      only: Names of the arrays of an .npz that are read; () reads all.

    Raises:
      ValueError: If it is no such file, is damaged, holds Python objects, or asks for more memory
        than its size allows. One line.
      OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            if file.read(6) == b"\x93NUMPY":
                file.seek(0)
                return {"": _array(file, size)}
            if not zipfile.is_zipfile(file):
                raise ValueError("no .npz or .npy file of numpy, or cut short")
            with zipfile.ZipFile(file) as archive:
                return _members(archive, size, only)
        except OSError as error:
            if error.errno not in (None, errno.EINVAL):  # zipfile's for damage: bare, a bad seek
                raise
            raise ValueError(_line(path, error)) from error
        except Exception as error:  # a damaged file may raise anything at all
            raise ValueError(_line(path, error)) from error


def require_bounded(wanted: int, size: int) -> None:
    """Refuses a file that asks for much more memory than it is long.

    Args:
      wanted: Bytes of memory that it asks for.
      size: Bytes that the file has.

    Raises:
      ValueError: If it asks for more than `EXPANSION` times its size and more than `SMALL`.
    """
    allowed = max(SMALL, EXPANSION * size)
    if wanted > allowed:
        raise ValueError(
            f"it asks for {wanted:,} bytes of memory; a file of {size:,} bytes may ask for "
            f"{allowed:,}"
        )


def _members(archive: zipfile.ZipFile, size: int, only: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of an archive in a file of `size` bytes: all, or those of these names."""
    members = archive.infolist()
    if len({member.filename for member in members}) < len(members):
        raise ValueError("it holds two arrays of one name")
    require_bounded(sum(member.file_size for member in members), size)
    arrays = {}
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"{member.filename!r} in it is no array")
        if only and member.filename.removesuffix(".npy") not in only:
            continue
        with archive.open(member) as file:
            arrays[member.filename.removesuffix(".npy")] = _array(
                cast(BufferedIOBase, file), member.file_size
            )
    return arrays


def _array(file: BufferedIOBase, size: int) -> np.ndarray:
    """One array in numpy's format, of which `size` bytes are there in all."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of numpy's format is not read")
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code; they are refused")
    if any(length < 0 for length in shape):
        raise ValueError(f"an array has the shape {shape}")
    count, there = prod(shape), size - file.tell()
    if count * dtype.itemsize != there or (count and not dtype.itemsize):
        raise ValueError(
            f"an array's header speaks of {count:,} numbers of {dtype.itemsize} bytes, but "
            f"{there:,} bytes follow; the file is cut short or damaged"
        )
    array = np.empty(count, dtype)
    content, filled = array.view(np.uint8), 0
    while chunk := file.read(_CHUNK):  # to its end, where a zip's member has its CRC compared
        content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if filled != there:
        raise ValueError("cut short or damaged")
    return array.reshape(shape, order="F" if fortran else "C")


def _line(path: Path, error: Any) -> str:
    text = " ".join(str(error).split())
    why = text if type(error) is ValueError else f"damaged ({text or type(error).__name__})"
    return f"{path}: {why.rstrip('.')}."

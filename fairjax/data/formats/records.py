"""Images in MXNet's RecordIO files, as InsightFace packs them: `.rec`, `.idx` and `.lst`.

All numbers are little-endian. A record is the magic word, a word of 3 bits (which part) and 29 bits
(length), the data, and zeros up to a multiple of four bytes. Where data holds the magic word on a
four-byte boundary, the packer cuts there, drops the word, and writes the parts one after another.
Data starts with a header: flag (uint32), label (float32), two uint64; where flag is not 0, as many
float32 labels follow, and the first of them counts. The rest is the encoded image.

Record 0 of a file by InsightFace holds [N + 1, N + 1 + C]: images are records 1 to N, and C more
records say which of them show each person. In any other file every record is an image.

Sources: apache/mxnet python/mxnet/recordio.py; dmlc/dmlc-core src/recordio.cc;
deepinsight/insightface recognition/arcface_torch/dataset.py and src/data/face2rec2.py.
"""

import os
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import finalize

import numpy as np
from jaxtyping import Float64, Int64

from fairjax.core.names import clean_path, counted
from fairjax.data.dataset import DataError
from fairjax.data.formats.files import (
    ImageFiles,
    is_count,
    printable,
    read_text,
    require_unchanged,
    stamp_of,
)

MAGIC = 0xCED7230A
_MAGIC = struct.pack("<I", MAGIC)
_HEADER = struct.Struct("<IfQQ")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)  # which part of a record
_AT_ONCE = 1 << 16  # records whose headers are looked at together


@dataclass(frozen=True)
class Records:
    """The images of a .rec file.

    Attributes:
      files: The images by their keys, "00000001".
      label: For each the number of the person.
    """

    files: ImageFiles
    label: Int64[np.ndarray, " images"]


@dataclass(frozen=True)
class Listed:
    """What a .lst file says of the images, in the order of their keys.

    Attributes:
      person: For each image the name of the folder it was packed from.
      label: The number of the person.
      extra: The number after that, such as a race; empty where there is none.
    """

    person: Sequence[str]
    label: Int64[np.ndarray, " images"]
    extra: Int64[np.ndarray, " extra"]


def find_records(root: Path) -> Path | None:
    """The .rec file that a path means: itself, or the only one in the folder; None: there is none.

    Raises:
      DataError: If a folder holds several and none is train.rec.
    """
    if root.suffix == ".rec":
        return root
    candidates = sorted(root.glob("*.rec")) if root.is_dir() else []
    if len(candidates) > 1 and root / "train.rec" not in candidates:
        raise DataError(f"{root}: {len(candidates)} .rec files; name the one to read.")
    return root / "train.rec" if len(candidates) > 1 else candidates[0] if candidates else None


def open_records(path: Path) -> Records:
    """Lists the images of a .rec file and checks every one's header.

    Args:
      path: The .rec; the .idx of the same name lies beside it, and a file `property`
        ("people,height,width") may.

    Raises:
      DataError: If a file is missing, cut short or damaged, the .idx points elsewhere, or a label
        is no person's number.
    """
    keys, offsets = _read_index(path.with_suffix(".idx"), path)
    file = path.open("rb")
    try:
        flag, label = _read_headers(path, file.fileno(), keys, offsets)
        where = dict(zip(keys.tolist(), offsets.tolist(), strict=True))
        images, people = keys, _people(path.with_name("property"))
        if keys[0] == 0 and flag[0] >= 2:
            first, last = np.frombuffer(_record(path, file.fileno(), where[0]), "<f4", 2, 24)
            images = keys[(keys >= 1) & (keys < first)]
            if len(images) != first - 1 or not first <= last < np.inf:
                raise DataError(
                    f"{path}: record 0 speaks of {first - 1:.0f} images and {last - first:.0f} "
                    f"people, but the .idx lists {len(images)} images; copy both again."
                )
            people = people or int(last - first)
        label = label[np.isin(keys, images)]
        _check_labels(path, images, label, people)
    except BaseException:
        file.close()
        raise
    names = tuple(f"{key:08d}" for key in images.tolist())

    def read(name: str) -> bytes:
        require_unchanged(path, file.fileno(), (state.st_size, state.st_mtime_ns))
        record = _record(path, file.fileno(), where[int(name)])
        return record[24 + 4 * struct.unpack_from("<I", record)[0] :]

    state = path.stat()
    stamp = stamp_of(path, [("", state.st_size, state.st_mtime_ns)])
    files = ImageFiles(path, names, (), stamp, read)
    finalize(read, file.close)
    return Records(files, label.astype(np.int64))


def read_list(path: Path) -> Listed:
    """Reads a .lst file in any of the layouts in use, told apart by where the path stands.

    `path label [race]` (BUPT-Balancedface), `aligned path label ...` (InsightFace) and
    `index label ... path` (MXNet), the fields apart by tabs.

    Raises:
      DataError: If a line is of none of them.
    """
    person, label, extra, index = [], [], [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = [clean_path(field) for field in line.split("\t")]  # Windows writes backslashes
        path_field = next((at for at, field in enumerate(fields) if "/" in field), -1)
        rest = fields[1:-1] if 0 < path_field == len(fields) - 1 else fields[path_field + 1 :]
        try:
            if path_field not in (0, 1, len(fields) - 1) or not rest:
                raise ValueError
            numbers = [int(float(field)) for field in rest[:2]]
            if not all(abs(number) < 2**63 for number in numbers):
                raise ValueError
        except (OverflowError, ValueError):
            raise DataError(
                f"{path}:{number}: {line[:80]!r} is no line of a .lst: `path label`, "
                "`aligned path label` or `index label path`, apart by tabs."
            ) from None
        person.append(fields[path_field].rpartition("/")[0].rpartition("/")[2])
        label.append(numbers[0])
        if path_field == 0 and len(numbers) > 1:
            extra.append(numbers[1])
        if path_field > 1 and is_count(fields[0]):
            index.append(int(fields[0]))
    if len(set(index)) == len(person):  # MXNet shuffles its lines, and keeps each one's key
        order = np.argsort(index)
        person, label = [person[at] for at in order], [label[at] for at in order]
    return Listed(person, np.array(label, np.int64), np.array(extra, np.int64))


def open_listed(path: Path) -> tuple[Records, Listed | None]:
    """The images of a .rec file, and its list, if one lies beside it and belongs to it.

    Raises:
      DataError: If the list has another length or other labels than the records.
    """
    records = open_records(path)
    beside = sorted(path.parent.glob("*.lst"))
    own = [list_ for list_ in beside if list_.stem == path.stem] or beside
    if len(own) != 1:
        return records, None
    listed = read_list(own[0])
    same = len(listed.label) == len(records.label)
    if not same or (listed.label != records.label).any():
        what = "other labels" if same else f"{len(listed.label)} lines"
        raise DataError(
            f"{own[0]}: {what}, for the {len(records.label)} images of {path.name}; the two do not "
            "belong together: give the right list, or move this one away."
        )
    return records, listed


def require_one_to_one(path: Path, label: np.ndarray, person: Sequence[str]) -> None:
    """Refuses a list that names two people by one number, or one by two.

    Raises:
      DataError: Names the first.
    """
    pairs = set(zip(label.tolist(), person, strict=True))
    for side, kind in ((0, "label"), (1, "person")):
        held = Counter(pair[side] for pair in pairs)
        if twice := sorted(key for key, times in held.items() if times > 1):
            both = sorted(str(pair[1 - side]) for pair in pairs if pair[side] == twice[0])
            raise DataError(
                f"{path}: the .lst beside it gives {kind} {printable(str(twice[0]))} to "
                f"{printable(both[0])} and {printable(both[1])} "
                f"({counted(len(twice), f'such {kind}')})."
            )


def _read_index(
    path: Path, records: Path
) -> tuple[Int64[np.ndarray, " records"], Int64[np.ndarray, " records"]]:
    """Keys, ascending, and where their records start."""
    if not path.exists():
        raise DataError(f"{path}: not there; {records.name} cannot be read without it.")
    fields = read_text(path).split()
    try:
        table = np.array(fields, np.int64).reshape(-1, 2)
    except (OverflowError, ValueError):
        raise DataError(f"{path}: not lines of a key and a byte offset; copy it again.") from None
    if not len(table):
        raise DataError(f"{path}: it lists no record; copy it again.")
    table = table[np.argsort(table[:, 0], kind="stable")]
    keys, offsets = table.T
    if (twice := np.flatnonzero(np.diff(keys) == 0)).size:
        raise DataError(f"{path}: key {keys[twice[0]]} stands there twice; copy it again.")
    return keys, offsets


def _read_headers(
    path: Path, file: int, keys: np.ndarray, offsets: np.ndarray
) -> tuple[Int64[np.ndarray, " records"], Float64[np.ndarray, " records"]]:
    """The flag and the first label of every record, once each is known to be whole."""
    size = path.stat().st_size

    def refuse(wrong: np.ndarray, why: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{path}: record {keys[row]}, at byte {offsets[row]} of {size}, {why} "
                f"({counted(int(wrong.sum()), 'such record')}); the file is cut short or is "
                "not that of the .idx."
            )

    refuse((offsets < 0) | (offsets > size - 8 - _HEADER.size), "would lie past the end")
    content = np.memmap(path, np.uint8, "r")
    magic, word = _gather(content, offsets, "<u4", 2).T
    refuse(magic != MAGIC, "does not start as a record")
    cflag, length = word >> 29, (word & ((1 << 29) - 1)).astype(np.int64)
    refuse((cflag != _WHOLE) & (cflag != _FIRST), "is the middle of another")
    refuse(offsets + 8 + length > size, "is cut short")
    refuse((cflag == _WHOLE) & (length < _HEADER.size), "is too short for an image")
    head = _gather(content, offsets + 8, "u1", _HEADER.size)
    flag = head[:, :4].copy().view("<u4")[:, 0].astype(np.int64)
    label = head[:, 4:8].copy().view("<f4")[:, 0].astype(np.float64)
    listed = np.flatnonzero((flag > 0) & (cflag == _WHOLE))
    refuse((cflag == _WHOLE) & (length < _HEADER.size + 4 * flag), "is too short for its labels")
    label[listed] = _gather(content, offsets[listed] + 8 + _HEADER.size, "<f4", 1)[:, 0]
    for row in np.flatnonzero(cflag == _FIRST).tolist():  # few: the magic is rare in a JPEG
        try:
            record = _record(path, file, int(offsets[row]))
            flag[row], label[row], *_ = _HEADER.unpack_from(record)
            if flag[row]:
                label[row] = struct.unpack_from("<f", record, _HEADER.size)[0]
        except (OSError, struct.error) as error:
            raise DataError(f"{path}: record {keys[row]}: {error}; copy it again.") from error
    return flag, label


def _gather(content: np.ndarray, offsets: np.ndarray, kind: str, count: int) -> np.ndarray:
    """`count` numbers at each of the offsets."""
    width = np.dtype(kind).itemsize * count
    blocks = [
        content[offsets[start : start + _AT_ONCE, None] + np.arange(width)]
        for start in range(0, len(offsets), _AT_ONCE)
    ]
    return np.concatenate([*blocks, np.empty((0, width), np.uint8)]).view(kind)


def _record(path: Path, file: int, offset: int) -> bytes:
    """The data of one record, its parts joined."""
    segments: list[bytes] = []
    while True:
        head = os.pread(file, 8, offset)  # no shared position, so no lock
        magic, word = struct.unpack("<II", head) if len(head) == 8 else (0, 0)
        cflag, length = word >> 29, word & ((1 << 29) - 1)
        data = os.pread(file, length, offset + 8)
        expected = (_MIDDLE, _LAST) if segments else (_WHOLE, _FIRST)
        if magic != MAGIC or cflag not in expected or len(data) != length:
            raise OSError(f"{path}: the record at byte {offset} is damaged or cut short")
        segments.append(data)
        if cflag in (_WHOLE, _LAST):
            return _MAGIC.join(segments)
        offset += 8 + (length + 3) // 4 * 4


def _people(path: Path) -> int | None:
    """How many people there are, where a file `property` says it."""
    if not path.exists():
        return None
    first = read_text(path).strip().split(",")[0]
    if not is_count(first):
        raise DataError(f"{path}: {first[:40]!r} is no number of people.")
    return int(first)


def _check_labels(path: Path, keys: np.ndarray, label: np.ndarray, people: int | None) -> None:
    """Refuses what is no person's number; float32 holds whole numbers up to 2^24 only."""
    most = people or 1 << 24
    wrong = ~((label >= 0) & (label < most) & (label == np.floor(label)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{path}: label {label[row]:g} of record {keys[row]} is no whole number in "
            f"0..{most - 1} ({counted(int(wrong.sum()), 'such record')})."
        )

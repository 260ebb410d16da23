"""Which files show the same picture: by their bytes, and by what they look like.

The search has three steps, each one blind to what a copy may have lost.

1.  A **perceptual hash** of 192 bits: the signs of the lowest frequencies of the cosine transform
    of the picture's centre, 40 x 40 of a 50 x 50 grey thumbnail. Size, brightness, contrast and
    compression leave the signs alone. So that a crop or a mirror does not hide a copy, the second
    picture of a pair is hashed in several views.
2.  **Candidates** are the pairs whose hashes differ in at most 44 bits; every pair is looked at.
3.  A candidate is **verified** on the thumbnails: both are band-passed (so that neither the shape
    that all faces share nor what blur removes counts), one is shifted, turned and scaled onto the
    other, and the correlation of the centres must exceed 0.91.

Groups are the connected sets of such pairs. The time grows with the square of the number of files:
seconds at 24,000, so hours at a million.
"""

import hashlib
import importlib.util
import io
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache as cache_function
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt64
from PIL import Image

from fairjax.data.formats import cache
from fairjax.data.formats.files import ImageFiles
from fairjax.data.formats.upright import is_rotated

THUMBNAIL = 50  # pixels a side: a quarter of UTKFace's, so JPEG's own 1/4 decoding serves
MARGIN = 5  # the border is left out: it holds what a crop or a turn moves
HASH_BITS = 192
MAX_DISTANCE = 44  # bits
# how the second picture of a pair is looked at: whether mirrored, and which part of it
VIEWS: tuple[tuple[bool, dict[str, int]], ...] = (
    (False, {}),
    (False, {"margin": 3}),
    (False, {"margin": 7}),
    (False, {"down": 2}),
    (True, {}),
    (True, {"right": 2}),  # aligned faces sit a little left of the middle, so mirrored ones right
)
MIN_CORRELATION = 0.91  # on UTKFace: every copy known beforehand, and few look-alikes (some babies)
RULE = (
    f"same bytes, or a {HASH_BITS}-bit perceptual hash (also of crops and mirrored) within "
    f"{MAX_DISTANCE} bits and a correlation above {MIN_CORRELATION} after alignment"
)
MOST_PIXELS = 50_000_000  # of a picture; decoding takes three bytes for each
LEAST_SIDE = 8  # pixels
MOST_ELONGATED = 8  # times the shorter side
_KEPT = "scan-5"  # raise the number when thumbnails, search or format change
_AT_ONCE = 4096  # files looked at between two rests, which bounds the memory
_FLAT = 1.0  # grey levels: a picture without detail looks like every other such picture


@dataclass(frozen=True)
class Scan:
    """What reading every file once has found.

    Attributes:
      digests: For each name that could be read, blake2b (128 bits, hexadecimal) of its bytes.
      unreadable: For each corrupt or unreadable file, the reason.
      group: For each name in `digests`, the first name (sorted) of the pictures like it; its own
        where it is alone.
    """

    digests: dict[str, str]
    unreadable: dict[str, str]
    group: dict[str, str]


def scan(files: ImageFiles) -> Scan:
    """Reads and decodes every file, and groups those that show the same picture.

    The outcome is kept in the user's cache folder, and used again while path, names, sizes and
    modification times stay the same. A cache that is damaged or cannot be written is passed over.
    """
    kind = f"{_KEPT}-{decoders()}"
    kept = _load(kind, files)
    if kept is not None:
        return kept
    looks = [seen for batch in look(files) for seen in batch]
    digests, unreadable, thumbnails = {}, {}, []
    for name, (digest, thumbnail, reason, _) in zip(files.names, looks, strict=True):
        if thumbnail is None:
            unreadable[name] = reason
        else:
            digests[name] = digest
            thumbnails.append(thumbnail)
    names = list(digests)
    group = {}
    if names:
        first = same_picture(list(digests.values()), np.stack(thumbnails))
        group = {name: names[row] for name, row in zip(names, first, strict=True)}
    result = Scan(digests, unreadable, group)
    if not any(seen.digest == "" for seen in looks):  # a disk's fault may pass; forget it
        cache.save(kind, files.stamp, vars(result))
    return result


class Look(NamedTuple):
    """What decoding one file gave.

    Attributes:
      digest: Hash of the file's bytes; "" where they cannot be read.
      thumbnail: The picture in grey; None where the file is corrupt or unreadable.
      reason: Reason for the missing thumbnail; "" where there is one.
      rotated: Whether the EXIF orientation says that the picture is to be turned.
    """

    digest: str
    thumbnail: UInt8[np.ndarray, "height width"] | None
    reason: str
    rotated: bool = False


def look(files: ImageFiles) -> Iterator[list[Look]]:
    """Reads and decodes every file, in order, some at a time; a corrupt image has no thumbnail.

    Yields:
      For each file its digest, its thumbnail and, where there is no thumbnail, the reason; the
      digest is "" where the bytes cannot be had.
    """
    if decoders() != "pillow":
        from fairjax.data.stream.decode import import_tensorflow

        import_tensorflow()  # here, before the threads ask for it
    # decoding leaves the interpreter free, and a network disk likes several readers
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(files.names), _AT_ONCE):
            names = files.names[start : start + _AT_ONCE]
            yield list(pool.map(lambda name: _look(files, name), names))


def _look(files: ImageFiles, name: str) -> Look:
    try:
        content = files.read(name)
    except OSError as error:
        return Look("", None, f"cannot be read from disk: {error.strerror or error}")
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    try:
        small, rotated = thumbnail(content), is_rotated(content)
    except ValueError as error:
        return Look(digest, None, str(error))
    if decoders() != "pillow":
        from fairjax.data.stream.decode import why_undecodable

        if reason := why_undecodable(content):
            return Look(digest, None, f"damaged: {reason}")
    return Look(digest, small, "", rotated)


@cache_function
def decoders() -> str:
    """The decoders that judge an image: training's own, TensorFlow, too where it is installed."""
    return "pillow" if importlib.util.find_spec("tensorflow") is None else "pillow-tensorflow"


def require_proportions(width: int, height: int) -> None:
    """Raises ValueError for a picture of a size that no face picture has."""
    if min(width, height) < LEAST_SIDE:
        raise ValueError("too few pixels to be a face picture")
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise ValueError("too long and narrow to be a face picture")


def thumbnail(encoded: bytes) -> UInt8[np.ndarray, "height width"]:
    """The picture in grey, THUMBNAIL pixels a side; decodes all of it, so a cut file shows.

    Args:
      encoded: A JPEG or PNG file.

    Raises:
      ValueError: If it is none, is cut short, has colours that training does not read, or is
        larger than `MOST_PIXELS`, smaller than `LEAST_SIDE` or longer than `MOST_ELONGATED` times
        its width.
    """
    if not encoded:
        raise ValueError("empty file")
    size = (THUMBNAIL, THUMBNAIL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(encoded), formats=("JPEG", "PNG")) as image:
                if image.mode in ("CMYK", "YCCK"):
                    raise ValueError("CMYK colours; convert it to RGB")
                if image.width * image.height > MOST_PIXELS:
                    raise ValueError("too many pixels to be a face picture")
                require_proportions(*image.size)
                image.draft("L", size)
                grey = image.convert("L")
    except Image.UnidentifiedImageError:
        raise ValueError("not a JPEG or PNG image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError("too many pixels to be a face picture") from None
    except (OSError, SyntaxError, EOFError, IndexError) as error:  # Pillow's words for damage
        raise ValueError(f"damaged: {error}") from error
    return np.asarray(grey.resize(size, Image.Resampling.BOX) if grey.size != size else grey)


def same_picture(
    digests: list[str], thumbnails: UInt8[np.ndarray, "files height width"]
) -> Int64[np.ndarray, " files"]:
    """For each file the row of the first file that shows the same picture, by any chain of pairs.

    Args:
      digests: A hash of each file's bytes; equal ones are copies.
      thumbnails: Thumbnails that `thumbnail` made.
    """
    parent = list(range(len(digests)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(first: int, second: int) -> None:
        low, high = sorted((root(first), root(second)))
        parent[high] = low

    seen: dict[str, int] = {}
    for row, digest in enumerate(digests):
        join(seen.setdefault(digest, row), row)
    rows = np.array(sorted(seen.values()))
    rows = rows[thumbnails[rows].std((1, 2)) > _FLAT]
    pairs, mirrored = candidates(thumbnails[rows])
    pairs = rows[pairs]
    links = pairs.tolist()
    for batch in np.array_split(np.arange(len(pairs)), len(pairs) // 500 + 1):
        # a pair that is linked already can add nothing: a thousand copies need no million looks
        apart = [k for k in batch.tolist() if root(links[k][0]) != root(links[k][1])]
        left = thumbnails[pairs[apart, 0]]
        right = thumbnails[pairs[apart, 1]]
        right = np.where(mirrored[apart, None, None], right[:, :, ::-1], right)
        for k, alike in zip(apart, correlation(left, right) > MIN_CORRELATION, strict=True):
            if alike:
                join(*links[k])
    return np.array([root(row) for row in range(len(parent))], np.int64)


def perceptual_hash(
    thumbnails: UInt8[np.ndarray, "files height width"],
    *,
    margin: int = MARGIN,
    right: int = 0,
    down: int = 0,
) -> UInt64[np.ndarray, "files words"]:
    """Signs of the lowest frequencies of each picture's centre, the mean left out.

    Args:
      thumbnails: Thumbnails that `thumbnail` made.
      margin: How many pixels of the thumbnail are left out on every side.
      right: How far to the right the centre is taken, in pixels of the thumbnail.
      down: How far down.
    """
    from scipy.fft import dctn  # slow to import, and every command imports this room

    side = THUMBNAIL - 2 * margin
    window = thumbnails[:, margin + down :, margin + right :][:, :side, :side]
    waves = dctn(window.astype(np.float32), axes=(1, 2))[:, :16, :16]
    row, column = np.indices((16, 16)).reshape(2, -1)
    lowest = np.argsort(row**2 + column**2, kind="stable")[1 : HASH_BITS + 1]
    bits = np.ascontiguousarray(waves.reshape(len(waves), 256)[:, lowest] > 0)
    return np.packbits(bits, axis=1).view(np.uint64)


def candidates(
    thumbnails: UInt8[np.ndarray, "files height width"],
) -> tuple[Int64[np.ndarray, "pairs 2"], Bool[np.ndarray, " pairs"]]:
    """Pairs of rows, the smaller first, that look alike; and whether one is to be mirrored.

    Pairs come in the order of their distance, so that the surest are tried first.
    """
    plain = perceptual_hash(thumbnails)
    distances: dict[tuple[int, int, bool], int] = {}
    for mirror, window in VIEWS:
        view = thumbnails[:, :, ::-1] if mirror else thumbnails
        for i, j, distance in _near(plain, perceptual_hash(view, **window)):
            for left, right, bits in zip(i, j, distance, strict=True):
                key = (min(left, right), max(left, right), mirror)
                distances[key] = min(bits, distances.get(key, bits))
    order = sorted(distances, key=lambda key: (distances[key], key))
    return (
        np.array([key[:2] for key in order], np.int64).reshape(-1, 2),
        np.array([key[2] for key in order], bool),
    )


def _near(
    hashes: UInt64[np.ndarray, "files words"], others: UInt64[np.ndarray, "files words"]
) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Rows i != j with hashes[i] near others[j], and their distance in bits, block by block."""
    block = 256
    other_words = np.ascontiguousarray(others.T)
    for start in range(0, len(hashes), block):
        block_words = hashes[start : start + block].T[:, :, None]
        distance = np.zeros((block_words.shape[1], len(others)), np.uint8)
        for word, other_word in zip(block_words, other_words, strict=True):
            distance += np.bitwise_count(word ^ other_word)
        i, j = np.nonzero(distance <= MAX_DISTANCE)
        apart = i + start != j
        i, j = i[apart], j[apart]
        yield (i + start).tolist(), j.tolist(), distance[i, j].tolist()


def correlation(
    first: UInt8[np.ndarray, "pairs height width"], second: UInt8[np.ndarray, "pairs height width"]
) -> Float64[np.ndarray, " pairs"]:
    """Correlation, in [-1, 1], of each pair's band-passed centres once the second is aligned.

    Gauss-Newton over shift, scale and turn from no movement at all, the template's gradient
    serving every step; the best of nine looks counts. At most 4 pixels of the thumbnail (of 50),
    a quarter in scale and 14 degrees.

    Source: the inverse compositional algorithm of Baker and Matthews, "Lucas-Kanade 20 years on"
    (IJCV 2004).  Differs from it in: patches are normalised before every comparison.
    """
    best = np.full(len(first), -1.0)
    if not len(first):
        return best
    template, picture = _band(first), _band(second)
    inner = slice(MARGIN + 1, THUMBNAIL - MARGIN - 1)
    radius = 16.0  # so that a unit of each parameter moves pixels by about one
    y, x = np.indices(template.shape[1:], dtype=np.float32)[:, inner, inner].reshape(2, 1, -1)
    middle = (THUMBNAIL - 1) / 2
    x, y = x - middle, y - middle

    centre, norm = _unit(template[:, inner, inner])
    down, right = (
        slope[:, inner, inner].reshape(len(first), -1) / norm
        for slope in np.gradient(template, axis=(1, 2))
    )
    slopes = np.stack(
        [right, down, (right * x + down * y) / radius, (down * x - right * y) / radius], axis=1
    )
    normal = np.einsum("nip,njp->nij", slopes, slopes)
    normal += 1e-4 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(4)
    step = np.linalg.solve(normal, slopes)

    move = np.zeros((len(first), 4, 1), np.float32)  # right, down, scale, turn
    for _ in range(9):
        scale, turn = 1 + move[:, 2] / radius, move[:, 3] / radius
        warped, _ = _unit(
            _bilinear(
                picture,
                middle + x * scale - y * turn + move[:, 0],
                middle + y * scale + x * turn + move[:, 1],
            )
        )
        best = np.maximum(best, np.einsum("np,np->n", warped, centre))
        delta = np.einsum("nip,np->ni", step, warped - centre)[:, :, None]
        move = np.clip(move - np.clip(delta, -2, 2), -4, 4).astype(np.float32)
    return best


def _band(
    thumbnails: UInt8[np.ndarray, "pairs height width"],
) -> Float32[np.ndarray, "pairs height width"]:
    """Detail between 1 and 2 pixels of a thumbnail."""
    from scipy.ndimage import gaussian_filter  # as above

    fine = thumbnails.astype(np.float32)
    return gaussian_filter(fine, (0, 1, 1)) - gaussian_filter(fine, (0, 2, 2))


def _unit(
    patches: Float32[np.ndarray, "pairs ..."],
) -> tuple[Float32[np.ndarray, "pairs pixels"], Float32[np.ndarray, "pairs 1"]]:
    """Each patch with mean 0 and length 1, and the length it had."""
    flat = patches.reshape(len(patches), -1)
    flat = flat - flat.mean(1, keepdims=True)
    norm = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), np.float32(1e-6))
    return flat / norm, norm


def _bilinear(
    pictures: Float32[np.ndarray, "pairs height width"],
    x: Float32[np.ndarray, "pairs pixels"],
    y: Float32[np.ndarray, "pairs pixels"],
) -> Float32[np.ndarray, "pairs pixels"]:
    """Each picture's values at its own points; the border continues outwards."""
    side = pictures.shape[-1]
    x, y = (np.clip(v, 0, side - 1.001).astype(np.float32) for v in (x, y))
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, down = x - left.astype(np.float32), y - top.astype(np.float32)
    flat = pictures.reshape(-1)
    at = (np.arange(len(pictures))[:, None] * side + top) * side + left
    above = flat[at] * (1 - right) + flat[at + 1] * right
    below = flat[at + side] * (1 - right) + flat[at + side + 1] * right
    return above * (1 - down) + below * down


def _load(kind: str, files: ImageFiles) -> Scan | None:
    try:
        kept = Scan(**cache.load(kind, files.stamp))
        whole = kept.digests.keys() == kept.group.keys() and set(files.names) == (
            kept.digests.keys() | kept.unreadable.keys()
        )
    except (TypeError, AttributeError):
        return None
    return kept if whole else None

"""How phantom faces reach the pixels: counter-based random words, soft shapes, light and grain.

What the parameters mean is `phantom_face.py`'s business. Everything here is IEEE addition,
multiplication, division, square root and comparison, one element at a time, so a picture is the
same bits on every machine and in every batch; sines, exponentials and matrix products would not be.

Lengths are in face units: the origin is the middle of the head, u runs to the right, v runs down,
and the head's half height is 1.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int, UInt8, UInt64

from fairjax.data.stream.order import GOLDEN, mix

# Parameters by name, [rows] each, and colours by name, [3, rows] each: all end in the rows.
Looks = dict[str, np.ndarray]

COVERS = {"none": 0.70, "glasses": 0.78, "patch": 0.86, "bar": 0.93, "hat": 1.0}  # cumulative
BLOCK = 131072  # pixels drawn at once: larger spills out of the cache, smaller pays for the calls


def words(
    seed: int, counters: Sequence[Int[np.ndarray, " rows"]], names: Sequence[str]
) -> UInt64[np.ndarray, "names rows"]:
    """A random word for each name and row: a hash of the seed, the row's counters and the name."""
    key = mix(np.full(len(counters[0]), seed, np.uint64) + GOLDEN)
    for counter in counters:
        key = mix(key ^ mix(counter.astype(np.uint64) + GOLDEN))
    purpose = np.array([zlib.crc32(name.encode()) for name in names], np.uint64)
    return mix(key + GOLDEN * purpose[:, None])


def unit_normal(words: UInt64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Words as standardised sums of their four 16-bit parts: mean 0, variance 1, within 3.47."""
    words16 = [(words >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48)]
    total = (words16[0] + words16[1] + words16[2] + words16[3]).astype(np.float64)
    return (total - 2 * 65535.0) / (2 * ((2.0**32 - 1) / 12) ** 0.5)


def blur_kernel(sigma: float) -> Float32[np.ndarray, " taps"]:
    """Taps whose variance is `sigma` squared, exactly, in pixels: three extended box filters.

    Source: Gwosdek, Grewenig, Bruhn and Weickert, "Theoretical foundations of Gaussian
    convolution by extended box filtering" (2011); the rim is solved from the variance.
    """
    variance = sigma * sigma / 3
    radius = int(((1 + 12 * variance) ** 0.5 - 1) / 2)
    spare = (2 * radius + 1) * (variance - radius * (radius + 1) / 3)
    rim = spare / (2 * ((radius + 1) ** 2 - variance))
    box = np.array([rim, *[1.0] * (2 * radius + 1), rim]) / (2 * radius + 1 + 2 * rim)
    taps = box
    for _ in range(2):
        wider = np.zeros(len(taps) + len(box) - 1)
        for start, weight in enumerate(box):
            wider[start : start + len(taps)] += weight * taps
        taps = wider
    return taps.astype(np.float32)


def render(
    looks: Looks, *, image_size: int, blur: float, contrast: float, damaged: np.ndarray
) -> UInt8[np.ndarray, "rows height width 3"]:
    """Draws pictures.

    Args:
      looks: What `phantom_face.looks` gives.
      image_size: The pictures' side in pixels.
      blur: Standard deviation of the blur of damaged rows, as a fraction of the side.
      contrast: The share of contrast that damaged rows lose, in [0, 1).
      damaged: bool [rows].
    """
    rows = len(damaged)
    pictures = np.empty((rows, image_size, image_size, 3), np.uint8)
    step = max(1, BLOCK // image_size**2)
    for start in range(0, rows, step):
        block = slice(start, start + step)
        sheet = _Sheet({name: value[..., block] for name, value in looks.items()}, image_size)
        for draw in (_backdrop, _head, _eyes, _nose_and_mouth, _cover):
            draw(sheet)
        _light(sheet)
        hit = np.flatnonzero(damaged[block])
        if len(hit) and blur > 0:
            sheet.planes[:, hit] = _blurred(sheet.planes[:, hit], blur_kernel(blur * image_size))
        if len(hit) and contrast > 0:
            sheet.planes[:, hit] = 0.5 + np.float32(1 - contrast) * (sheet.planes[:, hit] - 0.5)
        pictures[block] = _grainy(sheet)
    return pictures


class _Sheet:
    """A block of pictures in the making.

    Attributes:
      looks: The block's parameters, [rows, 1, 1], and colours, [3, rows, 1, 1].
      planes: [3, rows, size, size]; black is 0 and white is 1.
      axis: Where pixel centres lie along a side of the picture, from -1 to 1.
      edge: The width of a pixel in face units.
    """

    def __init__(self, looks: Looks, size: int, planes: np.ndarray | None = None) -> None:
        self.raw = looks
        self.looks = {name: value[..., None, None] for name, value in looks.items()}
        rows = len(looks["scale"])
        self.planes = np.empty((3, rows, size, size), np.float32) if planes is None else planes
        self.axis = ((np.arange(size) + 0.5) * (2 / size) - 1).astype(np.float32)
        self.edge = 2 / size / self.looks["scale"]

    def rows(self, chosen: np.ndarray) -> "_Sheet":
        """A sheet with copies of some rows."""
        some = {name: value[..., chosen] for name, value in self.raw.items()}
        return _Sheet(some, len(self.axis), self.planes[:, chosen])

    def window(self, *box: float) -> tuple[slice, slice]:
        """The rows and columns of pixels that hold the box (u0, u1, v0, v1) of every face."""
        p, size = self.looks, len(self.axis)
        u, v = np.meshgrid(np.array(box[:2], np.float32), np.array(box[2:], np.float32))
        down = p["shift_y"] + p["scale"] * (p["sin"] * u + p["cos"] * v)
        right = p["shift_x"] + p["scale"] * (p["cos"] * u - p["sin"] * v)
        ends = [
            [
                max(int((end + 1) * size / 2) + margin, 0)
                for end, margin in ((where.min(), -1), (where.max(), 2))
            ]
            for where in (down, right)
        ]
        return slice(*ends[0]), slice(*ends[1])

    def head(self, *box: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The planes in a window, and the face coordinates u and v of its pixels."""
        p = self.looks
        rows, columns = self.window(*box)
        x = (self.axis[columns] - p["shift_x"]) / p["scale"]
        y = (self.axis[rows, None] - p["shift_y"]) / p["scale"]
        u = p["cos"] * x + p["sin"] * y
        v = p["cos"] * y - p["sin"] * x
        return self.planes[:, :, rows, columns], u, v

    def features(self, *box: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `head`, for what yaw and pitch move: the middle most, the outline not at all."""
        planes, u, v = self.head(*box)
        turned = u * u
        turned -= 1
        turned *= self.looks["yaw"]
        turned += u
        v -= self.looks["pitch"]
        return planes, turned, v


def _soft(inside: np.ndarray, edge: np.ndarray | float) -> np.ndarray:
    """A shape's coverage in [0, 1] from how far inside it a pixel lies, over a ramp `edge` wide."""
    inside *= 1 / edge
    inside += 0.5
    np.maximum(inside, 0, out=inside)
    return np.minimum(inside, 1, out=inside)


def _paint(planes: np.ndarray, coverage: np.ndarray, colour: np.ndarray) -> None:
    for plane, tone in zip(planes, colour, strict=True):
        plane += coverage * (tone - plane)


def _wave(phase: np.ndarray) -> np.ndarray:
    """A triangle wave of period 1: -1 in the middle of a period, 1 at its ends."""
    phase = phase - np.floor(phase)
    phase -= 0.5
    np.abs(phase, out=phase)
    phase *= 4
    phase -= 1
    return phase


def _backdrop(sheet: _Sheet) -> None:
    """Background, a disc on it, shoulders and neck: nuisance, all but the neck's colour."""
    p, x, y = sheet.looks, sheet.axis, sheet.axis[:, None]
    sheet.planes[:] = p["back"] * (1 + p["back_slope"] * y)
    disc = p["disc_size"] ** 2 - (x - p["disc_x"]) ** 2 - (y - p["disc_y"]) ** 2
    _paint(sheet.planes, _soft(disc, 4 / len(x) * p["disc_size"]), p["disc"])
    planes, u, v = sheet.head(-1.9, 1.9, 0.7, 3.4)
    shoulders = 1 - (u / 1.15) ** 2 - ((v - 1.9) / 0.8) ** 2
    _paint(planes, _soft(shoulders, 2.5 * sheet.edge), p["shirt"])
    planes, u, v = sheet.head(-0.5, 0.5, 0.1, 1.6)
    _paint(planes, _soft(np.minimum(0.3 - np.abs(u), 0.5 - np.abs(v - 0.85)), sheet.edge), p["ear"])


def _head(sheet: _Sheet) -> None:
    """Ears, the head with its stripes, and the hair down to a zigzag hairline."""
    p, edge = sheet.looks, sheet.edge
    planes, u, v = sheet.head(-1.45, 1.45, -0.8, 0.8)
    across = (np.abs(u) - p["head_width"]) / p["ear_size"]
    along = (v - p["ear_y"]) / (1.5 * p["ear_size"])
    _paint(planes, _soft(1 - across * across - along * along, 2 * edge / p["ear_size"]), p["ear"])

    planes, u, v = sheet.head(-1.5, 1.5, -1.5, 1.15)
    across = np.abs(u * (1 + p["head_taper"] * v))
    across /= p["head_width"]
    along = np.abs(v)
    radius2 = across * across + along * along
    outline = np.sqrt(radius2)  # 1 on the outline: an ellipse that leans towards its bounding box
    outline += p["squareness"] * (np.maximum(across, along) - outline)
    head = _soft(1 - outline, edge)
    stripes = _wave(p["stripe_x"] * u + p["stripe_y"] * v + p["stripe_phase"])
    stripes = _soft(stripes, 5 * edge * p["stripe_rate"])
    stripes *= p["stripe_strength"]
    shade = 1.08 - 0.25 * radius2 + (1.2 * p["light_x"]) * u
    for plane, skin, paint in zip(planes, p["skin"], p["paint"], strict=True):
        plane += head * ((skin + stripes * (paint - skin)) * shade - plane)

    hairline = p["hairline"] + p["spike_height"] * _wave(p["spike_rate"] * u + p["spike_phase"])
    hair = _soft(p["hair_volume"] - outline, edge)
    hair *= _soft(hairline - v, edge)
    _paint(planes, hair, p["hair"])


def _eyes(sheet: _Sheet) -> None:
    """Both eyes at once, by folding the face at its middle: creases below, eyes, brows."""
    p, edge = sheet.looks, sheet.edge
    planes, w, v = sheet.features(-1.3, 1.3, -1.0, 0.95)
    du = np.abs(w) - p["eye_x"]
    dv = v - p["eye_y"]
    along = du * p["eye_cos"] + dv * p["eye_sin"]
    down = dv * p["eye_cos"] - du * p["eye_sin"]
    height = p["eye_size"] * p["eye_aspect"] * p["squint"]
    a = along / p["eye_size"]
    b = down / height
    ring = a * a + b * b

    crease = _soft(_wave(0.9 * ring), 0.8)
    crease *= p["creases"]
    crease *= _soft(4.2 - ring, 0.8)
    crease *= _soft(b - 0.6, 0.5)
    _paint(planes, crease, p["nose"])

    eye = _soft(1 - ring, 2 * edge / height)
    _paint(planes, eye, p["white"])
    iris_size = p["iris_size"] * p["eye_size"]
    gaze = w - np.copysign(p["eye_x"], w) - p["gaze_x"] * p["eye_size"]
    drop = dv - p["gaze_y"] * p["eye_size"]
    disc = (gaze * gaze + drop * drop) / iris_size**2
    _paint(planes, eye * _soft(1 - disc, 2 * edge / iris_size), p["iris"])
    _paint(planes, eye * _soft(0.3 - disc, 2 * edge / iris_size), p["pupil"])

    rise = down + p["brow_gap"] + p["brow_raise"] + p["brow_tilt"] * along
    rise -= (0.12 * p["brow_bow"]) * (a * a)
    brow = np.minimum(p["brow_thickness"] - np.abs(rise), 0.25 - np.abs(along))
    _paint(planes, _soft(brow, edge), p["brow"])


def _nose_and_mouth(sheet: _Sheet) -> None:
    p, edge = sheet.looks, sheet.edge
    planes, w, v = sheet.features(-1.2, 1.2, -0.6, 1.2)
    bottom = p["eye_y"] + p["nose_length"]
    flank = p["nose_width"] * (v - p["eye_y"]) / p["nose_length"] - np.abs(w)
    _paint(planes, 0.8 * _soft(np.minimum(flank, bottom - v), edge), p["nose"])

    bend = 1 - (w / p["mouth_width"]) ** 2
    lift = np.abs(v - p["mouth_y"] - (0.18 * p["smile"]) * bend)
    opening = np.maximum(p["mouth_open"], 0.012)
    _paint(planes, _soft((p["lip"] + opening) * bend - lift, edge), p["lips"])
    _paint(planes, _soft(opening * bend - lift, edge), p["mouth"])


def _cover(sheet: _Sheet) -> None:
    """Glasses, a patch, a bar or a hat on the rows that have one."""
    kinds = np.searchsorted(list(COVERS.values()), sheet.raw["cover"], side="right")
    for number, kind in enumerate(COVERS):
        chosen = np.flatnonzero(kinds == number)
        if kind == "none" or len(chosen) == 0:
            continue
        some = sheet.rows(chosen)
        p = some.looks
        if kind == "glasses":
            planes, w, v = some.features(-1.5, 1.5, -0.9, 0.95)
            side, dv = np.abs(w), v - p["eye_y"]
            lens = 0.3 - np.maximum(np.abs(side - p["eye_x"]), 1.25 * np.abs(dv))
            shape = np.maximum(lens, np.minimum(0.04 - np.abs(dv), 0.9 - side))
        elif kind == "patch":
            planes, w, v = some.head(-2.0, 2.0, -1.6, 1.9)
            away = np.maximum(np.abs(w - p["cover_x"]), np.abs(v - p["cover_y"]))
            shape = p["cover_size"] - away
        elif kind == "bar":
            planes, w, v = some.head(-9.0, 9.0, -9.0, 9.0)
            shape = 0.4 * p["cover_size"] - np.abs(v - p["cover_y"] + p["cover_x"] * w)
        else:
            planes, w, v = some.head(-1.4, 1.4, -2.0, 0.3)
            brim = 0.5 * p["cover_y"] - 0.62
            crown = np.minimum(np.minimum(0.95 - np.abs(w), brim - v), v + 1.5)
            shape = np.maximum(crown, np.minimum(1.2 - np.abs(w), 0.06 - np.abs(v - brim)))
        _paint(planes, _soft(shape, some.edge), p["cover_colour"])
        sheet.planes[:, chosen] = some.planes


def _light(sheet: _Sheet) -> None:
    """Gain, gradient and colour cast over the whole picture; what is over white is lost."""
    p = sheet.looks
    light = p["gain"] * (1 + p["light_x"] * sheet.axis + p["light_y"] * sheet.axis[:, None])
    for plane, cast in zip(sheet.planes, ("cast_red", "cast_green", "cast_blue"), strict=True):
        plane *= light * p[cast]
    np.maximum(sheet.planes, 0, out=sheet.planes)
    np.minimum(sheet.planes, 1, out=sheet.planes)


def _blurred(planes: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Each plane convolved along both sides, its border repeated outwards."""
    size, reach = planes.shape[-1], len(taps) // 2
    for axis in (-2, -1):
        margin = [(0, 0)] * 4
        margin[axis] = (reach, reach)
        wide = np.moveaxis(np.pad(planes, margin, mode="edge"), axis, 0)
        total = taps[0] * wide[:size]
        for start, weight in enumerate(taps[1:], 1):
            total += weight * wide[start : start + size]
        planes = np.moveaxis(total, 0, axis)
    return planes


def _grainy(sheet: _Sheet) -> np.ndarray:
    """Adds uniform grain of the picture's standard deviation, and rounds to uint8 pictures."""
    _, rows, height, width = sheet.planes.shape
    pixels = height * width * 3
    counter = np.arange(1, -(-pixels // 8) + 1, dtype=np.uint64)
    grain = mix(sheet.raw["grain"][:, None] + GOLDEN * counter).astype("<u8", copy=False)
    grain = grain.view(np.uint8)[:, :pixels].reshape(rows, height, width, 3)
    swing = (255 * 2 * 3**0.5) * sheet.looks["noise"][..., None]
    values = np.moveaxis(sheet.planes, 0, -1) * np.float32(255)
    values += (grain * np.float32(1 / 255) - np.float32(0.5)) * swing
    values += 0.5
    np.maximum(values, 0, out=values)
    np.minimum(values, 255, out=values)
    return values.astype(np.uint8)

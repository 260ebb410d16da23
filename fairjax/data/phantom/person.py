"""Who a phantom face is: its draws, what group, gender and age change in them, its colours.

`phantom.py` tells the whole story; the tables here are part of it.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from fairjax.data.phantom.drawing import Looks, unit_normal, words
from fairjax.data.stream.order import unit_uniform

GROUPS = ("amber", "cobalt", "jade", "violet")
GENDERS = ("round", "angular")

PERSON_NORMAL = {  # mean, standard deviation
    "head_width": (0.78, 0.05),
    "head_taper": (0.14, 0.05),
    "squareness": (0.42, 0.11),
    "eye_x": (0.36, 0.03),
    "eye_y": (-0.06, 0.035),
    "eye_size": (0.20, 0.018),
    "eye_aspect": (0.62, 0.08),
    "eye_tilt": (0.0, 0.06),
    "iris_size": (0.62, 0.06),
    "brow_gap": (0.21, 0.03),
    "brow_thickness": (0.055, 0.012),
    "brow_bow": (0.5, 0.3),
    "nose_width": (0.13, 0.03),
    "nose_length": (0.42, 0.05),
    "mouth_y": (0.55, 0.04),
    "mouth_width": (0.32, 0.04),
    "lip": (0.070, 0.014),
    "hairline": (-0.52, 0.09),
    "spike_rate": (2.2, 0.7),  # a half head height
    "spike_height": (0.16, 0.05),
    "hair_volume": (1.16, 0.05),  # of the outline
    "ear_size": (0.17, 0.035),
    "ear_y": (0.02, 0.07),
    "stripe_turn": (0.0, 0.08),
    "stripe_rate": (1.9, 0.25),  # a half head height
    "stripe_strength": (0.62, 0.10),
    "looks_older": (0.0, 6.0),  # years
    "greys_older": (0.0, 15.0),  # years
    "skin_hue": (0.0, 0.19),
    "skin_saturation": (0.52, 0.09),
    "skin_value": (0.80, 0.07),
    "hair_saturation": (0.70, 0.10),
    "hair_value": (0.52, 0.18),
}
PERSON_UNIFORM = {  # low, high
    "stripe_phase": (0.0, 1.0),  # of a stripe's period
    "paint_hue": (0.2, 0.8),  # of the stripes, from the skin's
    "spike_phase": (0.0, 1.0),
    "pales": (0.2, 1.0),  # how far the hair can
    "hair_hue": (0.0, 1.0),
    "iris_hue": (0.0, 1.0),
}
IMAGE_NORMAL = {
    "shift_x": (0.0, 0.06),  # shifts and scale: of half the picture's side
    "shift_y": (0.06, 0.05),
    "scale": (0.62, 0.035),
    "turn": (0.0, 0.055),
    "yaw": (0.0, 0.14),  # how far the middle of the face moves sideways
    "pitch": (0.0, 0.05),
    "light_x": (0.0, 0.17),  # gain lost or won from the middle to the side
    "light_y": (-0.05, 0.13),
    "gain": (1.0, 0.10),
    "cast_red": (1.0, 0.05),
    "cast_green": (1.0, 0.05),
    "cast_blue": (1.0, 0.05),
    "smile": (0.15, 0.45),
    "mouth_open": (0.0, 0.06),  # shut below 0.012
    "brow_raise": (0.0, 0.03),
    "brow_tilt": (0.0, 0.14),
    "gaze_x": (0.0, 0.16),  # of the eye's size
    "gaze_y": (0.0, 0.10),
    "squint": (1.0, 0.13),  # times the eye's height
    "disc_x": (0.0, 0.6),
    "disc_y": (-0.3, 0.4),
    "disc_size": (0.6, 0.15),
    "cover_x": (0.0, 0.3),
    "cover_y": (0.15, 0.25),
    "cover_size": (0.30, 0.04),
}
IMAGE_UNIFORM = {
    "noise": (0.01, 0.05),  # standard deviation of the grain; white is 1
    "back_hue": (0.0, 1.0),
    "back_value": (0.35, 0.9),
    "back_slope": (-0.25, 0.25),
    "disc_hue": (0.0, 1.0),
    "shirt_hue": (0.0, 1.0),
    "cover": (0.0, 1.0),  # none 70 %, glasses 8 %, patch 8 %, bar 7 %, hat 7 %
    "cover_hue": (0.0, 1.0),
}

_SLANT = 0.5**0.5
_ACROSS = np.array([(0.0, 1.0), (_SLANT, -_SLANT), (1.0, 0.0), (_SLANT, _SLANT)])  # the stripes
_TILT = np.array([0.0, 0.04, 0.0, -0.04])


class People(NamedTuple):
    """int32 [rows] each: group and gender count from 0 in GROUPS and GENDERS, age is in years."""

    group: np.ndarray
    gender: np.ndarray
    age: np.ndarray


def people(identity: Int[np.ndarray, " rows"], *, seed: int) -> People:
    """What is true of the persons with these numbers."""
    unit = unit_uniform(words(seed, [identity], ["age"])[0])
    columns = identity % 4, identity // 4 % 2, 1 + np.floor(100 * unit)
    return People(*(column.astype(np.int32) for column in columns))


def looks(
    identity: Int[np.ndarray, " rows"],
    image: Int[np.ndarray, " rows"],
    who: People,
    *,
    seed: int,
    keep: Float[np.ndarray, " rows"],
) -> Looks:
    """The parameters that `render` draws from.

    Args:
      identity: The persons' numbers.
      image: The pictures' numbers within a person.
      who: What to draw them as.
      seed: What everything is drawn from.
      keep: How far each row's PERSON_* draws may lie from their mean, times their own distance.

    Returns:
      float32 [rows] by name, colours [3, rows], and "grain": uint64 [rows].
    """
    p: Looks = {}
    for counters, normal, uniform, own in (
        ([identity], PERSON_NORMAL, PERSON_UNIFORM, keep),
        ([identity, image], IMAGE_NORMAL, IMAGE_UNIFORM, np.ones(len(keep))),
    ):
        for (name, (mean, spread)), word in zip(
            normal.items(), words(seed, counters, list(normal)), strict=True
        ):
            p[name] = mean + own * (spread * unit_normal(word))
        for (name, (low, high)), word in zip(
            uniform.items(), words(seed, counters, list(uniform)), strict=True
        ):
            p[name] = (low + high) / 2 + own * ((high - low) * (unit_uniform(word) - 0.5))
    greyness = _attributes(p, who)
    p |= _colours(p, who, greyness)
    drawn = {name: value.astype(np.float32) for name, value in p.items()}
    return drawn | {"grain": words(seed, [identity, image], ["grain"])[0]}


def _attributes(p: Looks, who: People) -> np.ndarray:
    """Moves the parameters as group, gender and age ask; returns how grey the hair is."""
    sign = np.where(who.gender == 1, 1.0, -1.0)
    p["squareness"] = np.clip(p["squareness"] + 0.19 * sign, 0.0, 0.95)
    p["head_taper"] -= 0.05 * sign
    p["brow_thickness"] = np.maximum(p["brow_thickness"] + 0.015 * sign, 0.01)
    p["lip"] = np.maximum(p["lip"] - 0.016 * sign, 0.01)

    years = np.clip((who.age + p["looks_older"]) / 100, 0, 1.1)
    p["eye_size"] *= 1.42 - 0.82 * years
    p["eye_y"] -= 0.24 * (years - 0.5)
    p["nose_length"] *= 0.75 + 0.5 * years
    p["creases"] = 0.9 * np.maximum(years - 0.12, 0)
    greyness = p["pales"] * np.clip((who.age + p["greys_older"] - 40) / 45, 0, 1)
    p["hairline"] -= 0.12 * greyness

    x, y = _ACROSS[who.group].T
    cos, sin = _rotation(p["stripe_turn"])
    p["stripe_x"] = (x * cos - y * sin) * p["stripe_rate"]
    p["stripe_y"] = (x * sin + y * cos) * p["stripe_rate"]
    p["eye_cos"], p["eye_sin"] = _rotation(p["eye_tilt"] + _TILT[who.group])
    p["cos"], p["sin"] = _rotation(p["turn"])
    return greyness


def _colours(p: Looks, who: People, greyness: np.ndarray) -> Looks:
    own = 0.04 + who.group / 4 + p["skin_hue"]
    hue, paint_hue = _unlike_skin(own), _unlike_skin(own + p["paint_hue"])
    saturation, value = p["skin_saturation"], p["skin_value"]
    hair_value = p["hair_value"] + (0.85 - p["hair_value"]) * greyness
    return {
        "skin": _rgb(hue, saturation, value),
        "paint": _rgb(paint_hue, saturation, 0.9 * value),
        "ear": _rgb(hue, saturation + 0.1, 0.75 * value),
        "nose": _rgb(hue, saturation + 0.15, 0.62 * value),
        "lips": _rgb(own + 0.5 * p["paint_hue"], 0.75, 0.55),
        "mouth": _rgb(hue, 0.6, 0.12),
        "hair": _rgb(p["hair_hue"], p["hair_saturation"] * (1 - 0.8 * greyness), hair_value),
        "brow": _rgb(p["hair_hue"], p["hair_saturation"], 0.25),
        "white": _rgb(p["iris_hue"], 0.06, 0.95),
        "iris": _rgb(p["iris_hue"], 0.85, 0.7),
        "pupil": _rgb(p["iris_hue"], 0.5, 0.08),
        "back": _rgb(p["back_hue"], 0.35, p["back_value"]),
        "disc": _rgb(p["disc_hue"], 0.45, p["back_value"]),
        "shirt": _rgb(p["shirt_hue"], 0.6, 0.6),
        "cover_colour": _rgb(p["cover_hue"], 0.7, 0.5),
    }


def _rotation(half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of the angle whose half has this tangent, without trigonometry."""
    return (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)


def _unlike_skin(turn: np.ndarray) -> np.ndarray:
    """The hue circle, squeezed into what lies between yellow-green and pink."""
    return 0.15 + 0.82 * (turn - np.floor(turn))


def _rgb(hue: np.ndarray, saturation: Any, value: Any) -> np.ndarray:
    """[3, rows] out of hue in turns and saturation and value in [0, 1] (clipped)."""
    saturation, value = np.clip(saturation, 0, 1), np.clip(value, 0, 1)
    turns = hue * 6 + np.array([[5.0], [3.0], [1.0]])
    turns -= 6 * np.floor(turns / 6)
    return value - value * saturation * np.clip(np.minimum(turns, 4 - turns), 0, 1)

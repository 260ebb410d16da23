"""Phantom faces: drawn masks whose truth is known, the dataset that needs no download.

Nobody is depicted. The pictures are flat masks in hues that skin does not have, with a person
(what stays from picture to picture), a group, a gender and an age that show in the drawing, and
what makes a face hard to read: pose, light, expression, covers and grain. A differential of known
size between groups can be planted, or none, so that an audit can be held to account: it must find
the gap that is there and no other.

**Draws.** Every draw is a hash (splitmix64) of the seed, the person's number, for some the
picture's number, and the draw's name; nothing depends on what is drawn before or beside it. The
tables of `phantom_face.py` list them: PERSON_* are drawn once a person, IMAGE_* once a picture, all
independent. Normal draws are sums of four uniforms (mean and standard deviation as listed, never
further than 3.47 standard deviations), uniform ones lie between the bounds listed. Lengths are in
half head heights, angles are tangents of half the angle, hues are turns.

**People.** Person k has group k mod 4 and gender (k div 4) mod 2, so any run of people is balanced
to within one; age is uniform on 1..100 and independent of both. Splits are runs of people.

**What the attributes change**, all of it overlapping through the person's own draws:

    group   stripes          horizontal, falling, vertical, rising; their phase and hue are free
            eye_tilt         +0, +0.04, +0, -0.04
            skin_hue         centred on 0.04, 0.29, 0.54, 0.79 of the squeezed circle
    gender  squareness       -0.19 round, +0.19 angular
            head_taper       +0.05 round, -0.05 angular
            brow_thickness   -0.015 round, +0.015 angular
            lip              +0.016 round, -0.016 angular
    age     eye_size         times 1.42 - 0.82 y, where y = (age + looks_older) / 100
            eye_y            higher by 0.24 (y - 0.5)
            nose_length      times 0.75 + 0.5 y
            creases          under the eyes, 0.9 (y - 0.12) strong, from 0
            hair             paler and higher by pales x (age + greys_older - 40) / 45, within 0..1

The mean colour of a picture says nothing of gender and age and little of group; a linear model of
the pixels does somewhat better, a convolutional network far better. Held out, at 32 pixels with
8000 pictures of 2000 people to train on: gender 0.51, 0.68, 0.86; group 0.31, 0.46, 0.94; mean
error of age 25.5, 20.1, 12.7 years (25.6 for a constant).
The hue circle is squeezed into yellow-green to pink, past the hues of real skin.

**Differentials**, one group at a time. Size 0 changes nothing; everybody outside the group keeps
the same pictures and labels, bit for bit. Kind "none" takes size 0.

    kind         largest  what happens to the group                                      splits
    share        0.95     this share of its people is left out, rounded down             train
    blur         0.1      blurred; the standard deviation is size x the picture's side   all
    contrast     0.95     pixels keep 1 - size of their distance from mid grey           all
    likeness     0.95     PERSON_* draws keep 1 - size of their distance from the mean   all
    label_noise  0.5      labels are wrong with this probability                         train

Blur and contrast come after the light and before the grain. Likeness makes people harder to tell
apart and, as the overlap shrinks too, attributes easier. Label noise strikes a picture's gender,
age and identity, each by itself: it becomes another gender, another age, another person of the
group in the split, all equally likely; the group's own label stays true.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from fairjax.data.dataset import SPLITS, Attribute, Dataset, DatasetSettings, Examples
from fairjax.data.faces import Faces
from fairjax.data.phantom.drawing import render, words
from fairjax.data.phantom.person import GENDERS, GROUPS, People, looks, people
from fairjax.data.stream.order import unit_uniform

GENERATOR_VERSION = "1"  # goes up whenever any picture or label changes
LARGEST = {"none": 0.0, "share": 0.95, "blur": 0.1, "contrast": 0.95, "likeness": 0.95}
LARGEST["label_noise"] = 0.5

_DRAWN = "FairJAX's generator; nobody is depicted"


@dataclass(frozen=True)
class Differential:
    """What sets one group apart; the module's table says what each kind does.

    Attributes:
      kind: A key of LARGEST.
      group: One of GROUPS.
      size: From 0, which changes nothing, to LARGEST[kind].
    """

    kind: str
    group: str
    size: float

    def __post_init__(self) -> None:
        if self.kind not in LARGEST:
            raise ValueError(f"kind={self.kind!r} is unknown; choose one of {', '.join(LARGEST)}.")
        if self.group not in GROUPS:
            raise ValueError(f"group={self.group!r} is unknown; choose one of {', '.join(GROUPS)}.")
        if not 0 <= self.size <= LARGEST[self.kind]:
            raise ValueError(
                f"size={self.size} must be between 0 and "
                f"{LARGEST[self.kind]} for kind {self.kind!r}."
            )

    def of(self, kind: str) -> float:
        """The size, if the kind is this one; 0 otherwise."""
        return float(self.size) if self.kind == kind else 0.0

    def hits(self, group: Int[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
        """Which rows belong to the group that is set apart."""
        return group == GROUPS.index(self.group)


NEUTRAL = Differential("none", GROUPS[0], 0.0)


def draw(
    identity: Int[np.ndarray, " rows"],
    image: Int[np.ndarray, " rows"],
    who: People,
    *,
    seed: int,
    image_size: int,
    differential: Differential,
) -> UInt8[np.ndarray, "rows height width 3"]:
    """Draws pictures of people.

    A row's picture depends on the row and the keywords alone, bit for bit: not on the other rows,
    the machine or the version of numpy. The same person and picture at another size shows the same
    scene; with another group, gender or age in `who` it shows the same person but for that.

    Args:
      identity: The persons' numbers, from 0.
      image: The pictures' numbers within a person, from 0.
      who: What to draw them as: `people(identity, seed=seed)`, or a counterfactual.
      seed: Any integer from 0 up to 2**63.
      image_size: The pictures' side in pixels, 32 to 224.
      differential: Blur, contrast and likeness act here; the other kinds act in `load`.

    Returns:
      RGB pictures.

    Raises:
      ValueError: If the size is out of range.
    """
    _check_size(image_size)
    hit = differential.hits(who.group)
    keep = np.where(hit, 1 - differential.of("likeness"), 1.0)
    return render(
        looks(identity, image, who, seed=seed, keep=keep),
        image_size=image_size,
        blur=differential.of("blur"),
        contrast=differential.of("contrast"),
        damaged=hit,
    )


def contact_sheet(
    *, seed: int, image_size: int, identities: int, images: int, differential: Differential
) -> UInt8[np.ndarray, "height width 3"]:
    """One picture of many: a row a person, who cycle through the groups; a column an image."""
    identity, image = np.divmod(np.arange(identities * images), images)
    who = people(identity, seed=seed)
    pictures = draw(
        identity, image, who, seed=seed, image_size=image_size, differential=differential
    )
    grid = pictures.reshape(identities, images, image_size, image_size, 3)
    return grid.swapaxes(1, 2).reshape(identities * image_size, images * image_size, 3)


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """What every source of phantom faces can be asked for.

    Attributes:
      root: "": there are no files.
      image_size: Side of the pictures in pixels, 32 to 224.
      identities: Number of people.
      images_per_identity: Number of pictures of each.
      differential: What sets one group apart.
    """

    root: str = ""
    image_size: int = 64
    identities: int = 1000
    images_per_identity: int = 6
    differential: Differential = NEUTRAL

    def __post_init__(self) -> None:
        if self.root:
            raise ValueError(f"root={self.root!r}: phantom faces are drawn, not read; leave it ''.")
        if self.images_per_identity < 1:
            raise ValueError(f"images_per_identity={self.images_per_identity} must be 1 or more.")
        _check_size(self.image_size)


@dataclass(frozen=True, kw_only=True)
class PhantomSource(PictureSettings, DatasetSettings):
    """Settings of the phantom dataset.

    Attributes:
      identities: Number of people, over all splits.
      split: Shares of people in train, validation and test; they sum to 1.
    """

    split: Sequence[float] = (0.7, 0.1, 0.2)

    def __post_init__(self) -> None:
        super().__post_init__()
        _split_sizes(self.identities, self.split)

    def load(self, *, seed: int) -> Dataset:
        """The phantom dataset; its pictures are drawn when they are read.

        Args:
          seed: What everything is drawn from, from 0 up to 2**63.

        Returns:
          Splits by person with the labels age, gender, group and identity. People are numbered from
          0 through train, validation and test; `cluster` is the person's true number, and so is the
          label unless label noise has changed it.

        Raises:
          ValueError: If the seed is out of its range.
        """
        if not 0 <= seed < 2**63:
            raise ValueError(f"config.seed={seed} must be from 0 up to 2**63.")
        apart, images = self.differential, self.images_per_identity
        sizes = _split_sizes(self.identities, self.split)
        ends = np.cumsum(list(sizes.values()))
        splits = {}
        for name, end in zip(sizes, ends, strict=True):
            numbers = np.arange(end - sizes[name], end)
            if name == "train":
                numbers = present(numbers, apart, seed=seed)
            splits[name] = _examples(numbers, images, seed, self.image_size, apart)
        if apart.of("label_noise"):
            splits["train"] = _mislabelled(splits["train"], seed, apart)
        parameters = {
            "seed": seed,
            "image_size": self.image_size,
            "identities": self.identities,
            "images_per_identity": images,
            "split": [float(share) for share in self.split],
            "differential": asdict(apart),
        }
        return Dataset(
            name="phantom",
            attributes={
                "age": Attribute((), 1, 100, "years", _DRAWN),
                "gender": Attribute(GENDERS, 0, 1, "", _DRAWN),
                "group": Attribute(GROUPS, 0, 3, "", _DRAWN),
                "identity": Attribute((), 0, self.identities - 1, "", _DRAWN),
            },
            splits=splits,
            manifest=_manifest(splits, parameters),
        )


def present(
    numbers: Int[np.ndarray, " people"], differential: Differential, *, seed: int
) -> Int[np.ndarray, " left"]:
    """The people who are left where a share of one group is left out: its last ones go."""
    own = np.flatnonzero(differential.hits(people(numbers, seed=seed).group))
    left_out = int(differential.of("share") * len(own))
    return np.delete(numbers, own[len(own) - left_out :])


def _check_size(image_size: int) -> None:
    if not 32 <= image_size <= 224:
        raise ValueError(f"image_size={image_size} must be between 32 and 224.")


def _split_sizes(identities: int, split: Sequence[float]) -> dict[str, int]:
    """How many people each split has: cuts at the rounded cumulative shares."""
    shares = [float(share) for share in split]
    if len(shares) != len(SPLITS) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"split={tuple(shares)} must be {len(SPLITS)} shares above 0 that sum "
            f"to 1: {', '.join(SPLITS)}."
        )

    def sizes(people: int) -> list[int]:
        cuts = [round(share * people) for share in itertools.accumulate(shares)]
        return [high - low for low, high in itertools.pairwise([0, *cuts])]

    if min(sizes(identities)) < len(GROUPS):
        enough = next(n for n in itertools.count(identities) if min(sizes(n)) >= len(GROUPS))
        raise ValueError(
            f"identities={identities} leaves a split without a group (train, "
            f"validation and test get {sizes(identities)}); use at least {enough}."
        )
    return dict(zip(SPLITS, sizes(identities), strict=True))


def portraits(
    numbers: Int[np.ndarray, " people"],
    images: int,
    *,
    seed: int,
    image_size: int,
    differential: Differential,
) -> Faces:
    """Every picture of these people, one person after the other.

    Args:
      numbers: The persons' numbers, ascending.
      images: How many pictures of each.
      seed: What everything is drawn from.
      image_size: The pictures' side in pixels, 32 to 224.
      differential: The planted difference; see `draw`.
    """
    identity, image = np.repeat(numbers, images), np.tile(np.arange(images), len(numbers))
    who = people(identity, seed=seed)

    def read(rows: np.ndarray) -> np.ndarray:
        some = People(*(column[rows] for column in who))
        return draw(
            identity[rows],
            image[rows],
            some,
            seed=seed,
            image_size=image_size,
            differential=differential,
        )

    ids = [f"{k:06d}_{j:04d}" for k, j in zip(identity, image, strict=True)]
    drawn = [GENERATOR_VERSION, seed, image_size, asdict(differential)]
    scene = hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:16]
    return Faces(
        source="drawn by fairjax.data.phantom",
        ids=np.array(ids),
        person=np.repeat(np.arange(len(numbers)), images),
        people=np.array([f"{k:06d}" for k in numbers.tolist()]),
        group=people(numbers, seed=seed).group.astype(np.int64),
        groups=GROUPS,
        attribute="group",
        assigned_by=_DRAWN,
        digests=np.array([f"{scene}/{name}" for name in ids]),
        skipped=(),
        read=read,
    )


def _examples(
    numbers: np.ndarray, images: int, seed: int, image_size: int, differential: Differential
) -> Examples:
    """The pictures of these people with everything that is true of them."""
    faces = portraits(numbers, images, seed=seed, image_size=image_size, differential=differential)
    identity = numbers[faces.person]
    who = people(identity, seed=seed)
    return Examples(
        ids=faces.ids,
        labels={
            "age": who.age,
            "gender": who.gender,
            "group": who.group,
            "identity": identity.astype(np.int32),
        },
        cluster=identity,
        read=faces.read,
    )


def _mislabelled(examples: Examples, seed: int, differential: Differential) -> Examples:
    """Plants label noise; what `read` draws stays true."""
    labels = dict(examples.labels)
    hit = differential.hits(labels["group"])
    group_people = np.unique(examples.cluster[hit])
    image = np.arange(len(examples)) - np.searchsorted(examples.cluster, examples.cluster)
    for name, choices in (
        ("gender", np.arange(len(GENDERS))),
        ("age", np.arange(1, 101)),
        ("identity", group_people),
    ):
        purposes = [f"{name} is wrong", f"wrong {name}"]
        chance, which = unit_uniform(words(seed, [examples.cluster, image], purposes))
        wrong = np.flatnonzero(hit & (chance < differential.size))
        step = 1 + np.floor(which[wrong] * (len(choices) - 1)).astype(np.int64)
        index = np.searchsorted(choices, labels[name][wrong])
        labels[name] = labels[name].copy()
        labels[name][wrong] = choices[(index + step) % len(choices)]
    return replace(examples, labels=labels)


def _manifest(splits: Mapping[str, Examples], parameters: dict[str, Any]) -> dict[str, Any]:
    """The account for `data.json`; its hash changes whenever a picture or label does."""
    content = hashlib.sha256(json.dumps([GENERATOR_VERSION, parameters], sort_keys=True).encode())
    counts = {}
    for name, examples in splits.items():
        for label in sorted(examples.labels):
            content.update(examples.labels[label].astype("<i4").tobytes())
        cells = np.zeros((len(GROUPS), len(GENDERS)), np.int64)
        np.add.at(cells, (examples.labels["group"], examples.labels["gender"]), 1)
        counts[name] = {
            group: dict(zip(GENDERS, row.tolist(), strict=True))
            for group, row in zip(GROUPS, cells, strict=True)
        }
    return {
        "source": "drawn by fairjax.data.phantom",
        "generator_version": GENERATOR_VERSION,
        **parameters,
        "people": {name: len(np.unique(e.cluster)) for name, e in splits.items()},
        "images": {name: len(e) for name, e in splits.items()},
        "counts": counts,
        "held_together": "all pictures of a person",
        "hash": content.hexdigest(),
    }

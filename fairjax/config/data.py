"""Builders of the `data` and `data.benchmark` sections."""

from typing import Any

from ml_collections import ConfigDict


def phantom(**changes: Any) -> ConfigDict:
    """The `data` section of generated faces."""
    section = dict(
        name="phantom",
        root="",
        image_size=64,
        identities=1000,
        images_per_identity=6,
        split=(0.7, 0.1, 0.2),  # shares of train, validation, test
        differential=dict(kind="none", group="amber", size=0.0),
    )
    return ConfigDict({**section, **changes})


def utkface(**changes: Any) -> ConfigDict:
    """The `data` section of UTKFace: a folder, a nested folder or a .tar."""
    section = dict(
        name="utkface",
        root="",
        split=dict(ratio=(0.8, 0.1, 0.1), stratify=True, dedup="group"),
        on_error="skip",
        max_bad=0.01,
    )
    return ConfigDict({**section, **changes})


def identities(**changes: Any) -> ConfigDict:
    """The `data` section of a tree of people to train on: one folder a person, or a .tar."""
    section = dict(
        name="identities",
        root="",
        groups="",  # or folder (above the person's), or a table with the columns identity, group
        min_images=2,  # people with fewer are left out
        max_images=0,  # of a person with more this many are kept; 0 keeps all
        held_out=200,  # people kept for validation
        overlap="refuse",  # or drop, allow: people who are also in the benchmark
        on_error="skip",
        max_bad=0.01,
        benchmark=phantom_pairs(),
    )
    return ConfigDict({**section, **changes})


def bupt(**changes: Any) -> ConfigDict:
    """The `data` section of BUPT-Balancedface or BUPT-Globalface: folders, a .tar, or records."""
    section = identities(name="bupt", overlap="drop", held_out=400, benchmark=rfw()).to_dict()
    del section["groups"]  # the release tells them
    return ConfigDict({**section, **changes})


def phantom_identities(**changes: Any) -> ConfigDict:
    """The `data` section of generated people to train on."""
    section = dict(
        name="phantom_identities",
        root="",
        image_size=64,
        identities=1000,  # those held out included
        images_per_identity=8,
        held_out=160,
        differential=dict(kind="none", group="amber", size=0.0),
        benchmark=phantom_pairs(),
    )
    return ConfigDict({**section, **changes})


def phantom_pairs(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of generated people whom nobody was trained on."""
    section = dict(
        name="phantom",
        root="",
        image_size=64,
        identities=400,
        images_per_identity=5,
        folds=10,
        pairs_per_fold=60,  # mated ones of each group in each part, and as many non-mated ones
        differential=dict(kind="none", group="amber", size=0.0),
    )
    return ConfigDict({**section, **changes})


def lfw(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of LFW-style pairs: a tree of people, and lists of pairs."""
    section = dict(
        name="lfw",
        root="",
        pairs="",  # one list, or a folder of <Group>_pairs.txt
        groups="",  # for one list: a table with the columns identity, group
        folds=(),  # the parts used, counted from 1; () is all
        on_error="raise",  # or skip: lines that cannot be used
    )
    return ConfigDict({**section, **changes})


def rfw(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of RFW: the release's folder or .tar, or a folder of .bin."""
    section = dict(
        name="rfw",
        root="",
        align=True,  # the release's images, by the landmarks in its lists
        on_error="raise",  # or skip: pairs that cannot be used
    )
    return ConfigDict({**section, **changes})


def bfw(**changes: Any) -> ConfigDict:
    """The `data.benchmark` section of BFW: the folder of subgroups and the table of pairs."""
    section = dict(
        name="bfw",
        root="",
        pairs="",  # the table; "" finds the only one in `root`
        on_error="raise",  # or skip: pairs that cannot be used
    )
    return ConfigDict({**section, **changes})

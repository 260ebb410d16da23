"""People in training and test, by name and by image."""

import numpy as np
import pytest

from fairjax.core.comparisons import UNKNOWN
from fairjax.data.faces import Faces
from fairjax.data.overlap import BY_IMAGE, BY_NAME, BY_SPELLING, shared_people


def faces_of(people):
    """{person: digests of the images}."""
    rows = [(person, digest) for person, digests in people.items() for digest in digests]
    names = list(people)
    return Faces(
        source="made up",
        ids=np.array([f"{person}/{digest}" for person, digest in rows]),
        person=np.array([names.index(person) for person, _ in rows]),
        people=np.array(names),
        group=np.full(len(names), UNKNOWN),
        groups=(),
        attribute="group",
        assigned_by="",
        digests=np.array([digest for _, digest in rows]),
        skipped=(),
        read=lambda rows: [b""] * len(rows),
    )


def test_names_are_compared_without_the_group_and_images_by_their_bytes():
    train = faces_of({"African/a": ["1"], "Asian/b": ["2", "3"], "c": ["4"], "d": ["5"]})
    test = faces_of({"a": ["9"], "Indian/c": ["4"], "z": ["3"]})
    assert shared_people(train, test) == {0: BY_NAME, 1: BY_IMAGE, 2: BY_NAME}
    assert shared_people(test, train) == {0: BY_NAME, 1: BY_NAME, 2: BY_IMAGE}


@pytest.mark.parametrize(
    "name", ["Renee_O'Brien", "Ren\u00e9e_O\u2019Brien", "Rene\u0301e_O`Brien"]
)
def test_a_name_without_its_accent_or_with_another_apostrophe_is_found(name):
    test = faces_of({"x/Ren\u00e9e_O'Brien": ["1"], "Else": ["3"]})
    assert shared_people(faces_of({name: ["2"], "y": ["4"]}), test) == {0: BY_SPELLING}


def test_a_part_of_a_name_is_not_the_name():
    assert shared_people(faces_of({"ann": ["1"]}), faces_of({"anna": ["2"], "x/an": ["3"]})) == {}

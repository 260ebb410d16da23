"""People who are in training and in test: found by their names, and by their images."""

import numpy as np

from fairjax.core.names import DIFFERENCES, clean, folded
from fairjax.data.faces import Faces

BY_NAME = "the same name"
BY_SPELLING = f"the same name but for {DIFFERENCES}"
BY_IMAGE = "an image with the same bytes"


def shared_people(train: Faces, test: Faces) -> dict[int, str]:
    """Which people of one source are also in another, and how that shows.

    Names are compared without the group's folder, in one Unicode form. Names of digits alone are
    numbers that a source gave, not compared in other spellings. Images are compared byte for byte:
    a picture that was cropped or compressed anew is not found, so an empty answer is no proof.

    Args:
      train: The people asked about.
      test: The people of the benchmark.

    Returns:
      For each number of a person in `train` who is also in `test`, BY_NAME, BY_SPELLING or
      BY_IMAGE.
    """
    names = {_bare(name) for name in test.people.tolist()}
    spelled = {folded(name) for name in names if not name.isdecimal()}
    alike = np.isin(train.digests, test.digests)
    reasons = dict.fromkeys(np.unique(train.person[alike]).tolist(), BY_IMAGE)
    for k, name in enumerate(map(_bare, train.people.tolist())):
        if name in names:
            reasons[k] = BY_NAME
        elif folded(name) in spelled:
            reasons[k] = BY_SPELLING
    return dict(sorted(reasons.items()))


def _bare(name: str) -> str:
    """A person's name without the group's folder."""
    return clean(name.rpartition("/")[2])

"""People who are in training and in test: found by their names, and by their images."""

import numpy as np

from fairjax.data.faces import Faces

BY_NAME = "the same name"
BY_IMAGE = "an image with the same bytes"


def shared_people(train: Faces, test: Faces) -> dict[int, str]:
    """Which people of one source are also in another, and how that shows.

    Names are compared without the group's folder. Images are compared byte for byte: a picture that
    was cropped or compressed anew is not found, so an empty answer is no proof.

    Args:
      train: The people asked about.
      test: The people of the benchmark.

    Returns:
      For each number of a person in `train` who is also in `test`, BY_NAME or BY_IMAGE.
    """
    names = {name.rpartition("/")[2] for name in test.people.tolist()}
    by_name = [
        k for k, name in enumerate(train.people.tolist()) if name.rpartition("/")[2] in names
    ]
    alike = np.isin(train.digests, test.digests)
    found = dict.fromkeys(np.unique(train.person[alike]).tolist(), BY_IMAGE)
    return dict(sorted((found | dict.fromkeys(by_name, BY_NAME)).items()))

"""`utkface` for tensorflow-datasets: the same reader, checks and splits as a run uses.

Importing this module registers the builder:

    import fairjax.data.utkface_tfds
    import tensorflow_datasets as tfds

    dataset = tfds.load("utkface", split="train", download_and_prepare_kwargs={
        "download_config": tfds.download.DownloadConfig(manual_dir="DIR")})

DIR holds utkface.tar, UTKFace/ or the images themselves; nothing is downloaded.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fairjax.data import utkface
from fairjax.data.dataset import Examples
from fairjax.data.tfds.base import ManualBuilder, Rows


class Utkface(ManualBuilder):
    """UTKFace, split 80/10/10 with seed 0, duplicates held together."""

    RELEASE_NOTES = {"1.0.0": "Aligned and cropped faces."}
    DESCRIPTION = "Faces with age, gender and race, for non-commercial research only. " + " ".join(
        f"{key.capitalize()}: {attribute.assigned_by}"
        for key, attribute in utkface.ATTRIBUTES.items()
    )
    HOMEPAGE = "https://susanqq.github.io/UTKFace/"
    MANUAL_DOWNLOAD_INSTRUCTIONS = utkface.HELP

    def features(self) -> Mapping[str, Any]:
        gender, race = (list(utkface.ATTRIBUTES[key].values) for key in ("gender", "race"))
        return {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "id": tfds.features.Text(),
            "age": tfds.features.Scalar(np.int32),
            "gender": tfds.features.ClassLabel(names=gender),
            "race": tfds.features.ClassLabel(names=race),
            "cluster": tfds.features.Scalar(np.int64),
        }

    def read(self, root: str) -> Mapping[str, Examples]:
        return utkface.UtkfaceSource(root=root).load(seed=0).splits

    def _generate_examples(self, examples: Examples) -> Rows:
        for row, name in enumerate(examples.ids.tolist()):
            yield (
                name,
                {
                    "image": examples.read(np.array([row]))[0],
                    "id": name,
                    "cluster": examples.cluster[row],
                    **{key: label[row] for key, label in examples.labels.items()},
                },
            )

"""`rfw`, `bfw` and `bupt_balancedface` for tensorflow-datasets: the readers that a run uses.

Importing this module registers the builders:

    import fairjax.data.faces_tfds
    import tensorflow_datasets as tfds

    pairs = tfds.load("rfw", split="test", download_and_prepare_kwargs={
        "download_config": tfds.download.DownloadConfig(manual_dir="DIR")})

DIR holds the release as `fairjax data check rfw DIR` reads it. The two benchmarks serve pairs of
images in the order of their lists (RFW's aligned by its landmarks); BUPT serves images of people.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fairjax.data import bfw, bupt, rfw
from fairjax.data.faces import Benchmark, Faces
from fairjax.data.tfds.base import ManualBuilder, Rows


class _Pairs(ManualBuilder, skip_registration=True):  # type: ignore[call-arg]  # as above
    """Pairs of a benchmark, in one split named test."""

    ATTRIBUTE: str
    GROUPS: Sequence[str]

    def features(self) -> Mapping[str, Any]:
        sides = {
            f"{side}_{name}": feature
            for side in ("first", "second")
            for name, feature in (
                ("image", tfds.features.Image(shape=(None, None, 3))),
                ("id", tfds.features.Text()),
                (self.ATTRIBUTE, tfds.features.ClassLabel(names=list(self.GROUPS))),
            )
        }
        return {**sides, "mated": tfds.features.Scalar(np.bool_), "fold": np.int64}

    def _generate_examples(self, benchmark: Benchmark) -> Rows:
        faces, pairs = benchmark.faces, benchmark.pairs
        for k, both in enumerate(np.stack([pairs.first, pairs.second], axis=1)):
            images = faces.read(both)
            row: dict[str, Any] = {"mated": pairs.mated[k], "fold": pairs.fold[k]}
            for side, image, at in zip(("first", "second"), images, both.tolist(), strict=True):
                row[f"{side}_image"] = image
                row[f"{side}_id"] = str(faces.ids[at])
                row[f"{side}_{self.ATTRIBUTE}"] = faces.groups[faces.group[faces.person[at]]]
            yield f"{k:07d}", row


class Rfw(_Pairs):
    """RFW: four races, ten parts, non-mated pairs within a race."""

    DESCRIPTION = f"Pairs of faces by race, for non-commercial research only. {rfw.ASSIGNED_BY}"
    HOMEPAGE = "http://www.whdeng.cn/RFW/"
    MANUAL_DOWNLOAD_INSTRUCTIONS = rfw.HELP
    ATTRIBUTE, GROUPS = rfw.ATTRIBUTE, rfw.RACES

    def read(self, root: str) -> Mapping[str, Benchmark]:
        return {"test": rfw.RfwPairs(root=root).load(seed=0)}


class Bfw(_Pairs):
    """BFW: eight subgroups of ethnicity and gender, five parts."""

    DESCRIPTION = f"Pairs of faces by subgroup, for non-commercial research only. {bfw.ASSIGNED_BY}"
    HOMEPAGE = "https://github.com/visionjo/facerec-bias-bfw"
    MANUAL_DOWNLOAD_INSTRUCTIONS = bfw.HELP
    ATTRIBUTE, GROUPS = bfw.ATTRIBUTE, bfw.SUBGROUPS

    def read(self, root: str) -> Mapping[str, Benchmark]:
        return {"test": bfw.BfwPairs(root=root).load(seed=0)}


class BuptBalancedface(ManualBuilder):
    """BUPT-Balancedface: people of four races, in one split named train."""

    DESCRIPTION = f"Faces of people by race, for non-commercial research only. {rfw.ASSIGNED_BY}"
    HOMEPAGE = "http://www.whdeng.cn/RFW/"
    MANUAL_DOWNLOAD_INSTRUCTIONS = bupt.HELP

    def features(self) -> Mapping[str, Any]:
        return {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "id": tfds.features.Text(),
            "identity": tfds.features.Text(),
            "race": tfds.features.ClassLabel(names=list(rfw.RACES)),
        }

    def read(self, root: str) -> Mapping[str, Faces]:
        return {"train": bupt.read(root)}

    def _generate_examples(self, faces: Faces) -> Rows:
        for row, (name, person) in enumerate(zip(faces.ids.tolist(), faces.person, strict=True)):
            yield (
                name,
                {
                    "image": faces.read(np.array([row]))[0],
                    "id": name,
                    "identity": str(faces.people[person]),
                    "race": faces.groups[faces.group[person]],
                },
            )

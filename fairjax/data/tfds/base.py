"""What the tensorflow-datasets builders share: nothing is downloaded, one reader serves all."""

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds

Rows = Iterator[tuple[str, dict[str, Any]]]


class ManualBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]  # tfds has no types
    """A builder over data that the user has put in `manual_dir`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First."}
    DESCRIPTION: str
    HOMEPAGE: str

    def features(self) -> Mapping[str, Any]:
        """The features of an example, by name."""
        raise NotImplementedError  # each data set says it

    def read(self, root: str) -> Mapping[str, Any]:
        """What each split holds: an argument of `_generate_examples`."""
        raise NotImplementedError  # each data set says it

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description=self.DESCRIPTION,
            homepage=self.HOMEPAGE,
            features=tfds.features.FeaturesDict(dict(self.features())),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Rows]:
        splits = self.read(str(dl_manager.manual_dir))
        return {name: self._generate_examples(held) for name, held in splits.items()}

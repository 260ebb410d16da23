"""People to train on: a tree of one folder a person, with their groups where a table knows them."""

from dataclasses import dataclass

from fairjax.data import recognition
from fairjax.data.dataset import Dataset, Source
from fairjax.data.formats.tree import HELP, read_tree
from fairjax.data.recognition import PeopleSettings


@dataclass(frozen=True, kw_only=True)
class IdentitiesSource(PeopleSettings, Source):
    """Settings of a tree of people: a folder or .tar with one folder a person.

    Attributes:
      groups: "folder" where the folder above a person's is the group's; or a CSV table with the
        columns `identity` and `group`; or "" where groups are not known.
    """

    groups: str = ""

    def load(self, *, seed: int) -> Dataset:
        """The people to train on, and a benchmark to test on."""
        faces = read_tree(self.root, self.groups)
        recognition.refuse_bad("identities", faces, self, told=HELP)
        return recognition.assemble("identities", faces, self, seed=seed)

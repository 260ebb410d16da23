"""People to train on: a tree of one folder a person, with their groups where a table knows them."""

from dataclasses import dataclass

from fairjax.core.settings import need
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
      person_folder: Number of the folder that names the person, "1" being the first below the root
        ("1" for person/video/frame.jpg, "2" for train/person/image.jpg); "path" where each path is
        a person; "" takes the folder that holds the image, and asks where that is ambiguous.
    """

    groups: str = ""
    person_folder: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        folder = self.person_folder
        need(
            folder in ("", "path") or (folder.isdecimal() and int(folder) > 0),
            "person_folder",
            folder,
            "'', 'path', or the number of a folder, '1' being the first below the root",
        )

    def load(self, *, seed: int) -> Dataset:
        """The people to train on, and a benchmark to test on."""
        faces = read_tree(self.root, self.groups, self.person_folder)
        recognition.refuse_bad("identities", faces, self, help_text=HELP)
        return recognition.assemble("identities", faces, self, seed=seed)

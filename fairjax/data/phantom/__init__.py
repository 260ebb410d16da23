"""Procedurally drawn faces: people with identity, group, gender and age; nobody is depicted."""

from fairjax.data.dataset import SPLITS as SPLITS
from fairjax.data.phantom.faces import GENERATOR_VERSION as GENERATOR_VERSION
from fairjax.data.phantom.faces import LARGEST as LARGEST
from fairjax.data.phantom.faces import NEUTRAL as NEUTRAL
from fairjax.data.phantom.faces import Differential as Differential
from fairjax.data.phantom.faces import PhantomSource as PhantomSource
from fairjax.data.phantom.faces import PictureSettings as PictureSettings
from fairjax.data.phantom.faces import contact_sheet as contact_sheet
from fairjax.data.phantom.faces import draw as draw
from fairjax.data.phantom.faces import portraits as portraits
from fairjax.data.phantom.faces import present as present
from fairjax.data.phantom.person import GENDERS as GENDERS
from fairjax.data.phantom.person import GROUPS as GROUPS
from fairjax.data.phantom.person import People as People
from fairjax.data.phantom.person import people as people

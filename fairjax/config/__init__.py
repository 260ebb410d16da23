"""All that is known about the config tree: its keys, its arguments, its checks.

Importing this room imports neither JAX nor TensorFlow. Loading a config file may import JAX, to
read the defaults of what it names; no device is touched before the config is checked.
"""

from fairjax.config.bind import bind_section as bind_section
from fairjax.config.check import validate as validate
from fairjax.config.check import validate_devices as validate_devices
from fairjax.config.describe import describe as describe
from fairjax.config.errors import ConfigError as ConfigError
from fairjax.config.keys import annotation_at as annotation_at
from fairjax.config.keys import differences as differences
from fairjax.config.keys import keys as keys
from fairjax.config.keys import leaf as leaf
from fairjax.config.keys import leaves as leaves
from fairjax.config.keys import override as override
from fairjax.config.keys import set_leaf as set_leaf
from fairjax.config.keys import suggest_key as suggest_key
from fairjax.config.keys import variant as variant
from fairjax.config.sections import algorithm as algorithm
from fairjax.config.sections import backbone as backbone
from fairjax.config.sections import benchmark as benchmark
from fairjax.config.sections import dataset as dataset
from fairjax.config.sections import margin as margin
from fairjax.config.sections import method as method
from fairjax.config.sections import protocol as protocol
from fairjax.config.sections import schedule as schedule
from fairjax.config.sections import task as task
from fairjax.config.sections import vit as vit
from fairjax.config.study import Claim as Claim
from fairjax.config.study import Column as Column
from fairjax.config.study import Floor as Floor
from fairjax.config.study import Noise as Noise
from fairjax.config.study import Row as Row
from fairjax.config.study import Spread as Spread
from fairjax.config.study import Study as Study
from fairjax.config.study import Thesis as Thesis
from fairjax.config.tree import FREE_TO_CHANGE as FREE_TO_CHANGE
from fairjax.config.tree import base_config as base_config
from fairjax.config.tree import find_file as find_file
from fairjax.config.tree import load as load
from fairjax.config.tree import parse_arg as parse_arg
from fairjax.config.tree import shipped as shipped
from fairjax.config.tree import split_argument as split_argument
from fairjax.config.tree import study as study
from fairjax.config.values import number_or_word as number_or_word
from fairjax.config.values import takes_words as takes_words

"""Optimisers, learning-rate schedules and frozen parts, on optax."""

from fairjax.optim.chain import OPTIMIZERS as OPTIMIZERS
from fairjax.optim.chain import SCHEDULES as SCHEDULES
from fairjax.optim.chain import adamw as adamw
from fairjax.optim.chain import clipped as clipped
from fairjax.optim.chain import cosine as cosine
from fairjax.optim.chain import decay_mask as decay_mask
from fairjax.optim.chain import frozen as frozen
from fairjax.optim.chain import lamb as lamb
from fairjax.optim.chain import lars as lars
from fairjax.optim.chain import layer_decayed as layer_decayed
from fairjax.optim.chain import released as released
from fairjax.optim.chain import sgd as sgd
from fairjax.optim.chain import steps as steps
from fairjax.optim.chain import with_own_optimizers as with_own_optimizers

"""Losses: pure functions, one value an example."""

from fairjax.losses.attributes import cross_entropy as cross_entropy
from fairjax.losses.attributes import masked_sum as masked_sum
from fairjax.losses.attributes import regression as regression

"""Losses: pure functions, one value an example."""

from fairjax.losses.attributes import cross_entropy as cross_entropy
from fairjax.losses.attributes import masked_sum as masked_sum
from fairjax.losses.attributes import regression as regression
from fairjax.losses.contrastive import Spaces as Spaces
from fairjax.losses.contrastive import alignment as alignment
from fairjax.losses.contrastive import feature_std as feature_std
from fairjax.losses.contrastive import nt_xent as nt_xent
from fairjax.losses.contrastive import time_frequency as time_frequency
from fairjax.losses.contrastive import uniformity as uniformity
from fairjax.losses.fpr import FprPenalty as FprPenalty
from fairjax.losses.fpr import Penalty as Penalty
from fairjax.losses.fpr import fpr_penalty as fpr_penalty
from fairjax.losses.margin import MARGINS as MARGINS
from fairjax.losses.margin import ArcFace as ArcFace
from fairjax.losses.margin import CosFace as CosFace
from fairjax.losses.margin import Margin as Margin
from fairjax.losses.margin import TwoSided as TwoSided
from fairjax.losses.margin import nontarget_logsumexp as nontarget_logsumexp
from fairjax.losses.margin import softmax_loss as softmax_loss
from fairjax.losses.margin import split_target as split_target

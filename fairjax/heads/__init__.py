"""How the class weights of a margin loss lie over devices, and how a step walks them."""

from fairjax.heads.head import ROWS_MULTIPLE as ROWS_MULTIPLE
from fairjax.heads.head import Head as Head
from fairjax.heads.loss import HeadOutput as HeadOutput
from fairjax.heads.loss import MarginLoss as MarginLoss

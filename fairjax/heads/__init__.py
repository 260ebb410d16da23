"""How the class weights of a margin loss lie over devices, and how a step walks them."""

from fairjax.heads.kinds import HEADS as HEADS
from fairjax.heads.kinds import Dense as Dense
from fairjax.heads.kinds import Sampled as Sampled
from fairjax.heads.kinds import Sharded as Sharded
from fairjax.heads.kinds import Streamed as Streamed
from fairjax.heads.kinds import make_head as make_head
from fairjax.heads.rows import Outcome as Outcome
from fairjax.heads.rows import class_losses as class_losses

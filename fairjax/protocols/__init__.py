"""What a benchmark paper fixes: which numbers, of which predictions, under which rules.

A protocol is a dataclass of settings, a function that measures predictions, and one that renders
tables.
"""

from collections.abc import Callable
from typing import NamedTuple

from fairjax.core.results import Results, Table
from fairjax.protocols import bfw, contrastive, lfw, reconstruction, rfw, utkface
from fairjax.protocols.settings import PairSettings, ProtocolSettings


class Protocol(NamedTuple):
    """One line of PROTOCOLS.

    Attributes:
      settings: Dataclass of its settings; a `PairSettings` where pairs of images are compared.
      measure: `(predictions, settings, *, attributes, seed, limits) -> Results`; it takes `pairs`
        too, where pairs are compared.
      tables: `(results, *, published) -> tables`.
    """

    settings: type[ProtocolSettings]
    measure: Callable[..., Results]
    tables: Callable[..., list[Table]]

    @property
    def compares_pairs(self) -> bool:
        """Whether pairs of images are compared."""
        return issubclass(self.settings, PairSettings)


PROTOCOLS = {
    "bfw": Protocol(bfw.BfwSettings, bfw.measure_bfw, bfw.tables),
    "contrastive": Protocol(
        contrastive.ContrastiveSettings, contrastive.measure_contrastive, contrastive.tables
    ),
    "lfw": Protocol(lfw.LfwSettings, lfw.measure_lfw, lfw.tables),
    "reconstruction": Protocol(
        reconstruction.ReconstructionSettings,
        reconstruction.measure_reconstruction,
        reconstruction.tables,
    ),
    "rfw": Protocol(rfw.RfwSettings, rfw.measure_rfw, rfw.tables),
    "utkface": Protocol(utkface.UtkfaceSettings, utkface.measure_utkface, utkface.tables),
}

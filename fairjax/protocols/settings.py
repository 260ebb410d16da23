"""What the settings of protocols share; they are checked when they are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fairjax.core.settings import need
from fairjax.protocols.verification.bias import Bias, GroupPairs, ThresholdPool
from fairjax.protocols.verification.gaps import BiasDegree


@dataclass(frozen=True, kw_only=True)
class ProtocolSettings:
    """Settings that every protocol has.

    Attributes:
      group_by: Attribute whose groups are compared.
      resamples: Number of bootstrap resamples, and of permutations for noise floors, 1 or more; at
        least 2,000 to publish.
      level: Coverage of the intervals, a fraction in (0, 1).
    """

    group_by: str = "race"
    resamples: int = 2000
    level: float = 0.95

    def __post_init__(self) -> None:
        need(self.resamples >= 1, "resamples", self.resamples, "1 or more")
        need(0 < self.level < 1, "level", self.level, "between 0 and 1, such as 0.95")


@dataclass(frozen=True, kw_only=True)
class PairSettings(ProtocolSettings):
    """Settings of a protocol that compares pairs of images.

    Attributes:
      accuracy: A variant of `verification.accuracy.VARIANTS`: how the ten-fold accuracy is made.
      fmrs: Overall false match rates at which error rates are read, fractions in (0, 1).
      tolerance: Largest accepted ratio of the highest to the lowest group's rate, 1 or more; 0 asks
        for no verdicts.
      bias_fmrs: Overall false match rates over all pairs of the images, at whose thresholds rates
        are measured by group; () leaves them out.
      scorer: How pairs are scored: "cosine", or "mls", the mutual likelihood score of embeddings
        with variances; "" is "mls" where the model predicts variances, else "cosine".
    """

    accuracy: str = "exact"
    fmrs: Sequence[float] = (1e-2, 1e-3)
    tolerance: float | int = 0.0
    bias_fmrs: Sequence[float] = ()
    scorer: Literal["", "cosine", "mls"] = ""


@dataclass(frozen=True, kw_only=True)
class BiasSettings(PairSettings):
    """Settings of a protocol that has a bias degree; see `verification.bias`.

    Attributes:
      bias_pool: Non-mated pairs that the thresholds come from; "all_pairs" of the images fits the
        printed numbers.
      bias_threshold: A score for `bias_pool` "fixed"; otherwise not used.
      bias_pairs: Pairs whose false match rate spreads over the groups.
      bias_denominator: What the spread is divided by.
      bias_ddof: Delta degrees of freedom of the standard deviation.
      bias_scale: "ratio", or "percent" for a hundred times as much.
    """

    bias_pool: ThresholdPool = "all_pairs"
    bias_threshold: float | int = 0.0
    bias_pairs: GroupPairs = "protocol"
    bias_denominator: Literal["target", "realised", "mean_group"] = "target"
    bias_ddof: Literal[0, 1] = 1
    bias_scale: Literal["ratio", "percent"] = "ratio"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bias()  # which checks that its settings go together

    def bias(self) -> Bias:
        """The bias degree that these settings describe.

        Raises:
          ValueError: If they contradict each other.
        """
        return Bias(
            fmrs=tuple(self.bias_fmrs),
            pool=self.bias_pool,
            pairs=self.bias_pairs,
            threshold=float(self.bias_threshold),
            degree=BiasDegree(self.bias_denominator, self.bias_ddof, self.bias_scale),
        )

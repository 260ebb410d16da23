"""Published accuracies and bias degrees on RFW and BFW, as printed, and what follows from them.

Rates are kept in the papers' unit, percent, and only here. A printed average or standard deviation
that does not follow from its own row is named in the row's note: recompute, never copy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

RACES = ("African", "Asian", "Caucasian", "Indian")
_CIFP = "Xu et al., CVPR 2021 (arXiv 2106.05519)"


@dataclass(frozen=True)
class Row:
    """One line of a published table of RFW accuracies, in percent.

    Attributes:
      method: Loss and network.
      accuracies: Accuracies of `RACES`, in their order.
      average: Average as printed.
      std: Standard deviation as printed.
      ddof: With which the printed deviation follows from the row; None where neither does.
      note: What the row does not add up to.
    """

    method: str
    accuracies: tuple[float, float, float, float]
    average: float
    std: float
    ddof: int | None = 1
    note: str = ""


@dataclass(frozen=True)
class PublishedTable:
    """A table of one paper."""

    title: str
    source: str
    rows: tuple[Row, ...]


_DEBFACE = "one epoch of DebFace's own log: R50, single threshold, ddof 0"
_COPIED = "copied from a paper that divides by n (ddof 0)"
ACCURACY: dict[str, PublishedTable] = {
    "balancedface": PublishedTable(
        "RFW, trained on BUPT-Balancedface",
        f"{_CIFP}, Table 3",
        (
            Row("ArcFace-R34", (93.98, 93.72, 96.18, 94.67), 94.64, 1.11, note="std is 1.10"),
            Row("CosFace-R34", (92.93, 92.98, 95.12, 93.93), 93.74, 1.03),
            Row("DebFace-R34", (93.67, 94.33, 95.95, 94.78), 94.68, 0.83, 0, _DEBFACE),
            Row("PFE-R34", (95.17, 94.27, 96.38, 94.60), 95.11, 0.93),
            Row("GAC-R34", (94.65, 94.93, 96.23, 95.12), 95.23, 0.60, 0, _COPIED),
            Row("RL-RBN-R34 (cos)", (95.27, 94.52, 95.47, 95.15), 95.10, 0.41),
            Row(
                "RL-RBN-R34 (arc)",
                (95.00, 94.82, 96.27, 94.68),
                95.19,
                0.93,
                None,
                "std is 0.73, as the method's own paper prints",
            ),
            Row("CIFP-R34", (95.95, 95.17, 96.78, 96.38), 96.07, 0.69),
            Row("ArcFace-R50", (95.55, 94.95, 96.68, 95.47), 95.66, 0.73),
            Row("CIFP-R50", (96.47, 95.75, 97.08, 96.77), 96.52, 0.57),
            Row("ArcFace-R100", (96.43, 94.98, 97.37, 96.17), 96.24, 0.98),
            Row("CIFP-R100", (97.03, 95.65, 97.60, 96.82), 96.78, 0.82),
        ),
    ),
    "globalface": PublishedTable(
        "RFW, trained on BUPT-Globalface",
        f"{_CIFP}, Table 4",
        (
            Row(
                "ArcFace-R34",
                (93.87, 94.55, 97.37, 95.86),
                95.37,
                1.53,
                note="average is 95.41, std 1.54",
            ),
            Row("CosFace-R34", (92.17, 93.50, 96.63, 94.68), 94.25, 1.90, note="std is 1.89"),
            Row("RL-RBN-R34 (cos)", (94.27, 94.58, 96.03, 95.15), 95.01, 0.77),
            Row("RL-RBN-R34 (arc)", (94.87, 95.57, 97.08, 95.63), 95.79, 0.93),
            Row(
                "CIFP-R34",
                (95.77, 95.85, 97.92, 96.70),
                96.56,
                0.75,
                None,
                "std is 1.00 (ddof 1) or 0.87 (ddof 0)",
            ),
            Row("ArcFace-R50", (96.23, 96.43, 97.98, 96.92), 96.89, 0.78),
            Row("CIFP-R50", (96.85, 96.75, 98.30, 96.95), 97.21, 0.73),
            Row("ArcFace-R100", (96.68, 96.10, 98.17, 97.32), 97.07, 0.89),
            Row("CIFP-R100", (97.37, 96.48, 98.57, 97.40), 97.45, 0.85, note="std is 0.86"),
        ),
    ),
}


@dataclass(frozen=True)
class BiasTable:
    """Published bias degrees: {method: {target FMR: value}}."""

    title: str
    source: str
    rows: Mapping[str, Mapping[float, float]]


BIAS: dict[str, BiasTable] = {
    "rfw": BiasTable(
        "Bias degree on RFW",
        f"{_CIFP}, Table 5",
        {
            "RL-RBN-R34 (arc)": {1e-5: 351.98, 1e-4: 208.44, 1e-3: 92.18, 1e-2: 16.70},
            "CIFP-R34": {1e-5: 257.53, 1e-4: 185.91, 1e-3: 59.25, 1e-2: 10.33},
        },
    ),
    "bfw": BiasTable(
        "Bias degree on BFW",
        f"{_CIFP}, Table 6",
        {
            "RL-RBN-R34 (arc)": {1e-7: 2.44, 1e-6: 2.01, 1e-5: 2.49, 1e-4: 2.91, 1e-3: 2.43},
            "CIFP-R34": {1e-7: 1.18, 1e-6: 1.08, 1e-5: 1.18, 1e-4: 1.67, 1e-3: 1.80},
        },
    ),
}

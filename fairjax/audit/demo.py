"""The audit's demonstration: made-up scores, written as the table that a user would bring."""

from pathlib import Path

import numpy as np

from fairjax.audit.phantom_scores import (
    FMR,
    FNMR,
    GROUPS,
    THRESHOLD,
    Phantom,
    Planted,
    Size,
    draw,
    true_rates,
    with_quality,
)
from fairjax.core.files import naming

WORSE = 2  # place of the group with worse pictures
GAP = Planted(fmr_ratio=3.0, fnmr_ratio=2.0)
COLUMNS = ("image1", "image2", "subject1", "subject2", "group1", "group2", "score")


def write_comparisons(path: Path, planted: Planted, *, seed: int, size: Size | None = None) -> None:
    """Draws comparisons and writes them as CSV, one pair a row."""
    _write(path, draw(planted, seed=seed, size=size))


def _write(path: Path, drawn: Phantom) -> None:
    pairs = drawn.comparisons
    names = [f"p{k:04d}" for k in range(int(pairs.subject.max()) + 1)]
    with naming(path), path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\r\n")
        file.writelines(
            f"{names[a]}_{i},{names[b]}_{j},{names[a]},{names[b]},{GROUPS[g]},{GROUPS[h]},"
            f"{score:.6f}\r\n"
            for (a, b), (i, j), (g, h), score in zip(
                pairs.subject.tolist(),
                drawn.image.tolist(),
                pairs.group.tolist(),
                pairs.score.tolist(),
                strict=True,
            )
        )


def write_pictures(folder: Path, *, seed: int, size: Size | None = None) -> None:
    """Writes comparisons.csv and images.csv: worse pictures of one group, and no other gap."""
    drawn, quality = with_quality(
        draw(Planted(), seed=seed, size=size), group=WORSE, shift=1.0, effect=0.6, seed=seed
    )
    _write(folder / "comparisons.csv", drawn)
    light = np.random.default_rng([seed, 2]).normal(120, 20, quality.shape)
    path = folder / "images.csv"
    with naming(path), path.open("w", encoding="utf-8", newline="") as file:
        file.write("image,sharpness,brightness\r\n")
        file.writelines(
            f"p{k:04d}_{i},{40 * np.exp(0.5 * quality[k, i]):.2f},{light[k, i]:.1f}\r\n"
            for k, i in np.ndindex(*quality.shape)
        )


def picture_limits() -> list[str]:
    """What the reader of that demonstration must know."""
    return [
        "No face and no model stands behind these scores: they are drawn from a known model "
        f"(fairjax.audit.phantom_scores). Pictures of {GROUPS[WORSE]} are less sharp, and blurred "
        "pictures are mistaken more often; with sharpness held there is no gap."
    ]


def limits(planted: Planted) -> list[str]:
    """What the reader of the demonstration must know: that it is made up, and the truth."""
    fmr, fnmr = true_rates(planted, THRESHOLD)
    origin = "No face and no model stands behind these scores: they are drawn from a known model "
    origin += f"(fairjax.audit.phantom_scores). At the threshold {THRESHOLD:.4f} the true rates "
    if planted == Planted():
        return [origin + f"of every group are FMR {FMR:g} and FNMR {FNMR:g}: there is no gap."]
    g = planted.group
    return [
        origin
        + f"are FMR {fmr[g]:g} and FNMR {fnmr[g]:g} for {GROUPS[g]}, and {FMR:g} and {FNMR:g} "
        f"for every other group: a planted ratio of {planted.fmr_ratio:g} and "
        f"{planted.fnmr_ratio:g}."
    ]

"""The audit's demonstration: made-up scores, written as the table that a user would bring."""

from pathlib import Path

from fairjax.audit.phantom_scores import (
    FMR,
    FNMR,
    GROUPS,
    THRESHOLD,
    Planted,
    Size,
    draw,
    true_rates,
)

GAP = Planted(fmr_ratio=3.0, fnmr_ratio=2.0)
COLUMNS = ("image1", "image2", "subject1", "subject2", "group1", "group2", "score")


def write_comparisons(path: Path, planted: Planted, *, seed: int, size: Size | None = None) -> None:
    """Draws comparisons and writes them as CSV, one pair a row."""
    drawn = draw(planted, seed=seed, size=size)
    pairs = drawn.comparisons
    names = [f"p{k:04d}" for k in range(int(pairs.subject.max()) + 1)]
    with path.open("w", encoding="utf-8", newline="") as file:
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


def limits(planted: Planted) -> list[str]:
    """What the reader of the demonstration must know: that it is made up, and the truth."""
    fmr, fnmr = true_rates(planted, THRESHOLD)
    said = "No face and no model stands behind these scores: they are drawn from a known model "
    said += f"(fairjax.audit.phantom_scores). At the threshold {THRESHOLD:.4f} the true rates "
    if planted == Planted():
        return [said + f"of every group are FMR {FMR:g} and FNMR {FNMR:g}: there is no gap."]
    g = planted.group
    return [
        said + f"are FMR {fmr[g]:g} and FNMR {fnmr[g]:g} for {GROUPS[g]}, and {FMR:g} and {FNMR:g} "
        f"for every other group: a planted ratio of {planted.fmr_ratio:g} and "
        f"{planted.fnmr_ratio:g}."
    ]

"""Pictures in a report: attention maps on a plain grid, and generated faces."""

import base64
import io
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from fairjax.report.drawing.heat_map import Cell, heat_map
from fairjax.report.sections import Figure, Parts, Section
from fairjax.report.wording import sentence, words

_SOURCES = {
    "cls": "what the class token pays to the patch",
    "mean_query": "what the patches pay to it, on average",
    "rollout": "what reaches the class token from it through all layers",
}
SIZE = 0.05  # chance that any patch of any map is called beyond noise where none is
_SCALE = 2  # a picture's pixel is so many on the screen, so that small ones can be seen


def sensitivity_section(looks: Mapping[str, Any]) -> Section:
    """Where a model looks, and how the values of an attribute differ from everyone.

    Args:
      looks: The maps, JSON-ready: "overall" and "by_value" are shares of attention that add up to 1
        over the patches, "noise" the standard errors of the differences from everyone (files of
        older runs have none), "n" the images of each value.
    """
    if not looks:
        return Section("sensitivity", "Where the model looks")
    everyone = np.array(looks["overall"])
    patches, noise = len(everyone), looks.get("noise", {})
    count = sum(looks["n"].values())
    figures = [
        _attention(0, f"Everyone ({count:,.0f} images)", patches * everyone, "1 is the mean patch")
    ]
    tests = patches * max(len(looks["by_value"]), 1)
    critical = NormalDist().inv_cdf(1 - SIZE / 2 / tests)  # Bonferroni over all patches drawn
    for index, (value, weights) in enumerate(looks["by_value"].items(), 1):
        difference = patches * (np.array(weights) - everyone)
        error = patches * critical * np.array(noise[value]) if value in noise else None
        caption = f"{sentence(value)} less everyone ({looks['n'][value]:,.0f} images)"
        note = "no noise was computed"
        if error is not None:
            beyond = int((np.abs(difference) > error).sum())
            note = f"{beyond} of {patches} patches beyond noise of ±{np.median(error):.2f} (median)"
        figures.append(_attention(index, caption, difference, note, error))
    layers = "all layers" if looks["layers"] == "all" else "the last layer"
    lead = (
        f"Attention of the model by patch over {layers} and heads: {_SOURCES[looks['source']]}. "
        "First everyone's, where 1 is the mean patch; then how much more (+) or less (-) the faces "
        f"of each {words(looks['attribute'])} get, in the same unit. Hatched: within the noise of "
        f"so few images, at {1 - SIZE:.0%} over all patches. The outline shows where an aligned "
        "face lies; it is nobody's."
    )
    parts: Parts = [("", figures)]
    return Section("sensitivity", "Where the model looks", lead, parts=parts, folded=True)


def _attention(
    index: int,
    caption: str,
    grid: np.ndarray,
    note: str,
    noise: np.ndarray | None = None,
) -> Figure:
    """A map over the outline of a face; with `noise` a difference, hatched where it is within."""
    side = round(len(grid) ** 0.5)
    differs = index > 0
    low, high = (0.0, np.abs(grid).max()) if differs else (grid.min(), grid.max())
    strength = (np.abs(grid) - low) / max(high - low, 1e-9)
    within = np.zeros(len(grid), bool) if noise is None else np.abs(grid) <= noise
    texts = [f"{w:+.2f}" if differs else f"{w:.1f}" for w in grid]
    cells = [
        Cell(text, [], None if hidden else float(s))
        for text, s, hidden in zip(texts, strength, within, strict=True)
    ]
    numbers = [str(k + 1) for k in range(side)]
    svg = heat_map(
        f"sensitivity-{index}",
        f"Attention by patch: {caption}",
        [cells[row * side : (row + 1) * side] for row in range(side)],
        rows=numbers,
        columns=numbers,
        row_axis="row",
        column_axis="column",
        cell_width=max(34, 240 / side),
        over_face=True,
    )
    return Figure(Markup(svg), caption, note)


def picture_section(pictures: Mapping[str, np.ndarray]) -> Section:
    """What a method shows of generated faces, a column a face; nobody is depicted.

    Args:
      pictures: By caption uint8 [faces, height, width, 3].
    """
    figures = [
        Figure(_image(np.concatenate(list(faces), axis=1), f"Generated faces: {caption}"), caption)
        for caption, faces in pictures.items()
    ]
    lead = "Generated faces; nobody is depicted."
    if "drawn" in pictures:
        lead += (
            " Drawn patches that were to be normalised are shown at the mean and deviation of the "
            "kept ones, so that their own are not given away."
        )
    return Section("pictures", "Generated faces", lead, parts=[("", figures)])


def _image(pixels: np.ndarray, text: str) -> Markup:
    """An image element that holds its own PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    content = base64.b64encode(buffer.getvalue()).decode()
    return Markup(
        f'<img alt="{escape(text)}" width="{_SCALE * pixels.shape[1]}" '
        f'style="max-width:100%;image-rendering:pixelated" src="data:image/png;base64,{content}">'
    )

"""Pictures in a report: attention maps on a plain grid, and generated faces."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from fairjax.report.drawing import plots
from fairjax.report.sections import Figure, Parts, Section
from fairjax.report.wording import sentence, words

_SOURCES = {
    "cls": "what the class token pays to the patch",
    "mean_query": "what the patches pay to it, on average",
    "rollout": "what reaches the class token from it through all layers",
}
_SCALE = 2  # a picture's pixel is so many on the screen, so that small ones can be seen


def sensitivity_section(looks: Mapping[str, Any]) -> Section:
    """Where a model looks, over everyone and by the value of an attribute."""
    if not looks:
        return Section("sensitivity", "Where the model looks")
    everyone = sum(looks["n"].values())
    maps = {f"everyone ({everyone:,.0f} images)": looks["overall"]}
    maps |= {f"{v} ({looks['n'][v]:,.0f} images)": w for v, w in looks["by_value"].items()}
    relative = {name: np.array(weights) * len(weights) for name, weights in maps.items()}
    low, high = (f([f(grid) for grid in relative.values()]) for f in (np.min, np.max))
    figures = []
    for place, (name, grid) in enumerate(relative.items()):
        side = round(len(grid) ** 0.5)
        strength = (grid - low) / max(high - low, 1e-9)
        cells = [
            [plots.Cell(f"{w:.1f}", [], float(s)) for w, s in zip(*row, strict=True)]
            for row in zip(grid.reshape(side, side), strength.reshape(side, side), strict=True)
        ]
        numbers = [str(k + 1) for k in range(side)]
        title = f"Attention by patch: {name}"
        svg = plots.heat_map(
            f"sensitivity-{place}",
            title,
            cells,
            rows=numbers,
            columns=numbers,
            row_axis="row",
            column_axis="column",
            cell_width=max(24, 200 / side),
        )
        figures.append(Figure(Markup(svg), sentence(name)))
    layers = "all layers" if looks["layers"] == "all" else "the last layer"
    lead = (
        "Attention of the model by patch of the face, for everyone and by "
        f"{words(looks['attribute'])}, over {layers} and heads: {_SOURCES[looks['source']]}. 1 is "
        "the mean of a map; all maps share one scale."
    )
    parts: Parts = [("", figures)]
    return Section("sensitivity", "Where the model looks", lead, parts=parts)


def picture_section(pictures: Mapping[str, np.ndarray]) -> Section:
    """What a method shows of generated faces, a column a face; nobody is depicted.

    Args:
      pictures: By caption uint8 [faces, height, width, 3].
    """
    figures = [
        Figure(_image(np.concatenate(list(faces), axis=1), f"Generated faces: {caption}"), caption)
        for caption, faces in pictures.items()
    ]
    lead = (
        "Generated faces; nobody is depicted. Drawn patches that were to be normalised are shown "
        "at the mean and deviation of the kept ones, so that their own are not given away."
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

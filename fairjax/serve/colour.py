"""Whether a model was fed the order of channels that it expects."""

import numpy as np

from fairjax.serve.decode import UNREADABLE, resize
from fairjax.serve.model import Model
from fairjax.serve.sources import Images

_PAIRS = 24  # mated pairs, and as many non-mated ones, that are tried
_APART = 0.03  # cosine by which mated pairs differ between both orders


def order_warning(model: Model, images: Images) -> str:
    """A sentence where mated pairs score very differently in RGB and BGR; "" where not.

    It is tried on a few of the benchmark's pairs, where nobody has said which order the model
    expects.
    """
    if model.preprocessing.found.get("colour") != "assumed" or images.pairs is None:
        return ""
    pairs = images.pairs
    chosen = np.concatenate(
        [np.flatnonzero(pairs.mated == kind)[:_PAIRS] for kind in (True, False)]
    )
    size = model.preprocessing.height, model.preprocessing.width
    crops, kept = [], []
    for pair in chosen.tolist():
        try:
            both = [images.read(int(row)) for row in (pairs.first[pair], pairs.second[pair])]
        except UNREADABLE:
            continue
        if all(x.shape[:2] == size for x in both) or model.preprocessing.resizes:
            crops += [resize(x, height=size[0], width=size[1]) for x in both]
            kept.append(pair)
    mated = pairs.mated[kept]
    if not mated.any():
        return ""
    stacked = np.stack(crops)
    score, other = (_cosines(model.embed(x)) for x in (stacked, stacked[..., ::-1]))
    means = float(score[mated].mean()), float(other[mated].mean())
    if abs(means[0] - means[1]) < _APART:
        return ""
    own = model.preprocessing.colour
    swapped = "BGR" if own == "RGB" else "RGB"
    apart = [s[mated].mean() - (s[~mated].mean() if (~mated).any() else 0) for s in (score, other)]
    better = own if apart[0] >= apart[1] else swapped
    return (
        f"the order of colours matters to {model.name} and was assumed: {mated.sum()} mated pairs "
        f"have a mean cosine of {means[0]:.3f} in {own} and {means[1]:.3f} in {swapped}; {better} "
        f"tells people apart better here. Say --colour {better}, or what the model's maker says."
    )


def _cosines(embedding: np.ndarray) -> np.ndarray:
    """Cosine of each two rows that follow each other."""
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    unit = embedding / np.maximum(length, np.finfo(np.float32).tiny)  # one may be of zeros
    return (unit[::2] * unit[1::2]).sum(axis=1)

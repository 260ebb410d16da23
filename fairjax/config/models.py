"""Builders of the `backbone` section."""

from typing import Any

from ml_collections import ConfigDict


def iresnet(
    depth: int = 34,
    *,
    dialect: str = "tface",
    dropout: float = 0.4,
    width: int = 64,
    dim: int = 512,
) -> ConfigDict:
    """The `backbone` section of face recognition; width and dim shrink it for reduced runs."""
    section = dict(depth=depth, dialect=dialect, dropout=dropout, width=width, dim=dim)
    return ConfigDict({"name": "iresnet", **section})


def vit(size: str = "tiny", **changes: Any) -> ConfigDict:
    """The `backbone` section of a Vision Transformer: tiny, small, base or large."""
    dim, depth, heads = {
        "tiny": (192, 12, 3),
        "small": (384, 12, 6),
        "base": (768, 12, 12),
        "large": (1024, 24, 16),
    }[size]
    section = dict(
        name="vit",
        dim=dim,
        depth=depth,
        heads=heads,
        patch=16,
        pool="cls",  # or mean: of the patch tokens; masked_autoencoder sets its own
        positions="learned",  # or sincos
        drop_path=0.0,
        dropout=0.0,
    )
    return ConfigDict({**section, **changes})


def tfc(**changes: Any) -> ConfigDict:
    """The `backbone` section of the time-frequency model."""
    section = dict(
        name="tfc",
        depth=18,  # of the convolutional trunk
        width=64,
        stem="imagenet",  # or small
        stages=4,
        dim=256,  # of a token
        layers=2,
        heads=2,
        hidden=512,
        dropout=0.1,
        projection=128,
        transform="grid",  # or sequence: what the Fourier transform runs over
        transform_norm="ortho",  # or backward, forward
        half=False,  # True leaves out the frequencies that mirror others
    )
    return ConfigDict({**section, **changes})

"""Measures predictions by a protocol, its settings given as keywords."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairjax.core.comparisons import Pairs
from fairjax.core.results import Results
from fairjax.protocols import PROTOCOLS


def measured(
    name: str,
    predictions: Mapping[str, np.ndarray],
    *,
    attributes: Mapping[str, Sequence[str]],
    pairs: Pairs | None = None,
    seed: int = 0,
    limits: Sequence[str] = (),
    **settings: Any,
) -> Results:
    """The results of the protocol of that name."""
    protocol = PROTOCOLS[name]
    assert protocol.compares_pairs == (pairs is not None)
    compared = {"pairs": pairs} if pairs is not None else {}
    return protocol.measure(
        predictions,
        protocol.settings(**settings),
        attributes=attributes,
        seed=seed,
        limits=limits,
        **compared,
    )

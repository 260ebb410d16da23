"""Eight embeddings of four people in two groups, for the tests of audits of embeddings."""

import numpy as np

IDS = [f"i{k}" for k in range(8)]
SUBJECTS = ["a", "a", "b", "b", "c", "c", "d", "d"]
RACES = ["X"] * 4 + ["Y"] * 4


def example_vectors() -> np.ndarray:
    """People apart, their two images near each other, [8, 6]."""
    rng = np.random.default_rng(0)
    people = np.repeat(rng.standard_normal((4, 6)), 2, axis=0)
    return (people + 0.1 * rng.standard_normal((8, 6))).astype(np.float32)
